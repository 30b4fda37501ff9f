-- Format 4: images of several platforms under one name. An index is an OCI
-- image index, whose bytes are a blob, as is the manifest that it has of each
-- image; an image may stand in it for several platforms.
CREATE TABLE index_images (
    image_index  TEXT NOT NULL,
    position     INTEGER NOT NULL,
    image        TEXT NOT NULL REFERENCES images (id),
    manifest     TEXT NOT NULL,
    os           TEXT NOT NULL,
    architecture TEXT NOT NULL,
    variant      TEXT,
    PRIMARY KEY (image_index, position)
) WITHOUT ROWID, STRICT;
CREATE INDEX index_images_image ON index_images (image);
CREATE INDEX index_images_manifest ON index_images (manifest);

-- The index that a name leads to, beside the image of it that is taken where
-- nobody asks for a platform.
ALTER TABLE names ADD COLUMN image_index TEXT;
CREATE INDEX names_image_index ON names (image_index);
