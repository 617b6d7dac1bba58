-- The organisation's policy: every publication, in the order of its entries. Of
-- each place the last one counts; one without a digest ends it.
CREATE TABLE policies (
    org       TEXT    NOT NULL,
    place     TEXT    NOT NULL,
    digest    BLOB,
    document  TEXT    NOT NULL,
    published INTEGER NOT NULL,
    entry     TEXT    NOT NULL,
    PRIMARY KEY (org, entry)
) STRICT;
CREATE INDEX policies_place ON policies (org, place);
CREATE INDEX policies_digest ON policies (org, digest) WHERE digest IS NOT NULL;
