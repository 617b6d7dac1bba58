-- Since when a run is known to have failed; one that waits for others fails when their
-- patience has run out.

ALTER TABLE runs ADD COLUMN failed INTEGER;
UPDATE runs SET failed = ended WHERE complete = 0 AND pending = 0;

-- Runs that failed lately, for error budgets.
DROP INDEX runs_failed;
CREATE INDEX runs_failed ON runs (org, workflow, failed) WHERE complete = 0 AND pending = 0;
CREATE INDEX runs_pending ON runs (org, workflow, ended) WHERE complete = 0 AND pending = 1;
