//! What `Debug` shows of everything in a node that people or keys are in: what is planted below never comes out,
//! of this or of anything that holds it.
//!
//! What cannot be named from here is looked at where it is: in `net::dial`, `api::error`, `api::extract`,
//! `api::qr` and `cli::error`.

#![allow(clippy::unwrap_used, reason = "tests")]

mod dto;

use std::fmt::Debug;
use std::sync::Arc;

use crypto::phrase::Phrase;
use crypto::{KdfParams, Secret, Seed, Unlock, Vault};
use data_encoding::HEXLOWER;
use protocol::chat::{Author, Chat, Message, Position};
use protocol::contact::{Address, ContactCard, DepositCapability, RelayHome};
use protocol::envelope::{Content, Text};
use protocol::ids::{AccountId, ChallengeId, ChatId, InviteId, MessageId, QueueId, RelayId};
use protocol::mailbox::wire::{Item, QueueKind, QueueSpec};
use protocol::registration::wire::{Challenged, RegisterRequest, RegisterResponse, SentVia};
use protocol::rekey::Rekey;
use protocol::time::Timestamp;
use protocol::wire::envelope::EnvelopeRequest;
use protocol::wire::invite::InviteRequest;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::de::DeserializeOwned;
use serde_bytes::ByteBuf;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use crate::engine::{Effect, Engine, Event, Failure, Input, JournalRow, Settings};
use crate::handle::vault::{Ask, Wish};
use crate::net::{
    Credential, NetCommand, NetConfig, NetEvent, OwnedQueue, Path, SealedDeposit, Ticket,
};
use crate::service::ServiceError;
use crate::service::backup::Row;
use crate::service::contact::{ContactRecord, Origin};
use crate::service::identity::MeRecord;
use crate::service::queue::{Purpose, QueueRecord, Standing};
use crate::service::registration::RegistrationRecord;
use crate::service::session::Outgoing;
use crate::service::verification::VerificationError;
use crate::store::{Batch, MemoryStore, SealedStore, SledStore, Store, Tree};

/// Planted wherever words, a name, an identifier, an address or a code is.
const WORDS: &str = "nasturtium";
/// Planted wherever a key is.
const KEY: [u8; 32] = [0xA7; 32];
/// Planted wherever symbols are.
const SYMBOLS: [u8; 6] = [0xA7; 6];

const ACCOUNT: AccountId = AccountId([5; 32]);
const CHAT: ChatId = ChatId([4; 16]);
const INVITE: InviteId = InviteId([8; 16]);
const QUEUE: QueueId = QueueId([2; 16]);
const RELAY: RelayId = RelayId([1; 32]);
const TICKET: Ticket = Ticket(1);
const NOW: Timestamp = Timestamp(0);

/// `WORDS`, to be owned.
fn words() -> String {
    WORDS.to_owned()
}

/// Bytes as `Debug` shows a list of them, without white space.
fn list(bytes: &[u8]) -> String {
    let numbers: Vec<String> = bytes.iter().map(ToString::to_string).collect();
    numbers.join(",")
}

/// Whether anything that was planted is in `shown`: as it is, as a list of bytes, or in hexadecimal.
fn is_found(shown: &str) -> bool {
    let dense: String = shown.split_whitespace().collect();
    let planted = [
        words(),
        list(WORDS.as_bytes()),
        HEXLOWER.encode(WORDS.as_bytes()),
        list(&KEY[..2]),
        HEXLOWER.encode(&KEY[..2]),
    ];
    planted.iter().any(|planted| dense.to_lowercase().contains(planted.as_str()))
}

/// `Debug` shows something of `value`, and nothing of what was planted.
fn conceals(value: &dyn Debug) {
    for shown in [format!("{value:?}"), format!("{value:#?}")] {
        assert!(!shown.is_empty());
        assert!(!is_found(&shown), "{shown}");
    }
}

#[test]
fn what_is_shown_would_be_found() {
    let bytes = WORDS.as_bytes();
    for shown in [
        format!("{:?}", Some(WORDS)),
        format!("{bytes:?}"),
        format!("{bytes:#?}"),
        format!("{KEY:?}"),
        format!("{SYMBOLS:#?}"),
        HEXLOWER.encode(&KEY),
        WORDS.to_uppercase(),
    ] {
        assert!(is_found(&shown), "{shown}");
    }
    assert!(!is_found("Secret(..)"));
}

fn address() -> Address {
    Address(ByteBuf::from(WORDS))
}

fn home() -> RelayHome {
    RelayHome { relay: RELAY, addresses: vec![address()] }
}

fn card() -> ContactCard {
    ContactCard {
        name: words(),
        about: words(),
        addresses: vec![address()],
        mailboxes: vec![DepositCapability { home: home(), send: QUEUE, key: KEY.into() }],
        homes: vec![home()],
        ..ContactCard::default()
    }
}

fn key() -> Secret<32> {
    Secret::from_bytes(KEY)
}

fn challenged() -> Challenged {
    Challenged {
        challenge: ChallengeId([9; 16]),
        nonce: KEY,
        expires_at: NOW,
        resend_after: NOW,
        attempts_left: 5,
        sent_via: SentVia::Console,
        development_code: Some(words()),
    }
}

fn contact() -> ContactRecord {
    ContactRecord {
        account: ACCOUNT,
        card: card(),
        name: words(),
        alias: Some(words()),
        since: NOW,
        via: None,
        symbols: Some(SYMBOLS),
        last_seen: None,
    }
}

/// A record, some of which only its own module can write.
fn record<T: DeserializeOwned>(fields: Value) -> T {
    serde_json::from_value(fields).unwrap()
}

fn me() -> MeRecord {
    record(json!({
        "seed": KEY, "created_at": NOW, "name": WORDS, "about": WORDS, "card_version": 1,
    }))
}

fn registration() -> RegistrationRecord {
    record(json!({
        "relay": home(),
        "address": WORDS,
        "development": true,
        "identifier": WORDS,
        "admission": { "Held": WORDS },
        "expires_at": NOW,
        "challenge": { "challenged": challenged() },
    }))
}

fn queue() -> QueueRecord {
    record(json!({
        "purpose": Purpose::Contact(ACCOUNT),
        "relay": home(),
        "receive": QUEUE,
        "send": QUEUE,
        "owner_key": KEY,
        "deposit_key": KEY,
        "drop": [NOW, KEY],
        "standing": Standing::Open,
    }))
}

fn message() -> Message {
    Message {
        id: MessageId([3; 16]),
        chat: CHAT,
        author: Author::Me,
        seq: 1,
        position: Position([0; Position::LEN]),
        at: NOW,
        received_at: NOW,
        text: Some(words()),
        delivery: None,
        client_key: Some(words()),
        recovered: false,
    }
}

#[test]
fn a_record_shows_no_words_no_names_and_no_keys() {
    let mut chat = Chat::new(ACCOUNT, AccountId([6; 32]), NOW);
    chat.draft = words();
    conceals(&me());
    conceals(&me().seed());
    conceals(&registration());
    conceals(&registration().challenge);
    conceals(&queue());
    conceals(&contact());
    conceals(&Origin { card: card(), via: None, symbols: Some(SYMBOLS) });
    conceals(&Outgoing::detached(Content::Text(Text { text: words() })));
    conceals(&[
        Row::Me(me()),
        Row::Registration(registration()),
        Row::Queue(queue()),
        Row::Contact(contact(), Rekey::default()),
        Row::Chat(chat),
        Row::Message(message()),
    ]);
}

#[test]
fn a_refusal_names_nobody() {
    for refusal in [
        VerificationError::NotACode(words()),
        VerificationError::AnotherPerson(words()),
        VerificationError::AnotherReader(words()),
    ] {
        assert!(refusal.to_string().contains(WORDS));
        conceals(&refusal);
        let refusal = ServiceError::from(refusal);
        assert!(refusal.to_string().contains(WORDS));
        assert!(format!("{refusal:?}").contains(refusal.code()));
        conceals(&refusal);
        conceals(&Failure::Refused(refusal));
    }
}

#[test]
fn a_command_to_the_network_shows_no_address_no_key_and_no_frame() {
    let spec = QueueSpec {
        receive: QUEUE,
        send: QUEUE,
        owner_key: KEY,
        deposit_key: KEY,
        kind: QueueKind::Drop { closes_at: NOW, bundle: ByteBuf::from(WORDS) },
    };
    let owned = || OwnedQueue { receive: QUEUE, key: key() };
    let deposit = SealedDeposit {
        send: QUEUE,
        key: key(),
        ttl_seconds: 1,
        reserved: false,
        body: WORDS.into(),
    };
    let frames = EnvelopeRequest::Deliver { frames: vec![ByteBuf::from(WORDS)] };
    let join = InviteRequest::Join { invite: INVITE, request: ByteBuf::from(WORDS) };
    let renew = RegisterRequest::Renew { credential: words() };
    let credential = Credential::from(words());
    conceals(&NetConfig::new(key()));
    for command in [
        NetCommand::Know { account: ACCOUNT, addresses: vec![address()], homes: vec![home()] },
        NetCommand::Envelope { ticket: TICKET, to: ACCOUNT, request: frames },
        NetCommand::Invite { ticket: TICKET, to: ACCOUNT, request: join },
        NetCommand::Register { ticket: TICKET, relay: home(), request: renew },
        NetCommand::Homes(vec![home()]),
        NetCommand::OpenQueue { ticket: TICKET, relay: home(), credential, queue: spec },
        NetCommand::CloseQueue { ticket: TICKET, relay: home(), queue: owned() },
        NetCommand::Subscribe { relay: home(), queues: vec![owned()] },
        NetCommand::Deposit { ticket: TICKET, relay: home(), deposits: vec![deposit] },
        NetCommand::FetchBundle { ticket: TICKET, relay: home(), send: QUEUE, key: key() },
    ] {
        conceals(&Effect::Net(command));
    }
}

#[test]
fn an_event_of_the_network_shows_no_address_no_code_and_no_frame() {
    let admitted = RegisterResponse::Admitted { credential: words(), expires_at: NOW };
    let item = Item { receive: QUEUE, seq: 1, deposited_at: NOW, body: ByteBuf::from(WORDS) };
    for event in [
        NetEvent::RegisterDone { ticket: TICKET, result: Ok(admitted) },
        NetEvent::RegisterDone {
            ticket: TICKET,
            result: Ok(RegisterResponse::Challenged(challenged())),
        },
        NetEvent::Envelope {
            from: ACCOUNT,
            path: Path::Direct,
            request: EnvelopeRequest::Ephemeral { sealed: ByteBuf::from(WORDS) },
            reply: oneshot::channel().0,
        },
        NetEvent::Invite {
            from: ACCOUNT,
            request: InviteRequest::Join { invite: INVITE, request: ByteBuf::from(WORDS) },
            reply: oneshot::channel().0,
        },
        NetEvent::Items { relay: RELAY, items: vec![item], reply: oneshot::channel().0 },
        NetEvent::Listening(vec![address()]),
    ] {
        conceals(&Input::Net(event));
    }
}

#[test]
fn a_journal_row_shows_no_words() {
    let notice = Event::Notice { code: "notice".into(), text: words(), contact: Some(ACCOUNT) };
    let row = JournalRow { at: NOW, events: vec![Event::MessageAdded(MessageId([3; 16])), notice] };
    conceals(&row);
    let shown = format!("{row:?}");
    assert!(shown.contains("MessageAdded(MessageId(0303030303…))"), "{shown}");
}

#[test]
fn a_wish_shows_no_passphrase_and_no_recovery_phrase() {
    let phrase = Phrase::of(&Seed::from_secret(key()));
    let word = phrase.words().next().unwrap();
    let passphrase = || Zeroizing::new(words());
    let restore = Wish::Restore { phrase, told: oneshot::channel().0 };
    assert!(!format!("{restore:?}").contains(word));
    for wish in [
        Wish::Unlock(passphrase()),
        Wish::Passphrase { current: Some(passphrase()), new: Some(passphrase()) },
        restore,
    ] {
        conceals(&Ask { wish, reply: oneshot::channel().0 });
    }
}

#[test]
fn a_store_shows_no_rows() {
    let batch = || Batch { writes: vec![(Tree::Chat, KEY.to_vec(), Some(WORDS.into()))] };
    conceals(&batch());
    let memory = MemoryStore::default();
    memory.commit(batch()).unwrap();
    conceals(&memory);
    let folder = tempfile::tempdir().unwrap();
    let disk = SledStore::open(folder.path()).unwrap();
    disk.commit(batch()).unwrap();
    conceals(&disk);
}

#[test]
fn an_engine_shows_not_its_seed() {
    let mut rng = StdRng::seed_from_u64(1);
    let device_key = key();
    let unlock = Unlock::DeviceKey(&device_key);
    let vault = Vault::create(unlock, KdfParams::default(), &mut rng).unwrap();
    let store = SealedStore::new(Arc::new(MemoryStore::default()), &vault);
    conceals(&vault);
    conceals(&store);
    let now = Timestamp::from_seconds(1_795_341_600);
    let (engine, _) = Engine::start(store, Settings::default(), now, &mut rng).unwrap();
    let seed = engine.account().identity.signing_seed();
    let seed = &seed.expose()[..4];
    for shown in [format!("{engine:?}"), format!("{engine:#?}")] {
        let dense: String = shown.split_whitespace().collect();
        assert!(dense.contains("Identity"), "{shown}");
        assert!(!dense.contains(&list(seed)) && !dense.contains(&HEXLOWER.encode(seed)), "{shown}");
    }
}
