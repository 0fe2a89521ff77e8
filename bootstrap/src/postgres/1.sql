-- Times are milliseconds since 1970. An identifier is a keyed hash.
-- By which the pepper is known again that identifiers are hashed with.
CREATE TABLE pepper (word bytea NOT NULL);

CREATE TABLE accounts (
    account    bytea PRIMARY KEY CHECK (octet_length(account) = 32),
    identifier bytea NOT NULL CHECK (octet_length(identifier) = 32),
    created    bigint NOT NULL,
    renewed    bigint NOT NULL,
    standing   smallint NOT NULL, -- 0 good, 1 suspended, 2 displaced
    displaced  bigint
);
-- An identifier admits one account.
CREATE UNIQUE INDEX accounts_identifier ON accounts (identifier) WHERE standing <> 2;

-- What registrations cost (protocol::registration::limits).
CREATE TABLE counts (
    kind    smallint NOT NULL,
    counted bytea NOT NULL,
    at      bigint NOT NULL
);
CREATE INDEX counts_counted ON counts (kind, counted, at);
CREATE INDEX counts_at ON counts (at);

CREATE TABLE queues (
    receive       bytea PRIMARY KEY CHECK (octet_length(receive) = 16),
    send          bytea NOT NULL UNIQUE CHECK (octet_length(send) = 16),
    owner_key     bytea NOT NULL CHECK (octet_length(owner_key) = 32),
    deposit_key   bytea NOT NULL CHECK (octet_length(deposit_key) = 32),
    account       bytea NOT NULL CHECK (octet_length(account) = 32),
    closes_at     bigint, -- of a drop
    opened_at     bigint NOT NULL,
    last_seq      bigint NOT NULL,
    forgotten_seq bigint NOT NULL,
    items         bigint NOT NULL,
    bytes         bigint NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX queues_account ON queues (account);

CREATE TABLE bundles (
    receive bytea PRIMARY KEY,
    bundle  bytea NOT NULL
);

CREATE TABLE usage (
    account bytea PRIMARY KEY,
    queues  bigint NOT NULL,
    items   bigint NOT NULL,
    bytes   bigint NOT NULL
) WITH (fillfactor = 70);

CREATE TABLE items (
    receive      bytea NOT NULL,
    seq          bigint NOT NULL,
    envelope     bytea NOT NULL CHECK (octet_length(envelope) = 16),
    deposited_at bigint NOT NULL,
    until        bigint NOT NULL,
    body         bytea NOT NULL,
    PRIMARY KEY (receive, seq)
);
-- Ciphertext does not compress.
ALTER TABLE items ALTER COLUMN body SET STORAGE EXTERNAL;

CREATE TABLE seen (
    receive   bytea NOT NULL,
    envelope  bytea NOT NULL CHECK (octet_length(envelope) = 16),
    seq       bigint NOT NULL,
    at        bigint NOT NULL,
    until     bigint NOT NULL,
    forget_at bigint NOT NULL,
    PRIMARY KEY (receive, envelope)
);
CREATE INDEX seen_seq ON seen (receive, seq);

CREATE TABLE due (
    at       bigint NOT NULL,
    receive  bytea NOT NULL,
    kind     smallint NOT NULL, -- 0 item, 1 seen, 2 queue
    seq      bigint NOT NULL,
    envelope bytea NOT NULL,
    PRIMARY KEY (at, receive, kind, seq, envelope)
);
