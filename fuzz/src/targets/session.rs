//! Sessions: frames, ephemerals, what is stored of them, and how they are made anew.

use std::sync::LazyLock;

use crypto::rekey::{Offer, RekeyPrekeys, answer, complete};
use crypto::{Identity, Secret, Session};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::{NOW, World, splice};

static FRAME: LazyLock<(Vec<u8>, Vec<u8>)> = LazyLock::new(|| {
    let mut world = World::new();
    let frame = world.bob_session.encrypt(b"honest", NOW, &mut world.rng).expect("short");
    (world.alice_session.export().to_vec(), frame)
});

static EPHEMERAL: LazyLock<(World, Vec<u8>)> = LazyLock::new(|| {
    let mut world = World::new();
    let sealed = world.bob_session.seal_ephemeral(b"here", NOW, &mut world.rng).expect("short");
    (world, sealed)
});

static STORED: LazyLock<Vec<u8>> = LazyLock::new(|| World::new().alice_session.export().to_vec());

static REKEYING: LazyLock<Rekeying> = LazyLock::new(|| {
    let World { alice, bob, bob_session, mut rng, .. } = World::new();
    let psk = bob_session.reinit_psk();
    let cert = alice.primary_cert(1, NOW, 0);
    let prekeys = RekeyPrekeys::generate(&cert, 1, &mut rng);
    let offer = Offer::seal((&alice, &cert), &prekeys, bob.account(), &psk, &mut rng);
    let opened = Offer::open(&offer, alice.account(), bob.account(), &psk).expect("honest");
    let cert = bob.primary_cert(1, NOW, 0);
    let answered = answer(&bob, &cert, &opened, &psk, &mut rng).expect("honest");
    Rekeying { alice, bob, psk, prekeys, offer, answer: answered.answer }
});

struct Rekeying {
    alice: Identity,
    bob: Identity,
    psk: Secret<32>,
    prekeys: RekeyPrekeys,
    offer: Vec<u8>,
    answer: Vec<u8>,
}

/// Frames: whatever is refused leaves the state as it was.
pub fn frame(data: &[u8]) {
    let (stored, frame) = &*FRAME;
    let mut session = Session::import(stored).expect("our own export");
    let damaged = splice(frame, data);
    for bytes in [data, &damaged] {
        if session.decrypt(bytes, NOW).is_err() {
            assert_eq!(&session.export()[..], &stored[..]);
        } else {
            assert_eq!(bytes, frame);
        }
    }
}

/// Droppable messages: refused unless untouched.
pub fn ephemeral(data: &[u8]) {
    let (world, sealed) = &*EPHEMERAL;
    let damaged = splice(sealed, data);
    let opened = world.alice_session.open_ephemeral(&damaged, NOW);
    assert_eq!(opened.is_ok(), damaged == *sealed);
    let _ = world.alice_session.open_ephemeral(data, NOW);
}

/// Stored sessions: no panic on import or use, and an accepted state has one stored form.
pub fn stored_session(data: &[u8]) {
    for bytes in [data, &splice(&STORED, data)] {
        if let Ok(mut session) = Session::import(bytes) {
            assert_eq!(&session.export()[..], bytes);
            let _ = session.encrypt(b"x", NOW, &mut StdRng::seed_from_u64(2));
        }
    }
}

/// Offers and answers of a re-keying, damaged anywhere: refused unless untouched.
pub fn rekey(data: &[u8]) {
    let Rekeying { alice, bob, psk, prekeys, offer, answer } = &*REKEYING;
    let damaged = splice(offer, data);
    let opened = Offer::open(&damaged, alice.account(), bob.account(), psk);
    assert_eq!(opened.is_ok(), damaged == *offer);
    let damaged = splice(answer, data);
    let completed = complete(alice, prekeys, bob.account(), psk, &damaged);
    assert_eq!(completed.is_ok(), damaged == *answer);
    let _ = Offer::open(data, alice.account(), bob.account(), psk);
    let _ = complete(alice, prekeys, bob.account(), psk, data);
}
