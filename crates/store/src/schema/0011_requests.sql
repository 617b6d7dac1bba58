-- What agents asked for that they lack.

CREATE TABLE authority_requests (
    org             TEXT    NOT NULL,
    id              TEXT    NOT NULL,
    state           TEXT    NOT NULL,
    principal       TEXT    NOT NULL,
    agent           TEXT    NOT NULL,
    instance        TEXT    NOT NULL,
    holder          BLOB    NOT NULL,
    workflow        TEXT    NOT NULL,
    workflow_digest BLOB    NOT NULL,
    task            TEXT    NOT NULL,
    grant_id        TEXT    NOT NULL,
    root            BLOB    NOT NULL,
    leaf            BLOB    NOT NULL,
    seconds         INTEGER NOT NULL,
    asked           INTEGER NOT NULL,
    expires         INTEGER NOT NULL,
    settled         INTEGER,
    granted         TEXT,
    entry           TEXT    NOT NULL,
    PRIMARY KEY (org, id)
) STRICT;
CREATE INDEX authority_requests_state ON authority_requests (org, state, expires);
CREATE INDEX authority_requests_asked ON authority_requests (org, asked);
CREATE INDEX authority_requests_task ON authority_requests (org, task, asked);

-- Whose counters a grant's budget counts in, if not its own.
ALTER TABLE grants ADD COLUMN account BLOB;
