-- People, services and clients: who may log in, who speaks for which agent.
-- A principal without a signing key of its own has an empty `jwk`.

-- OAuth clients. One that is mapped to an agent is an instance of it.
CREATE TABLE clients (
    org        TEXT    NOT NULL,
    id         TEXT    NOT NULL,
    source     TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    metadata   TEXT    NOT NULL,
    agent      TEXT,
    instance   TEXT,
    status     TEXT    NOT NULL,
    registered INTEGER NOT NULL,
    entry      TEXT    NOT NULL,
    PRIMARY KEY (org, id),
    FOREIGN KEY (org, agent) REFERENCES agents (org, id)
) STRICT;
CREATE INDEX clients_agent ON clients (org, agent) WHERE agent IS NOT NULL;
CREATE UNIQUE INDEX clients_instance ON clients (org, instance) WHERE instance IS NOT NULL;

-- What a principal proves itself with: passkeys, logins elsewhere, service keys.
CREATE TABLE credentials (
    org       TEXT    NOT NULL,
    id        TEXT    NOT NULL,
    principal TEXT    NOT NULL,
    kind      TEXT    NOT NULL,
    lookup    BLOB    NOT NULL,
    data      TEXT    NOT NULL,
    label     TEXT    NOT NULL,
    status    TEXT    NOT NULL,
    added     INTEGER NOT NULL,
    entry     TEXT    NOT NULL,
    PRIMARY KEY (org, id),
    FOREIGN KEY (org, principal) REFERENCES principals (org, alias)
) STRICT;
CREATE UNIQUE INDEX credentials_lookup ON credentials (org, kind, lookup);
CREATE INDEX credentials_principal ON credentials (org, principal);

-- Who may do what in the console and over the API.
CREATE TABLE roles (
    org       TEXT NOT NULL,
    principal TEXT NOT NULL,
    role      TEXT NOT NULL,
    entry     TEXT NOT NULL,
    PRIMARY KEY (org, principal, role),
    FOREIGN KEY (org, principal) REFERENCES principals (org, alias)
) STRICT;

-- What principals may do and grant at most: the document in force.
CREATE TABLE entitlements (
    org       TEXT    NOT NULL PRIMARY KEY,
    digest    BLOB    NOT NULL,
    document  TEXT    NOT NULL,
    published INTEGER NOT NULL,
    entry     TEXT    NOT NULL
) STRICT;

-- What kind of token a root is, for which client, and its place in the status
-- list. Roots of before are delegation tokens without a client.
ALTER TABLE delegations ADD COLUMN form TEXT NOT NULL DEFAULT 'aat';
ALTER TABLE delegations ADD COLUMN client TEXT;
ALTER TABLE delegations ADD COLUMN status_index INTEGER;
CREATE UNIQUE INDEX delegations_status ON delegations (org, status_index)
    WHERE status_index IS NOT NULL;
CREATE INDEX delegations_client ON delegations (org, client) WHERE client IS NOT NULL;

-- Short-lived things that live only here: sessions, codes, challenges, requests
-- under way. `key` is the SHA-256 of the secret that whoever redeems it shows.
CREATE TABLE tickets (
    org     TEXT    NOT NULL,
    kind    TEXT    NOT NULL,
    key     BLOB    NOT NULL,
    family  TEXT    NOT NULL,
    value   TEXT    NOT NULL,
    expires INTEGER NOT NULL,
    PRIMARY KEY (org, kind, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX tickets_family ON tickets (org, kind, family);
CREATE INDEX tickets_expires ON tickets (org, expires);
