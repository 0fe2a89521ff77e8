//! What must be nowhere: not in a log at its loudest, not in a store, not at the relay, not on
//! the wire.
//!
//! 1. Two people with memorable names, identifiers and texts meet and write, directly, over the
//!    relay's circuit and through its mailbox; every connection passes a recording proxy, all of
//!    it once over TCP and once over QUIC.
//! 2. Their nodes and the relay log everything that they ever do (`trace`).
//! 3. What was planted, and every secret that the test can know, is looked for in all of it, in
//!    every form that bytes take when somebody prints them.
//!
//! # Allowed
//! * `run/api-token` holds the command line's token: that is what it is for, and it is 0600.
//! * `device.key` holds the device key: without a passphrase it is what opens the vault.
//! * Standard output of `kith up` shows the sign-in link to the person who started it.
//! * Standard error of a relay with the console driver shows one-time codes to its operator,
//!   beside a masked address.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crypto::{Identity, Secret, Seed, Token, Unlock, Vault};
use kith_tests::process::{
    Finding, NodeOptions, NodeProcess, Proxy, RelayOptions, RelayProcess, Rest, SOURCE, Scanner,
    Transport, arrived, free_port, introduce, state,
};
use node::api::dto::{Contact, DeliveryState, Items, LoginLink, ReachPath, SessionToken};
use node::store::{SealedStore, SledStore, Tree};
use reqwest::Method;
use serde_json::json;

/// Files that may hold what is looked for, and only they.
const ALLOWED: [&str; 2] = ["run/api-token", "device.key"];

/// Texts that nobody else writes.
const PLANTED: [(&str, &str); 10] = [
    ("Ada's name", "Adalind Quarzfels"),
    ("Ben's name", "Bennoit Turmalin"),
    ("Ada's telephone number", "4915123456789"),
    ("Ben's e-mail address", "bennoit.turmalin@zirkon.example.org"),
    ("Ben's e-mail name", "bennoit.turmalin"),
    ("a text", "the heron leaves at midnight"),
    ("a held text", "bring the copper lantern"),
    ("a direct text", "seventeen paces past the weir"),
    ("a draft", "unsent words about the orchard"),
    ("an invite's label", "for the one from the quarry"),
];

fn planted(what: &str) -> &'static str {
    PLANTED.iter().find(|(name, _)| *name == what).expect("planted above").1
}

/// Two nodes and a relay with a recording proxy before each.
struct Watched {
    transport: Transport,
    folder: PathBuf,
    relay: RelayProcess,
    ada: NodeProcess,
    ben: NodeProcess,
    wires: Vec<Proxy>,
}

impl Watched {
    async fn start(folder: &Path, transport: Transport) -> Self {
        let outside = free_port().unwrap();
        let log = "trace".to_owned();
        let options = RelayOptions { log, external_port: Some(outside), transport };
        let relay = RelayProcess::start(folder, options).await.unwrap();
        let wire = Proxy::start(transport, outside, relay.port()).await.unwrap();
        let id = relay.address().rsplit("/p2p/").next().unwrap();
        let address = format!("{}/p2p/{id}", transport.at(outside));
        let node = async |name: &str| {
            let mut options = NodeOptions::new(&address);
            options.log = "trace".to_owned();
            options.port = free_port().unwrap();
            options.transport = transport;
            NodeProcess::start(folder, name, options).await.unwrap()
        };
        let (ada, ben) = (node("ada").await, node("ben").await);
        let phone = format!("+{}", planted("Ada's telephone number"));
        ada.rest().register(&address, &phone, planted("Ada's name")).await.unwrap();
        let mail = planted("Ben's e-mail address");
        ben.rest().register(&address, mail, planted("Ben's name")).await.unwrap();
        Self { transport, folder: folder.to_owned(), relay, ada, ben, wires: vec![wire] }
    }

    /// Both come back at other ports, with a proxy where the other one remembers them.
    async fn move_behind_proxies(&mut self) {
        for node in [&mut self.ada, &mut self.ben] {
            let (before, after) = (node.options.port, free_port().unwrap());
            node.stop().await.unwrap();
            self.wires.push(Proxy::start(self.transport, before, after).await.unwrap());
            node.options.port = after;
            node.restart().await.unwrap();
        }
    }

    /// Everything that was found where it must not be.
    fn findings(&self, scanner: &Scanner) -> Vec<Finding> {
        let mut findings = Vec::new();
        for place in ["ada.stderr", "ben.stderr", "relay.stderr", "relay.stdout"] {
            findings.extend(scanner.files(&self.folder.join(place), &[]).unwrap());
        }
        for node in [&self.ada, &self.ben] {
            findings.extend(scanner.files(&node.data_dir(), &ALLOWED).unwrap());
        }
        findings.extend(scanner.files(&self.relay.data_dir(), &[]).unwrap());
        for wire in &self.wires {
            for direction in wire.recorded() {
                findings.extend(scanner.bytes("the wire", &direction));
            }
        }
        findings
    }
}

/// A row of a stopped node's store, opened, of a copy.
fn row(data_dir: &Path, tree: Tree, id: &[u8]) -> Vec<u8> {
    let copy = tempfile::tempdir().unwrap();
    copy_folder(&data_dir.join("store"), &copy.path().join("store"));
    let device_key = Secret::from_slice(&fs::read(data_dir.join("device.key")).unwrap()).unwrap();
    let key_file = fs::read(data_dir.join("vault.key")).unwrap();
    let vault = Vault::open(&key_file, Unlock::DeviceKey(&device_key)).unwrap();
    let store = SledStore::open(&copy.path().join("store")).unwrap();
    let store = SealedStore::new(Arc::new(store), &vault);
    store.get_bytes(&store.key(tree, id, &[])).unwrap().unwrap().to_vec()
}

/// The seed of the account in a stopped node's folder.
pub(crate) fn account_seed(data_dir: &Path) -> Secret<32> {
    // The record begins with its version and the seed.
    Secret::from_slice(&row(data_dir, Tree::Meta, b"me")[1..33]).unwrap()
}

fn identity(seed: &Secret<32>) -> Identity {
    Identity::from_seed(&Seed::from_secret(seed.duplicate()))
}

/// A file under `folder` that has sixteen bytes of `state` which are not next to nothing, and no part of what
/// is `public`.
fn shared(folder: &Path, state: &[u8], public: &[[u8; 32]]) -> Option<PathBuf> {
    let varied = |bytes: &[u8]| bytes.iter().collect::<BTreeSet<_>>().len() > 8;
    let told = |bytes: &[u8]| {
        // Also where half of it is a public key, beside a number.
        bytes.windows(4).any(|part| public.iter().any(|key| key.windows(4).any(|of| of == part)))
    };
    let parts: HashSet<&[u8]> =
        state.windows(16).filter(|part| varied(part) && !told(part)).collect();
    assert!(parts.len() > 200, "{} is no state of a session", parts.len());
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if fs::read(&path).unwrap().windows(16).any(|part| parts.contains(part)) {
                return Some(path);
            }
        }
    }
    None
}

/// Whether a file under `folder` has these bytes.
fn has(folder: &Path, bytes: &[u8]) -> bool {
    fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => has(&path, bytes),
            false => fs::read(&path).unwrap().windows(bytes.len()).any(|part| part == bytes),
        }
    })
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        match entry.path().is_dir() {
            true => copy_folder(&entry.path(), &to.join(entry.file_name())),
            false => drop(fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}

/// Signs a browser in with a link, and leaves what that took in `scanner`.
async fn sign_in(rest: &Rest, scanner: &mut Scanner) {
    scanner.plant("the command line's token", rest.token().as_bytes());
    let link: LoginLink = rest.post("/session/login-links", &json!({})).await.unwrap();
    let login = link.url.split("#login=").nth(1).unwrap().to_owned();
    scanner.plant("a sign-in link's secret", login.as_bytes());
    let session: SessionToken = rest.post("/session", &json!({ "login": login })).await.unwrap();
    scanner.plant("a browser's token", session.token.as_bytes());
    rest.with_token(&session.token).chat().await.unwrap();
}

/// Every secret that is in an invite's text.
fn plant_invite(scanner: &mut Scanner, text: &str) {
    let token = Token::parse(text).unwrap();
    scanner.plant("an invite's text", text.as_bytes());
    // Version, flags, account; then the secret.
    scanner.plant("an invite's secret", &token.as_bytes()[34..50]);
    let keys = token.derived();
    scanner.plant("an invite's pre-shared key", keys.psk.expose());
    scanner.plant("an invite's bundle key", keys.bundle_key.expose());
    scanner.plant("an invite's drop key", keys.drop_key.seed().expose());
}

async fn say_all(rest: &Rest, chat: &str, text: &str, count: usize) {
    for n in 0..count {
        rest.say(chat, &format!("{text} {n} {}", text.repeat(30))).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_people_say_or_that_opens_it_is_in_a_log_a_store_a_relay_or_on_the_wire() {
    looked_through(Transport::Tcp).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_quic_too_nothing_that_people_say_or_that_opens_it_is_anywhere() {
    looked_through(Transport::Quic).await;
}

async fn looked_through(transport: Transport) {
    let folder = tempfile::tempdir().unwrap();
    let mut scanner = Scanner::default();
    for (what, text) in PLANTED {
        scanner.plant(what, text.as_bytes());
    }
    scanner.plant("where the two are", SOURCE.to_string().as_bytes());
    let mut town = Watched::start(folder.path(), transport).await;

    // A code that stays open, and the one that they meet with.
    let open = town.ada.rest().invite(planted("an invite's label")).await.unwrap();
    plant_invite(&mut scanner, open.text.as_deref().unwrap());
    let (at_ada, at_ben) = introduce(town.ada.rest(), town.ben.rest()).await.unwrap();
    sign_in(town.ada.rest(), &mut scanner).await;
    sign_in(town.ben.rest(), &mut scanner).await;
    let draft = json!({ "text": planted("a draft") });
    town.ada.rest().tell(Method::PUT, &format!("/chats/{at_ada}/draft"), &draft).await.unwrap();
    say_all(town.ada.rest(), &at_ada, planted("a text"), 20).await;
    say_all(town.ben.rest(), &at_ben, planted("a text"), 20).await;
    for (node, chat) in [(&town.ada, &at_ada), (&town.ben, &at_ben)] {
        let mine = |message: &_| arrived(message) || state(message).is_none();
        let all = node.rest().until_last(chat, 40, "all that was said", mine).await.unwrap();
        node.rest().read(chat, &all[39]).await.unwrap();
    }
    // While it runs, the files of the running are there too.
    assert_eq!(town.findings(&scanner), [], "while both are there");

    town.ben.stop().await.unwrap();
    say_all(town.ada.rest(), &at_ada, planted("a held text"), 10).await;
    let held = |message: &_| state(message) == Some(DeliveryState::Custody);
    town.ada.rest().until_last(&at_ada, 10, "custody", held).await.unwrap();
    assert_eq!(town.findings(&scanner), [], "while the relay holds what was said");
    // The session that opens what waits there, and where its people are.
    let adas = *Token::parse(open.text.as_deref().unwrap()).unwrap().account().as_bytes();
    let bens = identity(&account_seed(&town.ben.data_dir()));
    let session = row(&town.ben.data_dir(), Tree::Session, &adas);
    let public = [adas, *bens.account().as_bytes()];
    let relay = town.relay.data_dir();
    assert_eq!(shared(&relay, &session, &public), None, "keys of a session");
    // (What a key shares with the one before it is not written out twice.)
    assert!(public.iter().all(|account| has(&relay, &account[8..])), "it looks in the right place");
    assert!(!has(&relay, &SOURCE.octets()), "an address of somebody");
    town.ben.restart().await.unwrap();
    town.ada.rest().until_last(&at_ada, 10, "delivery from custody", arrived).await.unwrap();

    town.move_behind_proxies().await;
    let direct = |path| matches!(path, ReachPath::Lan | ReachPath::Direct);
    let reached = async |rest: &Rest| {
        let contacts: Items<Contact> = rest.get("/contacts").await?;
        Ok(contacts.items.into_iter().find(|contact| direct(contact.reach.path)))
    };
    town.ada.rest().until("a direct connection", reached).await.unwrap();
    say_all(town.ada.rest(), &at_ada, planted("a direct text"), 50).await;
    town.ada.rest().until_last(&at_ada, 50, "direct delivery", arrived).await.unwrap();
    let direct: usize = town.wires[1..].iter().flat_map(Proxy::recorded).map(|one| one.len()).sum();
    let through_relay: usize = town.wires[0].recorded().iter().map(Vec::len).sum();
    assert!(direct > 50 * 30 * planted("a direct text").len(), "{direct} bytes between the nodes");

    town.ada.stop().await.unwrap();
    town.ben.stop().await.unwrap();
    for node in [&town.ada, &town.ben] {
        let seed = account_seed(&node.data_dir());
        let identity = identity(&seed);
        scanner.plant("an account's seed", seed.expose());
        scanner.plant("an account's signing key", identity.signing_seed().expose());
        scanner.plant("a device key", &fs::read(node.data_dir().join("device.key")).unwrap());
    }
    assert_eq!(town.findings(&scanner), [], "when all is over");
    let logs = ["ada.stderr", "ben.stderr", "relay.stderr"]
        .map(|log| fs::read(town.folder.join(log)).unwrap());
    // The libraries that tell addresses are capped; all else says what it can.
    for (log, says) in logs.iter().zip(["DEBUG", "DEBUG", "INFO"]) {
        let log = String::from_utf8_lossy(log);
        assert!(log.contains(says), "the log says something");
        assert!(!log.contains("DEBUG libp2p"), "the libraries that tell addresses are quiet");
    }
    let logged: usize = logs.iter().map(Vec::len).sum();
    println!(
        "nothing found in {logged} bytes of logs, {through_relay} bytes on the wire to the relay, \
         {direct} bytes between the nodes, two profiles' folders and the relay's"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_a_node_nor_a_relay_leaves_its_memory_in_a_core_dump() {
    let folder = tempfile::tempdir().unwrap();
    let relay = RelayProcess::start(folder.path(), RelayOptions::default()).await.unwrap();
    let options = NodeOptions::new(relay.address());
    let mut node = NodeProcess::start(folder.path(), "ada", options).await.unwrap();
    for process in [node.id(), relay.id()] {
        let limits = fs::read_to_string(format!("/proc/{}/limits", process.unwrap())).unwrap();
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        let words: Vec<&str> = core.split_whitespace().collect();
        assert_eq!(words[4..6], ["0", "0"], "{core}");
    }
    node.stop().await.unwrap();
}
