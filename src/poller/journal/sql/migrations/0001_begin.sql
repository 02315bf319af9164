-- The journal's first schema. Times are integer milliseconds since 1970, UTC; days are whole days since then.
-- References are plain numbers (no foreign keys are enforced): each append and each prune keeps them right,
-- and salvage reads the tables one by one.

-- A shelf: what one source said under one name about one vehicle on one UTC day. Its first text is the zlib
-- dictionary of all others on it, so a shelf is pruned as a whole. Ids are never used twice: readers cache them.
CREATE TABLE shelves (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    day INTEGER NOT NULL,
    role TEXT NOT NULL,    -- 'answer', 'body' or 'record'
    name TEXT NOT NULL,    -- the source's kind, the body's name, or the record's kind
    vin TEXT NOT NULL,
    source TEXT NOT NULL,
    first BLOB NOT NULL,   -- zlib; empty for answers
    UNIQUE (day, role, name, vin, source)
);

-- Bodies as received, equal ones once per shelf.
CREATE TABLE bodies (
    id INTEGER PRIMARY KEY,
    shelf INTEGER NOT NULL,
    digest BLOB NOT NULL,
    data BLOB NOT NULL,    -- zlib against the shelf's first
    UNIQUE (shelf, digest)
);

CREATE TABLE answers (
    shelf INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    bodies TEXT NOT NULL,  -- JSON list of body ids, by the bodies' names
    PRIMARY KEY (shelf, received_ms, bodies)
) WITHOUT ROWID;

-- What travels, in the order of arrival. An amended record takes a new seq and its old row goes.
CREATE TABLE records (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE,
    shelf INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    observed_ms INTEGER,
    revision INTEGER NOT NULL,
    changed INTEGER NOT NULL,
    replayed INTEGER NOT NULL,
    fingerprint,
    data BLOB NOT NULL     -- the body's JSON, zlib against the shelf's first
);
CREATE INDEX records_by_shelf ON records (shelf);

-- How many records there are, so that nobody has to count them.
CREATE TABLE totals (records INTEGER NOT NULL);
INSERT INTO totals VALUES (0);
CREATE TRIGGER record_added AFTER INSERT ON records BEGIN UPDATE totals SET records = records + 1; END;
CREATE TRIGGER record_removed AFTER DELETE ON records BEGIN UPDATE totals SET records = records - 1; END;

-- The newest snapshot of each vehicle and source, whole: it outlives pruning.
CREATE TABLE newest (
    vin TEXT NOT NULL,
    source TEXT NOT NULL,
    id BLOB NOT NULL,
    received_ms INTEGER NOT NULL,
    observed_ms INTEGER,
    revision INTEGER NOT NULL,
    replayed INTEGER NOT NULL,
    fingerprint,
    body TEXT NOT NULL,
    PRIMARY KEY (vin, source)
);

-- How far each sink got. What a rewind offers again lies at or below `replayed_to`.
CREATE TABLE cursors (
    sink TEXT PRIMARY KEY,
    position INTEGER NOT NULL,
    replayed_to INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

-- Refused records, and answers nobody could parse (sink ''). They hold copies and survive pruning.
CREATE TABLE dead_letters (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    sink TEXT NOT NULL,
    subject BLOB NOT NULL, -- the record's id, or the id its snapshot would have had
    at_ms INTEGER NOT NULL,
    state TEXT NOT NULL,   -- 'kept', 'retry' or 'unreadable'
    reason TEXT NOT NULL,
    data BLOB NOT NULL,    -- zlib on its own
    UNIQUE (sink, subject)
);

-- Derivers' state and what sources remember: small JSON objects.
CREATE TABLE memory (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
