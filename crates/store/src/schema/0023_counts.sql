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

-- Which tools a task was allowed to call, so that it is known what was granted and never
-- used however many calls there were.
CREATE TABLE task_tools (
    org  TEXT NOT NULL,
    task TEXT NOT NULL,
    tool TEXT NOT NULL,
    PRIMARY KEY (org, task, tool)
) STRICT, WITHOUT ROWID;
INSERT INTO task_tools (org, task, tool)
SELECT DISTINCT org, task, tool FROM entries
WHERE kind = 'action.decided' AND decision = 'allow' AND task IS NOT NULL AND tool IS NOT NULL;
