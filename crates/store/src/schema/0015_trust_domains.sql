-- Other trust domains, as they are configured, and their own last word on whom they
-- revoked. No projection: the configuration says the one, and each domain the other.
-- A domain that is not configured any more keeps its row, so that an older word of it
-- is never taken again.
CREATE TABLE trust_domains (
    org           TEXT    NOT NULL,
    name          TEXT    NOT NULL,
    configured    INTEGER NOT NULL,
    issuer        TEXT    NOT NULL,
    owner         TEXT    NOT NULL,
    tools         TEXT    NOT NULL,
    max_guarantee TEXT    NOT NULL,
    keys          TEXT    NOT NULL,
    sequence      INTEGER NOT NULL,
    issued        INTEGER NOT NULL,
    as_of         INTEGER NOT NULL,
    revoked       TEXT    NOT NULL,
    PRIMARY KEY (org, name)
) STRICT;

-- Who answers here for a taker of another trust domain.
ALTER TABLE handoffs ADD COLUMN owner TEXT;
