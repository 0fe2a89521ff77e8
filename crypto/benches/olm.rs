//! Sessions beside vodozemac’s Olm (version 1, its default): the same work, in one run.
//!
//! `cargo bench -p crypto --bench olm` prints criterion's report, then the ratios of the medians
//! and the bytes on the wire. Both encrypt 200 bytes; ours pads, encrypts its headers and mixes in ML-KEM.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a bench: it reads what criterion wrote, and prints"
)]

use std::cell::RefCell;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Duration;

use criterion::{BatchSize, Criterion};
use crypto::{
    Bundle, BundleInfo, DeviceCert, Identity, InviteKind, InvitePrekeys, Secret, Seed, Session,
    Token, TokenSpec, join, respond,
};
use vodozemac::olm::{Account, OlmMessage, Session as Olm, SessionConfig};

const NOW: u64 = 1_767_225_600;
const TEXT: [u8; 200] = [0x61; 200];
/// Turns of one measurement: below those after which a post-quantum epoch begins.
const TURNS: usize = 8;
/// Messages of a long conversation, of which each is a turn.
const TALK: usize = 200;

struct Invited {
    alice: Identity,
    bob: Identity,
    bob_cert: DeviceCert,
    token: Token,
    prekeys: InvitePrekeys,
    bundle: Bundle,
}

fn identity(byte: u8) -> Identity {
    Identity::from_seed(&Seed::from_secret(Secret::from_bytes([byte; 32])))
}

fn invited() -> Invited {
    let (alice, bob) = (identity(1), identity(2));
    let spec = TokenSpec {
        kind: InviteKind::Contact,
        approval: true,
        expires_minutes: u32::MAX,
        relays: Vec::new(),
    };
    let token = Token::mint(&alice, spec, &mut rand::rng()).unwrap();
    let cert = alice.primary_cert(1, NOW, 0);
    let prekeys = InvitePrekeys::generate(&cert, &token, &mut rand::rng());
    let bundle = Bundle::sign(&alice, &cert, &token, &prekeys, BundleInfo::default()).unwrap();
    let bob_cert = bob.primary_cert(1, NOW, 0);
    Invited { alice, bob, bob_cert, token, prekeys, bundle }
}

/// The request, and both sessions: of who joined and of who invited.
fn meet(invited: &Invited) -> (Vec<u8>, Session, Session) {
    let Invited { alice, bob, bob_cert, token, prekeys, bundle } = invited;
    let joined = join(bob, bob_cert, token, bundle, b"", &mut rand::rng()).unwrap();
    let responded = respond(alice, token, prekeys, &joined.request).unwrap();
    (joined.request, joined.session, responded.session)
}

/// Both have spoken once.
fn ours() -> (Session, Session) {
    let (_, mut bob, mut alice) = meet(&invited());
    turn(&mut alice, &mut bob);
    (bob, alice)
}

fn turn(one: &mut Session, other: &mut Session) {
    let frame = one.encrypt(&TEXT, NOW, &mut rand::rng()).unwrap();
    other.decrypt(&frame, NOW).unwrap();
    let frame = other.encrypt(&TEXT, NOW, &mut rand::rng()).unwrap();
    one.decrypt(&frame, NOW).unwrap();
}

/// Accounts with one one-time key each.
fn accounts() -> (Account, Account) {
    let (alice, mut bob) = (Account::new(), Account::new());
    bob.generate_one_time_keys(1);
    (alice, bob)
}

/// The first message, and both sessions.
fn olm_meet(alice: &Account, bob: &mut Account) -> (OlmMessage, Olm, Olm) {
    let one_time = *bob.one_time_keys().values().next().unwrap();
    let config = SessionConfig::version_1();
    let mut session =
        alice.create_outbound_session(config, bob.curve25519_key(), one_time).unwrap();
    let first = session.encrypt(b"").unwrap();
    let OlmMessage::PreKey(prekey) = &first else { panic!("the first is one") };
    let config = SessionConfig::version_1();
    let inbound = bob.create_inbound_session(config, alice.curve25519_key(), prekey).unwrap();
    (first, session, inbound.session)
}

fn olm() -> (Olm, Olm) {
    let (alice, mut bob) = accounts();
    let (_, mut one, mut other) = olm_meet(&alice, &mut bob);
    olm_turn(&mut other, &mut one);
    (one, other)
}

fn olm_turn(one: &mut Olm, other: &mut Olm) {
    let message = one.encrypt(TEXT).unwrap();
    other.decrypt(&message).unwrap();
    let message = other.encrypt(TEXT).unwrap();
    one.decrypt(&message).unwrap();
}

fn set_up(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("set-up");
    group.bench_function("kith", |b| b.iter_batched(invited, |i| meet(&i), BatchSize::SmallInput));
    group.bench_function("olm", |b| {
        b.iter_batched(
            accounts,
            |(alice, mut bob)| olm_meet(&alice, &mut bob),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn encrypt(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encrypt");
    let (mut bob, _alice) = ours();
    group.bench_function("kith", |b| {
        b.iter(|| bob.encrypt(black_box(&TEXT), NOW, &mut rand::rng()).unwrap());
    });
    let (mut one, _other) = olm();
    group.bench_function("olm", |b| b.iter(|| one.encrypt(black_box(TEXT)).unwrap()));
    group.finish();
}

fn decrypt(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decrypt");
    let (bob, mut alice) = ours();
    let bob = RefCell::new(bob);
    group.bench_function("kith", |b| {
        let sealed = || bob.borrow_mut().encrypt(&TEXT, NOW, &mut rand::rng()).unwrap();
        b.iter_batched(sealed, |frame| alice.decrypt(&frame, NOW).unwrap(), BatchSize::SmallInput);
    });
    let (one, mut other) = olm();
    let one = RefCell::new(one);
    group.bench_function("olm", |b| {
        let sealed = || one.borrow_mut().encrypt(TEXT).unwrap();
        b.iter_batched(sealed, |message| other.decrypt(&message).unwrap(), BatchSize::SmallInput);
    });
    group.finish();
}

fn ratchet_turn(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("turn");
    group.bench_function("kith", |b| {
        let turns = |(mut one, mut other)| {
            (0..TURNS).for_each(|_| turn(&mut one, &mut other));
            (one, other)
        };
        b.iter_batched(ours, turns, BatchSize::SmallInput);
    });
    group.bench_function("olm", |b| {
        let turns = |(mut one, mut other)| {
            (0..TURNS).for_each(|_| olm_turn(&mut one, &mut other));
            (one, other)
        };
        b.iter_batched(olm, turns, BatchSize::SmallInput);
    });
    let (mut bob, mut alice) = ours();
    group.bench_function("kith, epochs and all", |b| {
        b.iter(|| (0..TURNS).for_each(|_| turn(&mut bob, &mut alice)));
    });
    group.finish();
}

/// The median of what criterion measured, nanoseconds.
fn median(folder: &Path, group: &str, function: &str) -> Option<f64> {
    let file = folder.join(group).join(function).join("new/estimates.json");
    let estimates: serde_json::Value = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
    estimates["median"]["point_estimate"].as_f64()
}

fn report(folder: &Path) {
    println!("\n{:<28} {:>12} {:>12} {:>7}", "median", "kith", "olm", "ratio");
    let rows = [
        ("set-up", "kith", 1),
        ("encrypt", "kith", 1),
        ("decrypt", "kith", 1),
        ("turn", "kith", TURNS),
        ("turn", "kith, epochs and all", TURNS),
    ];
    for (group, function, times) in rows {
        let (Some(kith), Some(olm)) =
            (median(folder, group, function), median(folder, group, "olm"))
        else {
            continue;
        };
        let micros = |nanos: f64| format!("{:.2} µs", nanos / 1_000.0 / times as f64);
        let name =
            format!("{group} {}", function.trim_start_matches("kith").trim_start_matches(", "));
        println!("{name:<28} {:>12} {:>12} {:>7.2}", micros(kith), micros(olm), kith / olm);
    }
    sizes();
}

/// What travels for so many bytes of plaintext, and for a conversation of two who take turns.
fn sizes() {
    println!("\n{:<28} {:>12} {:>12} {:>7}", "bytes on the wire", "kith", "olm", "ratio");
    let row = |name: &str, ours: usize, theirs: usize| {
        println!("{name:<28} {ours:>12} {theirs:>12} {:>7.2}", ours as f64 / theirs as f64);
    };
    let (mut bob, mut alice) = ours();
    let (mut one, mut other) = olm();
    for length in [20, 200, 277, 400, 1_000, 4_000] {
        let text = vec![0x61; length];
        let kith = bob.encrypt(&text, NOW, &mut rand::rng()).unwrap().len();
        let olm = one.encrypt(&text).unwrap().to_parts().1.len();
        row(&format!("{length} bytes"), kith, olm);
    }
    let (mut kith, mut theirs) = (0, 0);
    for _ in 0..TALK {
        let frame = bob.encrypt(&TEXT, NOW, &mut rand::rng()).unwrap();
        alice.decrypt(&frame, NOW).unwrap();
        kith += frame.len();
        let message = one.encrypt(TEXT).unwrap();
        other.decrypt(&message).unwrap();
        theirs += message.to_parts().1.len();
        // The other one answers.
        std::mem::swap(&mut bob, &mut alice);
        std::mem::swap(&mut one, &mut other);
    }
    row(&format!("{TALK} turns of 200, with epochs"), kith, theirs);
    let (alice, mut ben) = accounts();
    let first = olm_meet(&alice, &mut ben).0.to_parts().1.len();
    row("first message", meet(&invited()).0.len(), first);
}

fn main() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("criterion");
    let mut criterion = Criterion::default()
        .measurement_time(Duration::from_secs(4))
        .configure_from_args()
        .output_directory(&folder);
    set_up(&mut criterion);
    encrypt(&mut criterion);
    decrypt(&mut criterion);
    ratchet_turn(&mut criterion);
    criterion.final_summary();
    report(&folder);
}
