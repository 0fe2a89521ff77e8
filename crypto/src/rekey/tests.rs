#![allow(clippy::unwrap_used, reason = "tests")]

use data_encoding::HEXLOWER;

use super::*;
use crate::fixtures::{NOW, TestRng, cert, identity, sessions};
use crate::kdf::sha256;
use crate::ratchet::DecryptError;

fn alice() -> Identity {
    identity(0xA1)
}

fn bob() -> Identity {
    identity(0xB0)
}

/// What Alice and Bob have shared since they met.
fn psk(rng: &mut TestRng) -> Secret<32> {
    let (bob, alice) = sessions(rng);
    let psk = alice.reinit_psk();
    assert!(psk.ct_eq(&bob.reinit_psk()));
    psk
}

struct Rekeying {
    psk: Secret<32>,
    prekeys: RekeyPrekeys,
    offer: Vec<u8>,
    answered: Answered,
}

/// Alice lost her sessions; Bob answered her offer.
fn rekeying(rng: &mut TestRng) -> Rekeying {
    let psk = psk(rng);
    let prekeys = RekeyPrekeys::generate(&cert(&alice()), 7, rng);
    let offer = Offer::seal((&alice(), &cert(&alice())), &prekeys, bob().account(), &psk, rng);
    let opened = Offer::open(&offer, alice().account(), bob().account(), &psk).unwrap();
    assert_eq!(opened.counter(), 7);
    let answered = answer(&bob(), &cert(&bob()), &opened, &psk, rng).unwrap();
    Rekeying { psk, prekeys, offer, answered }
}

fn complete_with(r: &Rekeying, prekeys: &RekeyPrekeys) -> Result<Responded, RespondError> {
    complete(&alice(), prekeys, bob().account(), &r.psk, &r.answered.answer)
}

#[test]
fn after_an_offer_and_its_answer_both_have_one_session_and_know_each_other() {
    let mut rng = TestRng::new("rekey");
    let mut r = rekeying(&mut rng);
    let mut done = complete_with(&r, &r.prekeys).unwrap();
    assert_eq!(done.peer, bob().account());
    assert_eq!(r.answered.session.peer(), alice().account());
    assert_eq!(done.session.id(), r.answered.session.id());
    assert!(done.payload.is_empty());
    // Either may speak first, and what Bob says may be there before his answer was read.
    let early = r.answered.session.encrypt(b"early", NOW, &mut rng).unwrap();
    let first = done.session.encrypt(b"back", NOW, &mut rng).unwrap();
    assert_eq!(r.answered.session.decrypt(&first, NOW).unwrap(), b"back");
    assert_eq!(done.session.decrypt(&early, NOW).unwrap(), b"early");
}

#[test]
fn offer_and_answer_have_the_length_and_the_first_byte_of_a_frame() {
    let mut rng = TestRng::new("rekey frames");
    let mut r = rekeying(&mut rng);
    let frame = r.answered.session.encrypt(&[0; 700], NOW, &mut rng).unwrap();
    for bytes in [&r.offer, &r.answered.answer] {
        assert_eq!((bytes.len(), bytes[0]), (frame.len(), frame[0]));
        assert!(crate::FRAME_CLASSES.contains(&bytes.len()));
    }
    // And neither is one: a session refuses them without a change.
    let before = r.answered.session.export();
    let refused = r.answered.session.decrypt(&r.offer, NOW);
    assert_eq!(refused.unwrap_err(), DecryptError::UnknownHeader);
    assert_eq!(*r.answered.session.export(), *before);
}

#[test]
fn an_offer_with_any_bit_flipped_or_for_somebody_else_is_refused() {
    let mut rng = TestRng::new("rekey offer bits");
    let r = rekeying(&mut rng);
    let open = |bytes: &[u8]| Offer::open(bytes, alice().account(), bob().account(), &r.psk);
    let mut offer = r.offer.clone();
    for byte in (0..REKEY_LEN).filter(|byte| byte % 13 == 0 || *byte < 80) {
        offer[byte] ^= 1 << (byte % 8);
        assert_eq!(open(&offer).unwrap_err(), OfferError::Sealed, "byte {byte}");
        offer[byte] ^= 1 << (byte % 8);
    }
    assert!(open(&offer).is_ok());
    for len in [0, 1, 24, REKEY_LEN - 1] {
        assert_eq!(open(&offer[..len]).unwrap_err(), OfferError::Sealed);
    }
    assert_eq!(open(&[&offer[..], &[0]].concat()).unwrap_err(), OfferError::Sealed);
    let carol = identity(0xC0).account();
    for (from, to, key) in [
        (carol, bob().account(), &r.psk),
        (alice().account(), carol, &r.psk),
        (bob().account(), alice().account(), &r.psk),
        (alice().account(), bob().account(), &Secret::from_bytes([9; 32])),
    ] {
        assert_eq!(Offer::open(&offer, from, to, key).unwrap_err(), OfferError::Sealed);
    }
}

/// Who has the shared key alone (a relay's thief of an old backup, say) and not the account's.
#[test]
fn an_offer_that_the_account_did_not_sign_for_us_is_refused() {
    let mut rng = TestRng::new("rekey forged");
    let psk = psk(&mut rng);
    let prekeys = RekeyPrekeys::generate(&cert(&alice()), 7, &mut rng);
    let carol = identity(0xC0);
    // Carol signs, with Alice's certificate and with her own, sealed as Alice would.
    for shown in [cert(&alice()), cert(&carol)] {
        let sealed = Seal::new(label::REKEY_OFFER, &psk, alice().account(), bob().account());
        let mut w = Writer::with_capacity(INNER_LEN);
        w.u64(8).bytes(shown.as_bytes());
        w.u8(TYPE_X25519).bytes(prekeys.spk.public().as_bytes());
        w.u8(TYPE_ML_KEM).bytes(&*prekeys.kem.public());
        let to = bob().account();
        let signature = carol.sign(Purpose::RekeyOffer, &[to.as_bytes(), w.as_slice()]);
        w.bytes(signature.as_bytes());
        let mut content = w.finish();
        layout::pad(&mut content, INNER_LEN);
        let forged = sealed.seal(content, &mut rng);
        let refused = Offer::open(&forged, alice().account(), to, &psk).unwrap_err();
        assert!(matches!(refused, OfferError::Signature(_)), "{refused:?}");
    }
    // What she signed for Carol does not pass for Bob, whatever it is sealed under.
    let offer = Offer::seal((&alice(), &cert(&alice())), &prekeys, carol.account(), &psk, &mut rng);
    let inner = Seal::new(label::REKEY_OFFER, &psk, alice().account(), carol.account())
        .open(&offer)
        .unwrap();
    let passed_on = Seal::new(label::REKEY_OFFER, &psk, alice().account(), bob().account())
        .seal(inner.to_vec(), &mut rng);
    let refused = Offer::open(&passed_on, alice().account(), bob().account(), &psk).unwrap_err();
    assert!(matches!(refused, OfferError::Signature(_)), "{refused:?}");
}

#[test]
fn an_answer_with_any_bit_flipped_or_to_another_offer_is_refused() {
    let mut rng = TestRng::new("rekey answer bits");
    let mut r = rekeying(&mut rng);
    for byte in (0..REKEY_LEN).filter(|byte| byte % 31 == 0 || *byte < 30) {
        r.answered.answer[byte] ^= 1 << (byte % 8);
        assert_eq!(complete_with(&r, &r.prekeys).unwrap_err(), RespondError::Sealed);
        r.answered.answer[byte] ^= 1 << (byte % 8);
    }
    let later = RekeyPrekeys { counter: 8, ..RekeyPrekeys::import(&r.prekeys.export()).unwrap() };
    let other = RekeyPrekeys::generate(&cert(&alice()), 7, &mut rng);
    for prekeys in [later, other] {
        assert_eq!(complete_with(&r, &prekeys).unwrap_err(), RespondError::Sealed);
    }
    assert!(complete_with(&r, &r.prekeys).is_ok());
}

/// Carol got hold of the shared key, and of the offer.
#[test]
fn nobody_else_answers_for_a_contact() {
    let mut rng = TestRng::new("rekey carol");
    let r = rekeying(&mut rng);
    let carol = identity(0xC0);
    let opened = Offer::open(&r.offer, alice().account(), bob().account(), &r.psk).unwrap();
    let offered = Offered {
        purpose: label::REKEY_TRANSCRIPT,
        tid: &id(&r.psk, 7, alice().account(), bob().account()),
        psk: &r.psk,
        cert: &opened.cert,
        spk: opened.spk,
        opk: None,
        kem: &opened.kem,
    };
    let (opening, _) =
        initiate(&carol, &cert(&carol), &offered, (b"", FRAME_LEN), &mut rng).unwrap();
    let forged = Seal::new(label::REKEY_ANSWER, &r.psk, bob().account(), alice().account())
        .seal(opening, &mut rng);
    let refused = complete(&alice(), &r.prekeys, bob().account(), &r.psk, &forged);
    assert_eq!(refused.unwrap_err(), RespondError::Sealed);
}

/// Once the prekeys are deleted, neither both seeds nor the shared key open what was recorded.
#[test]
fn without_its_prekeys_a_recorded_answer_stays_shut() {
    let mut rng = TestRng::new("rekey deleted");
    let r = rekeying(&mut rng);
    let fresh = || RekeyPrekeys::generate(&cert(&alice()), 7, &mut TestRng::new("x"));
    let kept = || RekeyPrekeys::import(&r.prekeys.export()).unwrap();
    let guesses = [
        fresh(),
        RekeyPrekeys { spk: fresh().spk, ..kept() },
        RekeyPrekeys { kem: fresh().kem, ..kept() },
    ];
    for guess in guesses {
        assert_eq!(complete_with(&r, &guess).unwrap_err(), RespondError::Sealed);
    }
}

#[test]
fn stored_prekeys_are_read_back_and_cut_ones_refused() {
    let mut rng = TestRng::new("rekey stored");
    let prekeys = RekeyPrekeys::generate(&cert(&alice()), u64::MAX, &mut rng);
    let stored = prekeys.export();
    assert_eq!(stored.len(), PREKEYS_LEN);
    assert_eq!(*RekeyPrekeys::import(&stored).unwrap().export(), *stored);
    for len in 0..stored.len() {
        RekeyPrekeys::import(&stored[..len]).unwrap_err();
    }
    RekeyPrekeys::import(&[&stored[..], &[0]].concat()).unwrap_err();
}

#[test]
fn the_bytes_of_a_rekeying_are_frozen() {
    let mut rng = TestRng::new("frozen rekey");
    let r = rekeying(&mut rng);
    let hash = |bytes: &[u8]| HEXLOWER.encode(&sha256(&[bytes]));
    let shared = &r.answered.session.shared;
    let frozen = format!(
        "psk      {}\nprekeys  {}\noffer    {}\nid       {}\nanswer   {}\nTH       {}\nSID      {}\nEXP      {}",
        HEXLOWER.encode(r.psk.expose()),
        HEXLOWER.encode(&r.prekeys.export()),
        hash(&r.offer),
        HEXLOWER.encode(&id(&r.psk, 7, alice().account(), bob().account())),
        hash(&r.answered.answer),
        HEXLOWER.encode(&shared.transcript),
        HEXLOWER.encode(&shared.sid),
        HEXLOWER.encode(shared.exporter.expose()),
    );
    insta::assert_snapshot!("rekey", frozen);
}

#[test]
fn debug_of_a_rekeying_shows_no_key() {
    let mut rng = TestRng::new("debug rekey");
    let r = rekeying(&mut rng);
    let opened = Offer::open(&r.offer, alice().account(), bob().account(), &r.psk).unwrap();
    insta::assert_snapshot!("debug", format!("{:#?}\n{opened:#?}\n{:#?}", r.prekeys, r.answered));
}
