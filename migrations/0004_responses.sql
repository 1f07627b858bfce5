-- Who keeps a response that may be continued (`previous_response_id`): the gateway sends what continues it there. A response's name is
-- the provider's; only the first half of its SHA-256 is here. Rows come with usage records and are deleted after 30 days, as Azure deletes responses.

CREATE TABLE kept_response (
    key        BLOB    PRIMARY KEY,
    client     TEXT    NOT NULL, -- whose it is
    deployment TEXT    NOT NULL,
    kept_at_ms INTEGER NOT NULL  -- when it was asked for, milliseconds since the Unix epoch
) STRICT, WITHOUT ROWID;

-- The newest are read at the start, the oldest deleted.
CREATE INDEX kept_response_by_time ON kept_response (kept_at_ms);
