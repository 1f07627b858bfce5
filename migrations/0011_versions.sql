-- Texts of the configuration that were put to use, newest last: from the page, restored, or changed by hand and noticed. They hold references to
-- secrets only. The newest 500 are kept, at most 64 MiB of them.
CREATE TABLE config_version (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms   INTEGER NOT NULL,
    who     TEXT NOT NULL,
    note    TEXT NOT NULL,
    summary TEXT NOT NULL,
    sha256  TEXT NOT NULL,
    text    TEXT NOT NULL
) STRICT;
