-- What is done to Azure's control plane, and what must outlive a restart of whoever does it. `emberway audit` and `emberway cost` read it.

-- Every write to the control plane has two rows: one before it is sent, one with what came of it. A write with one row was cut off.
CREATE TABLE audit (
    id                INTEGER PRIMARY KEY,
    at_ms             INTEGER NOT NULL, -- milliseconds since the Unix epoch
    actor             TEXT    NOT NULL, -- who: a command with its user, or a part of the gateway
    phase             TEXT    NOT NULL, -- `sent` or `answered`
    method            TEXT    NOT NULL,
    target            TEXT    NOT NULL, -- path and query; no host, no token
    client_request_id TEXT    NOT NULL, -- ours; the same in both rows
    request_id        TEXT,             -- Azure's
    outcome           TEXT              -- status, or Azure's word for what went wrong
) STRICT;

CREATE INDEX audit_by_time ON audit (at_ms);

CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit only grows'); END;

CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit only grows'); END;

-- Small documents of parts of the gateway, by name: what was begun at Azure, and the like.
CREATE TABLE note (
    name       TEXT    PRIMARY KEY,
    at_ms      INTEGER NOT NULL,
    document   TEXT    NOT NULL CHECK (length(document) <= 4194304) -- JSON
) STRICT, WITHOUT ROWID;
