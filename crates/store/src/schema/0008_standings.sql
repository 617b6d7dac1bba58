-- Standing approvals: the same call again, within bounds that people signed. What
-- its arguments may be stands sealed beside the entries that approved it.

CREATE TABLE standings (
    org             TEXT    NOT NULL,
    id              TEXT    NOT NULL,
    state           TEXT    NOT NULL,
    digest          BLOB    NOT NULL,
    approval        TEXT    NOT NULL,
    policy          BLOB    NOT NULL,
    rule            TEXT    NOT NULL,
    risk            TEXT    NOT NULL,
    server          TEXT    NOT NULL,
    tool            TEXT    NOT NULL,
    principal       TEXT    NOT NULL,
    agent           TEXT    NOT NULL,
    workflow        TEXT    NOT NULL,
    workflow_digest BLOB    NOT NULL,
    task            TEXT    NOT NULL,
    root            BLOB    NOT NULL,
    needed          INTEGER NOT NULL,
    count           INTEGER NOT NULL,
    used            INTEGER NOT NULL,
    starts          INTEGER NOT NULL,
    ends            INTEGER NOT NULL,
    entry           TEXT    NOT NULL,
    PRIMARY KEY (org, id)
) STRICT;
CREATE INDEX standings_root ON standings (org, root, tool, ends);
CREATE INDEX standings_ends ON standings (org, ends);

-- One person signs one standing approval once.
CREATE TABLE standing_signatures (
    org        TEXT    NOT NULL,
    standing   TEXT    NOT NULL,
    approver   TEXT    NOT NULL,
    grade      TEXT    NOT NULL,
    credential TEXT    NOT NULL,
    said       INTEGER NOT NULL,
    entry      TEXT    NOT NULL,
    PRIMARY KEY (org, standing, approver),
    FOREIGN KEY (org, standing) REFERENCES standings (org, id)
) STRICT;
