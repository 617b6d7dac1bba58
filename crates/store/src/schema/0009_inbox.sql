-- How waiting calls are found, told of and counted.

CREATE INDEX approvals_entry ON approvals (org, entry);
CREATE INDEX approvals_agent ON approvals (org, agent, asked);
CREATE INDEX approvals_tool ON approvals (org, tool, asked);
CREATE INDEX approvals_workflow ON approvals (org, workflow, asked);
CREATE INDEX verdicts_said ON verdicts (org, said);

-- Up to which entry of the ledger a webhook was told: `upto` is the first that
-- was not looked at. No projection: what was sent is no part of the ledger.
CREATE TABLE webhooks (
    org  TEXT    NOT NULL,
    name TEXT    NOT NULL,
    upto INTEGER NOT NULL,
    PRIMARY KEY (org, name)
) STRICT, WITHOUT ROWID;

-- What a webhook is told. `due` is NULL once it was delivered or given up.
CREATE TABLE deliveries (
    org       TEXT    NOT NULL,
    webhook   TEXT    NOT NULL,
    entry     TEXT    NOT NULL,
    event     TEXT    NOT NULL,
    approval  TEXT    NOT NULL,
    time      INTEGER NOT NULL,
    tries     INTEGER NOT NULL,
    due       INTEGER,
    tried     INTEGER,
    delivered INTEGER,
    failure   TEXT,
    PRIMARY KEY (org, webhook, entry)
) STRICT;
CREATE INDEX deliveries_due ON deliveries (org, webhook, due) WHERE due IS NOT NULL;
CREATE INDEX deliveries_tried ON deliveries (org, webhook, tried) WHERE tried IS NOT NULL;
CREATE INDEX deliveries_over ON deliveries (org, time) WHERE due IS NULL;
