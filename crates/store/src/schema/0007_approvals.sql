-- Calls that are held for a person, and what people said.

CREATE TABLE approvals (
    org             TEXT    NOT NULL,
    id              TEXT    NOT NULL,
    state           TEXT    NOT NULL,
    action          BLOB    NOT NULL,
    policy          BLOB    NOT NULL,
    rule            TEXT    NOT NULL,
    risk            TEXT    NOT NULL,
    server          TEXT    NOT NULL,
    tool            TEXT    NOT NULL,
    principal       TEXT    NOT NULL,
    agent           TEXT    NOT NULL,
    instance        TEXT,
    workflow        TEXT    NOT NULL,
    workflow_digest BLOB    NOT NULL,
    task            TEXT    NOT NULL,
    root            BLOB    NOT NULL,
    leaf            BLOB    NOT NULL,
    needed          INTEGER NOT NULL,
    asked           INTEGER NOT NULL,
    expires         INTEGER NOT NULL,
    settled         INTEGER,
    entry           TEXT    NOT NULL,
    PRIMARY KEY (org, id)
) STRICT;
CREATE INDEX approvals_state ON approvals (org, state, expires);
CREATE INDEX approvals_asked ON approvals (org, asked);
CREATE INDEX approvals_task ON approvals (org, task, asked);

-- From when on a passkey or key may sign verdicts; NULL: a while after it was
-- added.
ALTER TABLE credentials ADD COLUMN trusted INTEGER;

-- One person says one thing about one call.
CREATE TABLE verdicts (
    org        TEXT    NOT NULL,
    approval   TEXT    NOT NULL,
    approver   TEXT    NOT NULL,
    verdict    TEXT    NOT NULL,
    grade      TEXT    NOT NULL,
    credential TEXT    NOT NULL,
    signed     TEXT    NOT NULL,
    said       INTEGER NOT NULL,
    entry      TEXT    NOT NULL,
    PRIMARY KEY (org, approval, approver),
    FOREIGN KEY (org, approval) REFERENCES approvals (org, id)
) STRICT;
CREATE INDEX verdicts_approver ON verdicts (org, approver, said);
