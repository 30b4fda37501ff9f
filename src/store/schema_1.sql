-- Format 1. Digests are their 64 hex digits, so that a prefix is a range;
-- times are whole seconds and nanoseconds.

-- A committed layer. Its parent outlives it (foreign key), so the row of a
-- chain means that the whole stack below it is recorded.
CREATE TABLE layers (
    chain        TEXT PRIMARY KEY,
    diff         TEXT NOT NULL,
    parent       TEXT REFERENCES layers (chain),
    driver       TEXT NOT NULL,
    tar_size     INTEGER NOT NULL,
    content_size INTEGER NOT NULL
) WITHOUT ROWID, STRICT;
CREATE INDEX layers_parent ON layers (parent);

-- What lists need of an image; the rest is in its config blob.
CREATE TABLE images (
    id           TEXT PRIMARY KEY,
    manifest     TEXT NOT NULL,
    created_s    INTEGER,
    created_ns   INTEGER,
    imported_s   INTEGER NOT NULL,
    imported_ns  INTEGER NOT NULL,
    size         INTEGER NOT NULL,
    os           TEXT NOT NULL,
    architecture TEXT NOT NULL,
    variant      TEXT,
    labels       TEXT
) WITHOUT ROWID, STRICT;
CREATE INDEX images_manifest ON images (manifest);

CREATE TABLE image_layers (
    image    TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    chain    TEXT NOT NULL REFERENCES layers (chain),
    PRIMARY KEY (image, position)
) WITHOUT ROWID, STRICT;
CREATE INDEX image_layers_chain ON image_layers (chain);

-- A name of an image: the repository in full, and a tag or, for an image
-- known by digest alone, `sha256:` and 64 hex digits (no tag has a colon).
CREATE TABLE names (
    repository TEXT NOT NULL,
    tag        TEXT NOT NULL,
    image      TEXT NOT NULL REFERENCES images (id),
    PRIMARY KEY (repository, tag)
) WITHOUT ROWID, STRICT;
CREATE INDEX names_image ON names (image);

-- A kept container. Its image may be removed by force; its layers stay.
CREATE TABLE containers (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL UNIQUE,
    image       TEXT NOT NULL,
    chain       TEXT REFERENCES layers (chain),
    created_s   INTEGER NOT NULL,
    created_ns  INTEGER NOT NULL,
    spec        TEXT NOT NULL,
    started_s   INTEGER,
    started_ns  INTEGER,
    finished_s  INTEGER,
    finished_ns INTEGER,
    exit_code   INTEGER
) WITHOUT ROWID, STRICT;
CREATE INDEX containers_image ON containers (image);
CREATE INDEX containers_chain ON containers (chain);

-- The newest events; older ones make room.
CREATE TABLE events (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    time_s     INTEGER NOT NULL,
    time_ns    INTEGER NOT NULL,
    kind       TEXT NOT NULL,
    action     TEXT NOT NULL,
    id         TEXT NOT NULL,
    attributes TEXT NOT NULL
) STRICT;
