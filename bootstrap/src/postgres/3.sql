-- Processes that are one relay, and where each is reached; one that has not been seen for a while is gone.
CREATE TABLE processes (
    process   bytea PRIMARY KEY CHECK (octet_length(process) = 32),
    addresses bytea[] NOT NULL,
    seen      timestamptz NOT NULL
);
