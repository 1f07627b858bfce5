-- What of the history was deleted, so that it does not look like a time without requests, and the clock by which rows grow old.

ALTER TABLE history_mark ADD COLUMN seconds_from_ms INTEGER NOT NULL DEFAULT 0; -- from here on all rows of ten seconds are there
ALTER TABLE history_mark ADD COLUMN minutes_from_ms INTEGER NOT NULL DEFAULT 0; -- those of minutes
ALTER TABLE history_mark ADD COLUMN hours_from_ms   INTEGER NOT NULL DEFAULT 0; -- those of hours
ALTER TABLE history_mark ADD COLUMN clock_ms        INTEGER;                    -- follows the wall clock; empty before the first deletion
