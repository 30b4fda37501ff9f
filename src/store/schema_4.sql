-- Format 4: images of several platforms under one name. An index is an OCI
-- image index, whose bytes are a blob; it is recorded for as long as one of
-- its images is.
CREATE TABLE index_images (
    image_index TEXT NOT NULL,
    position    INTEGER NOT NULL,
    image       TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    PRIMARY KEY (image_index, position)
) WITHOUT ROWID, STRICT;
CREATE INDEX index_images_image ON index_images (image);

-- The index that a name leads to, beside the image of it that is taken where
-- nobody asks for a platform.
ALTER TABLE names ADD COLUMN image_index TEXT;
CREATE INDEX names_image_index ON names (image_index);
