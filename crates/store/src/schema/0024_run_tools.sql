-- What a run's calls of each tool came to: kept with each entry, so that a run's
-- completion is derived as fast after very many calls as after few. `going` counts
-- allowed calls whose outcome is not known yet; `over` is the index of the last outcome
-- of a call that may have changed something, `ok` that of the last that went well.

CREATE TABLE run_tools (
    org      TEXT    NOT NULL,
    run      TEXT    NOT NULL,
    tool     TEXT    NOT NULL,
    external INTEGER NOT NULL,
    going    INTEGER NOT NULL,
    over     INTEGER,
    ok       INTEGER,
    PRIMARY KEY (org, run, tool, external)
) STRICT, WITHOUT ROWID;
INSERT INTO run_tools (org, run, tool, external, going, over, ok)
SELECT e.org, e.run, e.tool, a.external, count(*) FILTER (WHERE a.completed IS NULL),
       max(a.completed) FILTER (WHERE a.external = 1 OR a.outcome IS NOT 'not_executed'),
       max(a.completed) FILTER (WHERE a.outcome = 'ok')
FROM entries e JOIN actions a ON a.org = e.org AND a.action = e.action
WHERE e.kind = 'action.decided' AND e.decision = 'allow' AND e.run IS NOT NULL
  AND e.tool IS NOT NULL
GROUP BY 1, 2, 3, 4;

-- Runs with a call that needed a person, and peers that were turned away, without the
-- other calls and entries of a span.
CREATE INDEX run_calls_held ON run_calls (org, run) WHERE decision = 'approval_required';
CREATE INDEX entries_refused ON entries (org, time, kind, reason)
    WHERE kind IN ('handoff.rejected', 'peer.refused');

-- What a run's calls came to is not read from its entries any more, so their index needs
-- neither the calls nor who made them.
DROP INDEX entries_run_calls;
CREATE INDEX entries_run_calls ON entries (org, run, kind, decision, tool) WHERE run IS NOT NULL;

-- Whether the case that keeps a failure from coming back held already by what was decided
-- when it was detected: then it shows no mend.
ALTER TABLE failures ADD COLUMN held_before INTEGER;
