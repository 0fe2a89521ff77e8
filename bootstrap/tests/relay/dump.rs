//! What an operator, or whoever takes everything from one, finds together: the list in docs/THREAT_MODEL.md, and no more.
//!
//! 1. Two people register, own queues, write to each other, keep and get files, ask for calls. Everything that names one of them or
//!    something of theirs is known to the test.
//! 2. Everything that the relay has is cut into records: rows and values of its store, its files, lines of its log at its loudest,
//!    what it tells its operator, lines of its metrics.
//! 3. Two names in one record are linked. Names of two people must never be; the others are the list.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bootstrap::Config;
use bootstrap::config::{Postgres, Turn};
use data_encoding::HEXLOWER;
use protocol::blob::{BlobId, BlobRequest, BlobResponse};
use protocol::mailbox::wire::MailboxResponse;
use protocol::turn::TurnResponse;
use serde_bytes::ByteBuf;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::bench::{Bench, Member, Sealed, spec};
use crate::client::{Client, soon};
use crate::sharing::{database, share};

/// Something that names a person, or something of theirs, in every form in which it may stand somewhere.
struct Name {
    what: &'static str,
    whose: &'static str,
    forms: Vec<Vec<u8>>,
}

impl Name {
    fn bytes(what: &'static str, whose: &'static str, bytes: &[u8]) -> Self {
        let hex = HEXLOWER.encode(bytes);
        // As a library prints bytes.
        let list = format!("{bytes:?}").trim_matches(['[', ']']).to_owned();
        Self { what, whose, forms: vec![bytes.to_vec(), hex.into_bytes(), list.into_bytes()] }
    }

    fn text(what: &'static str, whose: &'static str, text: &str) -> Self {
        Self { what, whose, forms: vec![text.as_bytes().to_vec()] }
    }

    fn also(mut self, form: impl std::fmt::Display) -> Self {
        self.forms.push(form.to_string().into_bytes());
        self
    }

    fn is_in(&self, record: &[u8]) -> bool {
        self.forms.iter().any(|form| record.windows(form.len()).any(|window| window == form))
    }
}

/// One thing that the relay has, and where.
struct Record {
    at: &'static str,
    bytes: Vec<u8>,
}

fn lines(at: &'static str, text: &[u8]) -> impl Iterator<Item = Record> {
    text.split(|byte| *byte == b'\n').map(move |line| Record { at, bytes: line.to_vec() })
}

/// A log in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Logs as the program does at `RUST_LOG=trace`, here.
fn logged() -> Log {
    let log = Log::default();
    let writing = Log(Arc::clone(&log.0));
    let layer = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(move || writing.clone())
        .with_filter(bootstrap::log::discreet(EnvFilter::new("trace")));
    tracing_subscriber::registry().with(layer).init();
    log
}

/// What one person does at a relay; everything that names them. `other` is who writes to them.
async fn lives(bench: &Bench, whose: &'static str, byte: u8) -> (Member, Vec<Name>) {
    let member = bench.member(byte).await;
    let queue = spec(byte + 60);
    assert!(member.open(byte + 60).await == MailboxResponse::Opened);
    let blob = BlobId([byte + 30; 32]);
    let opened = member.client.blob(BlobRequest::Open { blob, bytes: 9, keep: None }).await;
    assert!(matches!(opened, BlobResponse::State(_)), "{opened:?}");
    let file = format!("file of {byte}").into_bytes();
    let put = BlobRequest::Put { blob, piece: 0, bytes: ByteBuf::from(file.clone()) };
    assert!(member.client.blob(put).await == BlobResponse::Stored);
    let TurnResponse::Granted(call) = member.client.turn().await else { panic!("no call") };
    let account = bootstrap::peer::account_of(&member.client.peer).unwrap();
    let names = vec![
        Name::text("identifier", whose, &format!("person{byte}@example.org")),
        Name::bytes("account key", whose, &account.0).also(account).also(member.client.peer),
        Name::text("credential", whose, &member.credential),
        Name::bytes("receive address", whose, &queue.receive.0),
        Name::bytes("send address", whose, &queue.send.0),
        Name::bytes("owner key", whose, &queue.owner_key),
        Name::bytes("deposit key", whose, &queue.deposit_key),
        Name::bytes("file's name", whose, &blob.0),
        Name::bytes("file", whose, &file),
        Name::text("call's name", whose, &call.username),
        Name::text("call's password", whose, &call.password),
    ];
    (member, names)
}

/// One writes to the other, and gets their file, under throwaway keys: those are the writer's, the frame is the reader's.
async fn writes(bench: &Bench, whose: &'static str, to: &'static str, byte: u8) -> Vec<Name> {
    let sealed = Sealed::connect(&bench.tcp()).await;
    let body = format!("frame for {byte}");
    let receipt = sealed.deposit(byte + 60, body.as_bytes()).await.unwrap();
    let getting = Client::throwaway(&bench.tcp()).await;
    let got = getting.blob(BlobRequest::Get { blob: BlobId([byte + 30; 32]), piece: 0 }).await;
    assert!(matches!(got, BlobResponse::Piece(_)), "{got:?}");
    vec![
        Name::bytes("throwaway key", whose, &sealed.client.peer.to_bytes())
            .also(sealed.client.peer),
        Name::bytes("throwaway key", whose, &getting.peer.to_bytes()).also(getting.peer),
        Name::bytes("frame's id", to, &receipt.envelope.0),
        Name::bytes("frame", to, body.as_bytes()),
    ]
}

/// Every file under a folder, with its name: but the store's own, which is looked at as what it holds.
fn files(folder: &Path, records: &mut Vec<Record>) {
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        match entry.is_dir() {
            true if entry.ends_with("store") => {}
            true => files(&entry, records),
            false => {
                let mut bytes = entry.to_string_lossy().into_owned().into_bytes();
                bytes.extend(std::fs::read(&entry).unwrap());
                records.push(Record { at: "files", bytes });
            }
        }
    }
}

fn in_sled(folder: &Path) -> Vec<Record> {
    let store = sled::open(folder).unwrap();
    let rows = store.tree_names().into_iter().flat_map(|name| {
        store.open_tree(name).unwrap().iter().map(|row| row.unwrap()).collect::<Vec<_>>()
    });
    rows.map(|(key, value)| Record { at: "store", bytes: [key, value].concat() }).collect()
}

fn in_postgres(database: &Postgres) -> Vec<Record> {
    let mut settings = postgres::Config::new();
    settings.host(&database.host).user(&database.user).dbname(&database.database);
    let mut client = settings.connect(postgres::NoTls).unwrap();
    let tables = "SELECT quote_ident(tablename::text) FROM pg_tables WHERE schemaname = 'public'";
    let tables: Vec<String> =
        client.query(tables, &[]).unwrap().iter().map(|row| row.get(0)).collect();
    let mut records = Vec::new();
    for table in tables {
        let rows = client.query(&format!("SELECT row_to_json(t)::text FROM {table} t"), &[]);
        let rows = rows.unwrap().into_iter().map(|row| row.get::<_, String>(0).into_bytes());
        records.extend(rows.map(|bytes| Record { at: "store", bytes }));
    }
    records
}

/// The hash that an address is kept as: what stands beside its account.
fn hash_of(whose: &'static str, account: &[u8], records: &[Record]) -> Name {
    let hex = HEXLOWER.encode(account);
    let row = |record: &&Record| record.bytes.windows(64).any(|part| part == hex.as_bytes());
    let kept = records.iter().filter(row).find_map(|record| {
        let row: serde_json::Value = serde_json::from_slice(&record.bytes).ok()?;
        HEXLOWER.decode(row.get("identifier")?.as_str()?.strip_prefix("\\x")?.as_bytes()).ok()
    });
    // sled: identifier to account.
    let index = || {
        let of = |record: &&Record| record.bytes.len() == 64 && record.bytes.ends_with(account);
        records.iter().find(of).map(|record| record.bytes[..32].to_vec())
    };
    Name::bytes("identifier's hash", whose, &kept.or_else(index).expect("an account"))
}

/// What is linked, as `where: one – other`.
fn links(names: &[Name], records: &[Record]) -> BTreeSet<String> {
    let mut links = BTreeSet::new();
    for record in records {
        let found: Vec<&Name> = names.iter().filter(|name| name.is_in(&record.bytes)).collect();
        for (nth, one) in found.iter().enumerate() {
            for other in &found[nth + 1..] {
                let text = String::from_utf8_lossy(&record.bytes);
                assert_eq!(one.whose, other.whose, "{}, {}: {text}", one.what, other.what);
                if one.what != other.what {
                    let mut pair = [one.what, other.what];
                    pair.sort_unstable();
                    links.insert(format!("{}: {} – {}", record.at, pair[0], pair[1]));
                }
            }
        }
    }
    links
}

/// The list in the threat model.
fn listed() -> BTreeSet<String> {
    let model = include_str!("../../../docs/THREAT_MODEL.md");
    let (_, list) = model.split_once("| Where | Found together |\n|---|---|\n").unwrap();
    let row = |line: &str| {
        let (at, pair) = line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | ")?;
        Some(format!("{at}: {pair}"))
    };
    list.lines().map_while(row).collect()
}

async fn dumped(postgres: Option<Postgres>) -> BTreeSet<String> {
    let log = logged();
    let bench = Bench::with(|config: &mut Config| {
        config.health = Some(([127, 0, 0, 1], 0).into());
        config.admin = Some(([127, 0, 0, 1], 0).into());
        let listen = ([127, 0, 0, 1], 0).into();
        config.turn = Some(Turn { listen, first_port: 0, last_port: 0, ..Turn::default() });
        if let Some(database) = &postgres {
            share(config, database);
        }
    })
    .await;
    let (ada, mut names) = lives(&bench, "Ada", 1).await;
    let (ben, of_ben) = lives(&bench, "Ben", 2).await;
    names.extend(of_ben);
    names.extend(writes(&bench, "Ben", "Ada", 1).await);
    names.extend(writes(&bench, "Ada", "Ben", 2).await);

    let mut records = Vec::new();
    // What is asked is known to whoever asks.
    for (member, address) in [(&ada, "person1@example.org"), (&ben, "person2@example.org")] {
        for words in [["show", &member.account()], ["show", address]] {
            let told = crate::admin::told(&bench, &words).await;
            let bytes = format!("{words:?} {told}").into_bytes();
            records.push(Record { at: "admin", bytes });
        }
    }
    for words in ["accounts", "status", "dead-letters"] {
        let told = crate::admin::told(&bench, &[words]).await;
        records.extend(lines("admin", told.as_bytes()));
    }
    let metrics = crate::running::health(&bench, "/metrics").await;
    records.extend(lines("metrics", metrics.as_bytes()));
    let Bench { dir, config, relay, .. } = bench;
    relay.shutdown().await.unwrap();
    files(dir.path(), &mut records);
    if let Some(shared) = config.blobs.folder.as_deref() {
        files(shared, &mut records);
    }
    let store = dir.path().join("store");
    let rows = tokio::task::spawn_blocking(move || match &postgres {
        Some(database) => in_postgres(database),
        None => in_sled(&store),
    });
    records.extend(soon("the store", rows).await.unwrap());
    for (whose, member) in [("Ada", &ada), ("Ben", &ben)] {
        let account = bootstrap::peer::account_of(&member.client.peer).unwrap();
        names.push(hash_of(whose, &account.0, &records));
    }
    let log = log.0.lock().unwrap().clone();
    assert!(log.len() > 1_000, "it logs");
    records.extend(lines("log", &log));
    let links = links(&names, &records);
    for link in &links {
        println!("{link}");
    }
    links
}

#[tokio::test]
async fn a_dump_of_a_relay_links_what_the_threat_model_says() {
    assert_eq!(Box::pin(dumped(None)).await, listed());
}

#[tokio::test]
async fn a_dump_of_a_relay_on_postgres_links_the_same() {
    assert_eq!(Box::pin(dumped(Some(database().await))).await, listed());
}
