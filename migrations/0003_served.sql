-- Where a request was really processed, as the answer told: the region of `x-ms-region`, and the deployment that Azure
-- spilled it over to. NULL where the answer did not tell, or there was none. `emberway usage --residency` reads them.

ALTER TABLE usage ADD COLUMN served_region TEXT;
ALTER TABLE usage ADD COLUMN spilled_to TEXT;
