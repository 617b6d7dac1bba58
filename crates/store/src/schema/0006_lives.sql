-- Which process has an allowed call under way, by the id of its life. This column is no
-- projection: the ledger does not say it, and rows from before have none.
ALTER TABLE actions ADD COLUMN life TEXT;
