//! What nodes and relays keep: damaged values are refused, never a panic.

use std::sync::LazyLock;

use crypto::rekey::{REKEY_LEN, RekeyPrekeys};
use crypto::{
    FIRST_AGREEMENT_VERSION, InvitePrekeys, KdfParams, KeyFileMode, Secret, TreeKey, Unlock, Vault,
};
use protocol::Cx;
use protocol::chat::{Chat, Message, Missing, Owed, Position, Resent};
use protocol::contact::ContactCard;
use protocol::envelope::{Hold, ReadUpTo, Reveal, Text};
use protocol::ids::{AccountId, MessageId};
use protocol::invite::{Invite, JoinPayload};
use protocol::mailbox::record::{Queue, Seen, StoredBundle, StoredItem, Usage};
use protocol::outbox::Parcel;
use protocol::pin::Pin;
use protocol::presence::Ephemeral;
use protocol::receipt::DeliveryReceipt;
use protocol::registration::Account;
use protocol::rekey::{Heard, Me, Rekey};
use protocol::request::Request;
use protocol::session::Sessions;
use protocol::time::Timestamp;
use protocol::wire::{decode, encode};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::{NOW, WORLD, World, said_again, splice};

/// The row that [`SEALED`] is the value of.
const ROW: &[u8] = b"row";
/// Longest key of a row.
const ROW_LEN: usize = 32;

static KEY: Secret<32> = Secret::from_bytes([7; 32]);

static KEY_FILE: LazyLock<Vec<u8>> = LazyLock::new(|| vault().key_file(&mut rng()));

static SEALED: LazyLock<(TreeKey, Vec<u8>)> = LazyLock::new(|| {
    let tree = vault().tree_key("contact", 0);
    let sealed = tree.seal(ROW, b"a value", 2, &mut rng());
    (tree, sealed)
});

/// One session as schema 1 kept it. Nothing writes that any more, so it is written by hand.
static OF_SCHEMA_1: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let session = WORLD.alice_session.export();
    // Version, count, and a length of two bytes.
    let mut row = vec![1, 1, 251];
    row.extend(u16::try_from(session.len()).expect("a young session is short").to_le_bytes());
    row.extend_from_slice(&session);
    // A time of eight bytes.
    row.push(253);
    row.extend(now().0.to_le_bytes());
    assert!(Sessions::from_bytes_of_schema_1(&row).is_ok(), "not what schema 1 wrote");
    row
});

fn rng() -> StdRng {
    StdRng::seed_from_u64(1)
}

fn now() -> Timestamp {
    Timestamp::from_seconds(NOW)
}

fn vault() -> Vault {
    Vault::create(Unlock::DeviceKey(&KEY), KdfParams::default(), &mut rng())
        .expect("a device key needs no memory")
}

/// Key files under a device key: refused unless untouched, and never an allocation by the file's say-so.
pub fn key_file(data: &[u8]) {
    let damaged = splice(&KEY_FILE, data);
    let opened = Vault::open(&damaged, Unlock::DeviceKey(&KEY));
    assert_eq!(opened.is_ok(), damaged == *KEY_FILE);
    let _ = KeyFileMode::of(&damaged);
    let _ = Vault::open(data, Unlock::DeviceKey(&KEY));
    let _ = KeyFileMode::of(data);
}

/// Stored prekeys: no panic, one stored form.
pub fn stored_prekeys(data: &[u8]) {
    if let Ok(prekeys) = InvitePrekeys::import(data) {
        assert_eq!(&prekeys.export()[..], data);
    }
    if let Ok(prekeys) = RekeyPrekeys::import(data) {
        assert_eq!(&prekeys.export()[..], data);
    }
}

/// What a node keeps of conversations and of how they began.
pub fn stored_values(data: &[u8]) {
    let _ = decode::<Chat>(data);
    let _ = decode::<Message>(data);
    let _ = decode::<Parcel>(data);
    let _ = decode::<Request>(data);
    let _ = Sessions::from_bytes(data);
    if let Ok(invite) = decode::<Invite>(data) {
        let _ = invite.token();
    }
}

/// Everything else that is kept, and the contents of what a session opens. The first byte says which.
pub fn stored_rows(data: &[u8]) {
    let Some((kind, data)) = data.split_first() else { return };
    match kind % 20 {
        0 => _ = said_again::<Queue>(data),
        1 => _ = said_again::<Usage>(data),
        2 => _ = said_again::<Seen>(data),
        3 => _ = said_again::<StoredItem>(data),
        4 => _ = said_again::<StoredBundle>(data),
        5 => _ = said_again::<Account>(data).and_then(|account| account.renew(now()).ok()),
        6 => _ = said_again::<JoinPayload>(data).map(|payload| payload.card.accept(0)),
        7 => _ = said_again::<ContactCard>(data).map(|card| card.accept(0)),
        8 => _ = said_again::<Ephemeral>(data),
        9 => _ = said_again::<Hold>(data),
        10 => _ = said_again::<Reveal>(data),
        11 => _ = said_again::<Text>(data),
        12 => _ = said_again::<ReadUpTo>(data),
        13 => receipt(data),
        14 => missing(data),
        15 => resent(data),
        16 => rekey_row(data),
        17 => sessions_of_schema_1(data),
        18 => sealed_value(data),
        _ => sessions(Sessions::from_bytes(data).ok()),
    }
}

fn receipt(data: &[u8]) {
    if let Some(receipt) = said_again::<DeliveryReceipt>(data) {
        let (alice, bob) = (WORLD.alice.account().into(), WORLD.bob.account().into());
        assert!(receipt.verify(alice, bob).is_err(), "nobody signed it");
    }
}

/// A question that is answered, whatever it says.
fn missing(data: &[u8]) {
    let Some(missing) = said_again::<Missing>(data) else { return };
    let mut owed = Owed::new(missing);
    for seq in [u64::MAX, 1, 0] {
        owed.look(Position::LAST, seq, true);
        owed.look(Position::LAST, seq, false);
    }
    let _ = owed.is_done();
}

/// An answer that is believed, as far as it may be.
fn resent(data: &[u8]) {
    let Some(resent) = said_again::<Resent>(data) else { return };
    let mut chat = Chat::new(AccountId([1; 32]), AccountId([2; 32]), now());
    chat.ask(None, None, now());
    chat.on_resent(resent);
    chat.compose(MessageId([3; 16]), "next".to_owned(), None, now());
    assert!(encode(&chat).is_ok());
}

/// A row that decodes has one stored form, and nothing that a node does with it fails.
fn rekey_row(data: &[u8]) {
    let Ok(mut rekey) = decode::<Rekey>(data) else { return };
    let bytes = encode(&rekey).expect("what was short enough to decode is short enough");
    let again = decode::<Rekey>(&bytes).expect("our own row");
    assert_eq!(encode(&again), Ok(bytes));
    let World { alice, bob, .. } = &*WORLD;
    let cert = alice.primary_cert(FIRST_AGREEMENT_VERSION, NOW, 0);
    let me = Me { identity: alice, cert: &cert };
    let mut rng = rng();
    let mut cx = Cx { now: now(), rng: &mut rng };
    let heard = rekey.hear(me, (bob.account(), &Pin::default()), &[0; REKEY_LEN], &mut cx);
    assert!(matches!(heard, Heard::Nothing), "nobody sealed it");
    let _ = rekey.offer(me, bob.account(), &mut cx);
    let _ = rekey.for_backup();
    rekey.lose(u64::MAX);
    rekey.forget_over(now());
}

fn sessions_of_schema_1(data: &[u8]) {
    sessions(Sessions::from_bytes_of_schema_1(data).ok());
    sessions(Sessions::from_bytes_of_schema_1(&splice(&OF_SCHEMA_1, data)).ok());
}

/// Whatever was read is written to what is read as the same, and can be used.
fn sessions(read: Option<Sessions>) {
    let Some(mut read) = read else { return };
    // Sessions of schema 1 are a few bytes longer in this one, and may exceed its bound.
    let Ok(row) = read.to_bytes() else { return };
    let again = Sessions::from_bytes(&row).expect("our own row");
    assert_eq!(again.to_bytes().expect("as long as before"), row);
    assert!(read.open(&[0; crypto::FRAME_CLASSES[0]], now()).is_err(), "nobody sealed it");
    read.prune(now());
}

/// Sealed values: refused unless untouched and in their place; whatever is sealed opens.
fn sealed_value(data: &[u8]) {
    let (tree, sealed) = &*SEALED;
    let damaged = splice(sealed, data);
    assert_eq!(tree.open(ROW, &damaged).is_ok(), damaged == *sealed);
    assert!(tree.open(b"another row", &damaged).is_err());
    let _ = tree.open(ROW, data);
    let (row, _) = data.split_at(data.len().min(ROW_LEN));
    let again = tree.seal(row, data, 7, &mut rng());
    let opened = tree.open(row, &again).expect("our own seal");
    assert_eq!((opened.schema, &opened.value[..]), (7, data));
}
