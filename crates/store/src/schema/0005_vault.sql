-- Credentials of tool servers, each encrypted under the vault's key. They live
-- only here: they are no projection of the ledger, which never held them.
-- `principal` is an alias, or empty for the gateway's own.
CREATE TABLE vault (
    org       TEXT NOT NULL,
    server    TEXT NOT NULL,
    principal TEXT NOT NULL,
    kind      TEXT NOT NULL,
    entry     TEXT NOT NULL,
    key       TEXT NOT NULL,
    sealed    BLOB NOT NULL,
    PRIMARY KEY (org, server, principal)
) STRICT;
