//! Statements of the mailbox store, and its rows.

use postgres::Row;
use protocol::ids::{AccountId, EnvelopeId, QueueId};
use protocol::mailbox::{Due, DueKind, Held, Kind, Queue, Seen, StoredItem, Usage};
use protocol::time::Timestamp;

use super::number;
use super::view::Changes;
use crate::error::StoreError;
use crate::postgres::{Connection, fixed, signed};

pub(super) const LOCK_QUEUES: &str = "SELECT receive, send, owner_key, deposit_key, account, closes_at, \
    opened_at, last_seq, forgotten_seq, items, bytes \
    FROM queues WHERE receive = ANY($1) ORDER BY receive FOR UPDATE";
pub(super) const PEEK_QUEUE: &str = "SELECT receive, send, owner_key, deposit_key, account, closes_at, \
    opened_at, last_seq, forgotten_seq, items, bytes FROM queues WHERE receive = $1";
// The first number says what is locked: addresses that are opened (1), counts (2), the schema (3), identifiers (4),
// the sweep (5), room for files (6).
pub(super) const LOCK_ADDRESSES: &str =
    "SELECT pg_advisory_xact_lock(1, key) FROM unnest($1::integer[]) AS key";
pub(super) const TRY_SWEEP: &str = "SELECT pg_try_advisory_xact_lock(5, 0)";
/// Makes and locks in one pass: a row that is deleted while it is waited for is made again, in its turn.
pub(super) const LOCK_USAGES: &str = "INSERT INTO usage SELECT account, 0, 0, 0 \
    FROM unnest($1::bytea[]) AS account ORDER BY account \
    ON CONFLICT (account) DO UPDATE SET account = excluded.account \
    RETURNING account, queues, items, bytes";
pub(super) const FIND_SEEN: &str = "SELECT s.receive, s.envelope, s.seq, s.at, s.until, s.forget_at \
    FROM seen s JOIN unnest($1::bytea[], $2::bytea[]) AS w (receive, envelope) USING (receive, envelope)";
pub(super) const FIND_ITEMS: &str = "SELECT i.receive, i.seq, i.envelope, i.until, octet_length(i.body)::bigint \
    FROM items i JOIN unnest($1::bytea[], $2::bigint[]) AS w (receive, seq) USING (receive, seq)";
/// Of several queues, each from a position on and up to so many bytes, and one item more.
pub(super) const ITEMS: &str = "SELECT w.nth, i.seq, i.envelope, i.deposited_at, i.until, i.body \
    FROM unnest($1::bytea[], $2::bigint[], $3::bigint[]) WITH ORDINALITY AS w (receive, after, bytes, nth) \
    CROSS JOIN LATERAL (SELECT *, sum(octet_length(body)) OVER (ORDER BY seq) - octet_length(body) AS before \
        FROM (SELECT * FROM items WHERE receive = w.receive AND seq > w.after ORDER BY seq LIMIT $4) AS first) AS i \
    WHERE i.before <= w.bytes ORDER BY w.nth, i.seq";
pub(super) const DUE: &str = "SELECT at, receive, kind, seq, envelope FROM due WHERE at <= $1 \
    ORDER BY at, receive, kind, seq, envelope LIMIT $2";
pub(super) const PUT_BUNDLE: &str =
    "INSERT INTO bundles VALUES ($1, $2) ON CONFLICT (receive) DO UPDATE SET bundle = $2";
pub(super) const DELETE_QUEUE: [&str; 4] = [
    "DELETE FROM items WHERE receive = $1",
    "DELETE FROM seen WHERE receive = $1",
    "DELETE FROM bundles WHERE receive = $1",
    "DELETE FROM queues WHERE receive = $1",
];

const PUT_QUEUES: &str = "INSERT INTO queues SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], \
    $4::bytea[], $5::bytea[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], \
    $11::bigint[]) ON CONFLICT (receive) DO UPDATE SET last_seq = excluded.last_seq, \
    forgotten_seq = excluded.forgotten_seq, items = excluded.items, bytes = excluded.bytes";
const PUT_USAGES: &str = "INSERT INTO usage SELECT * FROM \
    unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::bigint[]) ON CONFLICT (account) DO UPDATE \
    SET queues = excluded.queues, items = excluded.items, bytes = excluded.bytes";
pub(super) const DELETE_USAGES: &str =
    "DELETE FROM usage WHERE account = ANY($1) AND queues = 0 AND items = 0 AND bytes = 0";
const PUT_ITEMS: &str = "INSERT INTO items SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::bytea[], \
    $4::bigint[], $5::bigint[], $6::bytea[]) ON CONFLICT (receive, seq) DO UPDATE SET \
    envelope = excluded.envelope, deposited_at = excluded.deposited_at, until = excluded.until, \
    body = excluded.body";
const DELETE_ITEMS: &str = "DELETE FROM items i USING unnest($1::bytea[], $2::bigint[]) AS w (receive, seq) \
    WHERE i.receive = w.receive AND i.seq = w.seq";
const FORGET_SEEN: &str = "DELETE FROM seen s USING unnest($1::bytea[], $2::bigint[]) AS w (receive, seq) \
    WHERE s.receive = w.receive AND s.seq = w.seq";
const PUT_SEEN: &str = "INSERT INTO seen SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bigint[], \
    $4::bigint[], $5::bigint[], $6::bigint[]) ON CONFLICT (receive, envelope) DO UPDATE SET \
    seq = excluded.seq, at = excluded.at, until = excluded.until, forget_at = excluded.forget_at";
const DELETE_SEEN: &str = "DELETE FROM seen s USING unnest($1::bytea[], $2::bytea[]) AS w (receive, envelope) \
    WHERE s.receive = w.receive AND s.envelope = w.envelope";
const PUT_DUE: &str = "INSERT INTO due SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::smallint[], \
    $4::bigint[], $5::bytea[]) ON CONFLICT DO NOTHING";
const DELETE_DUE: &str = "DELETE FROM due d USING unnest($1::bigint[], $2::bytea[], $3::smallint[], \
    $4::bigint[], $5::bytea[]) AS w (at, receive, kind, seq, envelope) \
    WHERE d.at = w.at AND d.receive = w.receive AND d.kind = w.kind AND d.seq = w.seq \
    AND d.envelope = w.envelope";

/// An envelope where an entry of the expiry index has none.
const NO_ENVELOPE: [u8; 16] = [0; 16];

pub(super) fn queue_id(row: &Row, column: usize) -> Result<QueueId, StoreError> {
    fixed(row, column).map(QueueId)
}

fn time(row: &Row, column: usize) -> Timestamp {
    Timestamp(number(row, column))
}

fn count(row: &Row, column: usize) -> u32 {
    u32::try_from(number(row, column)).unwrap_or(u32::MAX)
}

pub(super) fn queue(row: &Row) -> Result<Queue, StoreError> {
    let kind = match row.get::<_, Option<i64>>(5) {
        None => Kind::Contact,
        Some(_) => Kind::Drop { closes_at: time(row, 5) },
    };
    Ok(Queue {
        receive: queue_id(row, 0)?,
        send: queue_id(row, 1)?,
        owner_key: fixed(row, 2)?,
        deposit_key: fixed(row, 3)?,
        account: AccountId(fixed(row, 4)?),
        kind,
        opened_at: time(row, 6),
        last_seq: number(row, 7),
        forgotten_seq: number(row, 8),
        items: count(row, 9),
        bytes: number(row, 10),
    })
}

pub(super) fn usage(row: &Row) -> Result<(AccountId, Usage), StoreError> {
    let usage = Usage { queues: count(row, 1), items: count(row, 2), bytes: number(row, 3) };
    Ok((AccountId(fixed(row, 0)?), usage))
}

pub(super) fn item(row: &Row) -> Result<(u64, StoredItem), StoreError> {
    let item = StoredItem {
        envelope: EnvelopeId(fixed(row, 2)?),
        deposited_at: time(row, 3),
        until: time(row, 4),
        body: row.get::<_, Vec<u8>>(5).into(),
    };
    Ok((number(row, 1), item))
}

pub(super) fn held(row: &Row) -> Result<(QueueId, u64, Held), StoreError> {
    let held =
        Held { envelope: EnvelopeId(fixed(row, 2)?), until: time(row, 3), length: number(row, 4) };
    Ok((queue_id(row, 0)?, number(row, 1), held))
}

pub(super) fn seen(row: &Row) -> Result<(QueueId, EnvelopeId, Seen), StoreError> {
    let seen = Seen {
        seq: number(row, 2),
        at: time(row, 3),
        until: time(row, 4),
        forget_at: time(row, 5),
    };
    Ok((queue_id(row, 0)?, EnvelopeId(fixed(row, 1)?), seen))
}

pub(super) fn due(row: &Row) -> Result<Due, StoreError> {
    let seq = number(row, 3);
    let what = match row.get::<_, i16>(2) {
        0 => DueKind::Item(seq),
        1 => DueKind::Seen(seq, EnvelopeId(fixed(row, 4)?)),
        _ => DueKind::Queue,
    };
    Ok(Due { at: time(row, 0), receive: queue_id(row, 1)?, what })
}

/// Writes changes, each kind with one statement. Queues and usages are written in the order in which they are locked.
pub(super) fn write(connection: &mut Connection, changes: Changes) -> Result<(), StoreError> {
    let Changes { queues, usages, items, forgotten, seen, due } = changes;
    put_queues(connection, &queues)?;
    put_usages(connection, &usages)?;
    write_items(connection, &items)?;
    if !forgotten.is_empty() {
        let (receives, seqs) = positions(forgotten.iter());
        connection.execute(FORGET_SEEN, &[&receives, &seqs])?;
    }
    write_seen(connection, &seen)?;
    for (wanted, sql) in [(false, DELETE_DUE), (true, PUT_DUE)] {
        let entries: Vec<_> = due.iter().filter(|(_, put)| **put == wanted).collect();
        if entries.is_empty() {
            continue;
        }
        let at: Vec<_> = entries.iter().map(|(due, _)| signed(due.at.0)).collect();
        let receives: Vec<_> = entries.iter().map(|(due, _)| due.receive.0.as_slice()).collect();
        let whats = entries.iter().map(|(due, _)| match &due.what {
            DueKind::Item(seq) => (0i16, *seq, NO_ENVELOPE.as_slice()),
            DueKind::Seen(seq, envelope) => (1, *seq, envelope.0.as_slice()),
            DueKind::Queue => (2, 0, NO_ENVELOPE.as_slice()),
        });
        let (mut kinds, mut seqs, mut envelopes) = (Vec::new(), Vec::new(), Vec::new());
        for (kind, seq, envelope) in whats {
            kinds.push(kind);
            seqs.push(signed(seq));
            envelopes.push(envelope);
        }
        connection.execute(sql, &[&at, &receives, &kinds, &seqs, &envelopes])?;
    }
    Ok(())
}

fn put_queues(connection: &mut Connection, queues: &[Queue]) -> Result<(), StoreError> {
    if queues.is_empty() {
        return Ok(());
    }
    let bytes = |of: fn(&Queue) -> &[u8]| -> Vec<&[u8]> { queues.iter().map(of).collect() };
    let numbers = |of: fn(&Queue) -> u64| -> Vec<i64> {
        queues.iter().map(|queue| signed(of(queue))).collect()
    };
    let closes: Vec<Option<i64>> = queues
        .iter()
        .map(|queue| match queue.kind {
            Kind::Contact => None,
            Kind::Drop { closes_at } => Some(signed(closes_at.0)),
        })
        .collect();
    connection
        .execute(
            PUT_QUEUES,
            &[
                &bytes(|queue| &queue.receive.0),
                &bytes(|queue| &queue.send.0),
                &bytes(|queue| &queue.owner_key),
                &bytes(|queue| &queue.deposit_key),
                &bytes(|queue| &queue.account.0),
                &closes,
                &numbers(|queue| queue.opened_at.0),
                &numbers(|queue| queue.last_seq),
                &numbers(|queue| queue.forgotten_seq),
                &numbers(|queue| queue.items.into()),
                &numbers(|queue| queue.bytes),
            ],
        )
        .map(drop)
}

fn put_usages(
    connection: &mut Connection,
    usages: &[(AccountId, Usage)],
) -> Result<(), StoreError> {
    if usages.is_empty() {
        return Ok(());
    }
    let accounts: Vec<_> = usages.iter().map(|(account, _)| account.0.as_slice()).collect();
    let of = |number: fn(&Usage) -> u64| -> Vec<i64> {
        usages.iter().map(|(_, usage)| signed(number(usage))).collect()
    };
    let queues = of(|usage| usage.queues.into());
    let (items, bytes) = (of(|usage| usage.items.into()), of(|usage| usage.bytes));
    connection.execute(PUT_USAGES, &[&accounts, &queues, &items, &bytes])?;
    let nothing = |(_, usage): &&(AccountId, Usage)| *usage == Usage::default();
    let none: Vec<_> =
        usages.iter().filter(nothing).map(|(account, _)| account.0.as_slice()).collect();
    if !none.is_empty() {
        connection.execute(DELETE_USAGES, &[&none])?;
    }
    Ok(())
}

type Item = ((QueueId, u64), Option<StoredItem>);

fn write_items(connection: &mut Connection, items: &[Item]) -> Result<(), StoreError> {
    let gone: Vec<_> =
        items.iter().filter(|(_, item)| item.is_none()).map(|(position, _)| *position).collect();
    if !gone.is_empty() {
        let (receives, seqs) = positions(gone.iter());
        connection.execute(DELETE_ITEMS, &[&receives, &seqs])?;
    }
    let put: Vec<_> = items
        .iter()
        .filter_map(|(position, item)| item.as_ref().map(|item| (position, item)))
        .collect();
    if put.is_empty() {
        return Ok(());
    }
    let (receives, seqs) = positions(put.iter().map(|(position, _)| *position));
    let envelopes: Vec<_> = put.iter().map(|(_, item)| item.envelope.0.as_slice()).collect();
    let deposited: Vec<_> = put.iter().map(|(_, item)| signed(item.deposited_at.0)).collect();
    let until: Vec<_> = put.iter().map(|(_, item)| signed(item.until.0)).collect();
    let bodies: Vec<_> = put.iter().map(|(_, item)| item.body.as_slice()).collect();
    connection
        .execute(PUT_ITEMS, &[&receives, &seqs, &envelopes, &deposited, &until, &bodies])
        .map(drop)
}

type SeenRow = ((QueueId, EnvelopeId), Option<Seen>);

fn write_seen(connection: &mut Connection, seen: &[SeenRow]) -> Result<(), StoreError> {
    let (put, gone): (Vec<&SeenRow>, Vec<&SeenRow>) =
        seen.iter().partition(|(_, seen)| seen.is_some());
    let keys = |rows: &[&'_ SeenRow]| -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
        rows.iter()
            .map(|((receive, envelope), _)| (receive.0.to_vec(), envelope.0.to_vec()))
            .unzip()
    };
    if !gone.is_empty() {
        let (receives, envelopes) = keys(&gone);
        connection.execute(DELETE_SEEN, &[&receives, &envelopes])?;
    }
    if put.is_empty() {
        return Ok(());
    }
    let (receives, envelopes) = keys(&put);
    let of = |number: fn(&Seen) -> u64| -> Vec<i64> {
        put.iter().filter_map(|(_, seen)| seen.as_ref()).map(|seen| signed(number(seen))).collect()
    };
    let (seqs, at) = (of(|seen| seen.seq), of(|seen| seen.at.0));
    let (until, forget_at) = (of(|seen| seen.until.0), of(|seen| seen.forget_at.0));
    connection.execute(PUT_SEEN, &[&receives, &envelopes, &seqs, &at, &until, &forget_at]).map(drop)
}

fn positions<'a>(of: impl Iterator<Item = &'a (QueueId, u64)>) -> (Vec<&'a [u8]>, Vec<i64>) {
    of.map(|(receive, seq)| (receive.0.as_slice(), signed(*seq))).unzip()
}
