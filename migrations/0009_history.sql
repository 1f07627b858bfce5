-- What requests came to over time, for the operator's page: docs/adr/0019-history.md tells why so, and how large it grows.
-- Like usage, rows hold ids of the configuration, words of closed enums, counts and times; nothing of a prompt.

CREATE TABLE history (
    id         INTEGER PRIMARY KEY,
    step_s     INTEGER NOT NULL, -- length of the interval: 10, 60 or 3600 seconds
    kind       INTEGER NOT NULL, -- what it is by: 0 nothing, 1 route, 2 client, 3 deployment, 4 route and deployment, 5 all three
    start_ms   INTEGER NOT NULL, -- its beginning, milliseconds since the Unix epoch
    route      TEXT    NOT NULL, -- empty where it is not by it; '(other)' for what there was too much of
    client     TEXT    NOT NULL,
    deployment TEXT    NOT NULL,
    region     TEXT    NOT NULL,
    requests   INTEGER NOT NULL,
    sums       TEXT    NOT NULL, -- JSON: counts, words, money in billionths of a US dollar
    ttft       BLOB,             -- HdrHistogram V2, microseconds: to the first token of streams
    total      BLOB,             -- to the end
    overhead   BLOB              -- in the gateway itself
) STRICT;

CREATE UNIQUE INDEX history_by ON history (step_s, kind, start_ms, route, client, deployment, region);

-- One row: how far longer intervals have been made of shorter ones, and how often history was written.
CREATE TABLE history_mark (
    id        INTEGER PRIMARY KEY CHECK (id = 0),
    minute_ms INTEGER NOT NULL,
    hour_ms   INTEGER NOT NULL,
    writes    INTEGER NOT NULL
) STRICT;

-- The slowest requests of each minute.
CREATE TABLE slow_request (
    id         INTEGER PRIMARY KEY,
    minute_ms  INTEGER NOT NULL, -- in which they ended
    at_ms      INTEGER NOT NULL, -- when they came
    route      TEXT    NOT NULL,
    client     TEXT    NOT NULL,
    deployment TEXT,
    region     TEXT,
    ttft_ms    REAL,
    total_ms   REAL    NOT NULL,
    overhead_ms REAL   NOT NULL,
    detail     TEXT    NOT NULL  -- JSON: its times and attempts
) STRICT;

CREATE INDEX slow_request_by_minute ON slow_request (minute_ms);

-- What happened, in sentences.
CREATE TABLE event (
    id       INTEGER PRIMARY KEY, -- given by the gateway; only grows
    at_ms    INTEGER NOT NULL,
    severity TEXT    NOT NULL,
    kind     TEXT    NOT NULL,
    subject  TEXT,
    text     TEXT    NOT NULL,
    advice   TEXT
) STRICT;

CREATE INDEX event_by_time ON event (at_ms);
CREATE INDEX event_by_kind ON event (kind);
