-- Why prompts were not cached, by the hour, and where a route's prompts change too early. `emberway usage --misses` reads them.
-- Like usage, rows hold ids of the configuration, words of closed enums and counts; nothing of a prompt.

CREATE TABLE miss (
    hour_ms    INTEGER NOT NULL, -- start of the hour, milliseconds since the Unix epoch
    route      TEXT    NOT NULL,
    client     TEXT    NOT NULL,
    deployment TEXT    NOT NULL,
    cause      TEXT    NOT NULL,
    requests   INTEGER NOT NULL,
    tokens     INTEGER NOT NULL, -- that could have been cached and were not
    micro_usd  INTEGER,          -- what they cost more, by the prices of that time; NULL where none were configured
    PRIMARY KEY (hour_ms, route, client, deployment, cause)
) STRICT, WITHOUT ROWID;

-- The latest finding of each route that has one.
CREATE TABLE drift (
    route           TEXT    PRIMARY KEY,
    seen_at_ms      INTEGER NOT NULL,
    position_bytes  INTEGER NOT NULL,
    position_tokens INTEGER NOT NULL,
    segment         TEXT    NOT NULL,
    share           REAL    NOT NULL,
    lost_tokens     INTEGER NOT NULL, -- of one request that drifts
    requests_seen   INTEGER NOT NULL,
    tokens_a_day    INTEGER NOT NULL,
    micro_usd_a_day INTEGER
) STRICT, WITHOUT ROWID;
