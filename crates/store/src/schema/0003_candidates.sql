-- What tool servers say their tools are, where nobody accepted it: shown to a
-- person, never called. Whoever pins a tool ends its candidate.
CREATE TABLE candidates (
    org        TEXT    NOT NULL,
    tool       TEXT    NOT NULL,
    server     TEXT    NOT NULL,
    digest     BLOB    NOT NULL,
    definition TEXT    NOT NULL,
    seen       INTEGER NOT NULL,
    entry      TEXT    NOT NULL,
    PRIMARY KEY (org, tool),
    FOREIGN KEY (org, server) REFERENCES tool_servers (org, name)
) STRICT;
CREATE INDEX candidates_server ON candidates (org, server, tool);
