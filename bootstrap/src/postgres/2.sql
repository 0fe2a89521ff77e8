-- Files for people who are away; their pieces are elsewhere (protocol::blob).
CREATE TABLE blobs (
    blob             bytea PRIMARY KEY CHECK (octet_length(blob) = 32),
    owner            bytea NOT NULL CHECK (octet_length(owner) = 32),
    bytes            bigint NOT NULL,
    stored           bytea NOT NULL, -- a bit for each piece, from the least of the first byte
    pieces           integer NOT NULL,
    unfinished_until bigint NOT NULL,
    until            bigint NOT NULL,
    -- When it ends: kept, so that it can be looked for.
    ends             bigint GENERATED ALWAYS AS
        (CASE WHEN bit_count(stored) = pieces THEN until ELSE unfinished_until END) STORED
);
CREATE INDEX blobs_owner ON blobs (owner) INCLUDE (bytes);
CREATE INDEX blobs_ends ON blobs (ends);
