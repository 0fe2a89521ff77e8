//! Offers and answers of a re-keying, damaged anywhere: refused unless untouched.

#![no_main]

use std::sync::LazyLock;

use crypto::rekey::{Offer, RekeyPrekeys, answer, complete};
use crypto::{Identity, Secret};
use fuzz::{NOW, World, splice};
use libfuzzer_sys::fuzz_target;

struct Rekeying {
    alice: Identity,
    bob: Identity,
    psk: Secret<32>,
    prekeys: RekeyPrekeys,
    offer: Vec<u8>,
    answer: Vec<u8>,
}

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

fuzz_target!(|data: &[u8]| {
    let Rekeying { alice, bob, psk, prekeys, offer, answer } = &*REKEYING;
    let damaged = splice(offer, data);
    let opened = Offer::open(&damaged, alice.account(), bob.account(), psk);
    assert_eq!(opened.is_ok(), damaged == *offer);
    let damaged = splice(answer, data);
    let completed = complete(alice, prekeys, bob.account(), psk, &damaged);
    assert_eq!(completed.is_ok(), damaged == *answer);
    let _ = Offer::open(data, alice.account(), bob.account(), psk);
    let _ = complete(alice, prekeys, bob.account(), psk, data);
});
