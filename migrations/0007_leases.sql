-- Which of the gateways on this file acts on what they share, and what the others ask of it.

CREATE TABLE lease (
    name     TEXT    PRIMARY KEY,
    holder   TEXT    NOT NULL, -- a process
    until_ms INTEGER NOT NULL  -- milliseconds since the Unix epoch
) STRICT, WITHOUT ROWID;

-- Lost deployments that a request has met at some gateway, for the one that rebuilds.
CREATE TABLE needed (
    deployment TEXT    PRIMARY KEY,
    at_ms      INTEGER NOT NULL -- milliseconds since the Unix epoch
) STRICT, WITHOUT ROWID;
