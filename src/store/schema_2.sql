-- Format 2: volumes. Labels and options are JSON objects.
CREATE TABLE volumes (
    name       TEXT PRIMARY KEY,
    driver     TEXT NOT NULL,
    labels     TEXT NOT NULL,
    options    TEXT NOT NULL,
    created_s  INTEGER NOT NULL,
    created_ns INTEGER NOT NULL,
    anonymous  INTEGER NOT NULL
) WITHOUT ROWID, STRICT;

-- Where a kept container has its volumes. What one that goes with its end
-- has is written in its workspace.
CREATE TABLE container_volumes (
    container TEXT NOT NULL REFERENCES containers (id) ON DELETE CASCADE,
    target    TEXT NOT NULL,
    volume    TEXT NOT NULL REFERENCES volumes (name),
    read_only INTEGER NOT NULL,
    PRIMARY KEY (container, target)
) WITHOUT ROWID, STRICT;
CREATE INDEX container_volumes_volume ON container_volumes (volume);
