-- The usage store. Rows are appended by the gateway and read by `emberway usage`; docs/usage.md explains the columns.
-- Texts are ids of the configuration or words of closed enums; no prompt, key or other client text is ever stored.

PRAGMA application_id = 1162691159; -- "EMBW": how a file is recognised as ours

CREATE TABLE usage (
    id                INTEGER PRIMARY KEY,
    request_id        TEXT    NOT NULL,
    started_at_ms     INTEGER NOT NULL,
    client            TEXT    NOT NULL,
    route             TEXT    NOT NULL,
    operation         TEXT    NOT NULL,
    deployment        TEXT,
    region            TEXT,
    attempts          INTEGER NOT NULL,
    outcome           TEXT    NOT NULL,
    status            INTEGER NOT NULL,
    streamed          INTEGER NOT NULL,
    source            TEXT    NOT NULL,
    prompt_tokens     INTEGER NOT NULL,
    cached_tokens     INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    first_byte_us     INTEGER,
    first_token_us    INTEGER,
    total_us          INTEGER NOT NULL,
    upstream_us       INTEGER NOT NULL
) STRICT;

-- The only index: every report and the retention select by time, and each further one costs every request.
CREATE INDEX usage_by_time ON usage (started_at_ms);

-- What outlives the rows: when a deployment was seen and last answered, and its totals since it was first seen.
CREATE TABLE deployment (
    deployment         TEXT    PRIMARY KEY,
    first_seen_ms      INTEGER NOT NULL,
    created_at_ms      INTEGER,
    last_success_at_ms INTEGER,
    requests           INTEGER NOT NULL,
    successes          INTEGER NOT NULL,
    prompt_tokens      INTEGER NOT NULL,
    cached_tokens      INTEGER NOT NULL,
    completion_tokens  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
