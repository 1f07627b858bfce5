-- What operators did to this gateway by its page or API: drains, calls, changes of the configuration. Writes to Azure are in `audit`.
-- Names of people and of what is configured, and words; no secret, no text of a configuration.

CREATE TABLE act (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms   INTEGER NOT NULL, -- milliseconds since the Unix epoch
    who     TEXT    NOT NULL,
    action  TEXT    NOT NULL, -- a word, such as `drain`
    subject TEXT    NOT NULL, -- what it was done to
    result  TEXT    NOT NULL, -- `done`, `refused` or `failed`
    text    TEXT    NOT NULL  -- in words
) STRICT;
