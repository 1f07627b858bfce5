-- When each deployment was there, and on which terms: what hosting is reckoned by. `emberway cost` reads it. Rows stay for good.

-- A change of SKU or capacity ends a life and begins the next. Times are milliseconds since the Unix epoch.
CREATE TABLE life (
    deployment    TEXT    NOT NULL,
    from_ms       INTEGER NOT NULL, -- its creation or its change; its first sight where neither is known
    created_at_ms INTEGER,          -- Azure's word, or the configuration's
    sku           TEXT    NOT NULL, -- as Azure spells it
    capacity      INTEGER,          -- units of the SKU
    seen_at_ms    INTEGER NOT NULL, -- when it was last known to be there
    ended_at_ms   INTEGER,          -- NULL while it goes on
    PRIMARY KEY (deployment, from_ms)
) STRICT, WITHOUT ROWID;
