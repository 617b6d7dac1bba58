-- How many entries a run has: each new one has the next number in its leaf. Those of
-- before have none, and count.

CREATE TABLE run_entries (
    org     TEXT    NOT NULL,
    run     TEXT    NOT NULL,
    entries INTEGER NOT NULL,
    PRIMARY KEY (org, run)
) STRICT, WITHOUT ROWID;
INSERT INTO run_entries (org, run, entries)
SELECT org, run, count(*) FROM entries WHERE run IS NOT NULL GROUP BY 1, 2;
