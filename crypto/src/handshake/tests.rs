#![allow(clippy::unwrap_used, reason = "tests")]

use data_encoding::HEXLOWER;

use super::*;
use crate::agreement::LowOrderKey;
use crate::fixtures::{
    Invited, NOW, TestRng, cert, contact_spec, group_spec, identity, invited, sessions,
};
use crate::identity::{DeviceCert, DeviceCertSpec, FIRST_AGREEMENT_VERSION, Identity};
use crate::kdf::label;
use crate::kdf::sha256;
use crate::prekey::{Bundle, BundleInfo, InvitePrekeys};
use crate::ratchet::DecryptError;
use crate::session::{Role, sas_commit, sas_nonce, sas_reveal_matches};

fn bob() -> Identity {
    identity(0xB0)
}

fn join_as_bob(invited: &Invited, rng: &mut TestRng) -> Joined {
    join(&bob(), &cert(&bob()), &invited.token, &invited.bundle, b"hello", rng).unwrap()
}

fn respond_to(invited: &Invited, request: &[u8]) -> Result<Responded, RespondError> {
    respond(&invited.alice, &invited.token, &invited.prekeys, request)
}

#[test]
fn both_sides_hold_the_same_session_and_know_each_other() {
    for spec in [contact_spec(), group_spec()] {
        let mut rng = TestRng::new("join");
        let invited = invited(spec, &mut rng);
        let mut joined = join_as_bob(&invited, &mut rng);
        assert_eq!(joined.request.len(), JOIN_REQUEST_LEN);
        let mut responded = respond_to(&invited, &joined.request).unwrap();
        assert_eq!(responded.payload, b"hello");
        assert_eq!(responded.peer, bob().account());
        assert_eq!(responded.cert, cert(&bob()));
        assert_eq!(joined.session.peer(), invited.alice.account());
        assert_eq!(joined.session.role(), Role::Initiator);
        assert_eq!(responded.session.role(), Role::Responder);
        assert_eq!(joined.session.id(), responded.session.id());
        assert!(joined.session.reinit_psk().ct_eq(&responded.session.reinit_psk()));

        let hold = responded.session.encrypt(b"hold", NOW, &mut rng).unwrap();
        assert_eq!(joined.session.decrypt(&hold, NOW).unwrap(), b"hold");
        let reveal = joined.session.encrypt(b"reveal", NOW, &mut rng).unwrap();
        assert_eq!(responded.session.decrypt(&reveal, NOW).unwrap(), b"reveal");
    }
}

#[test]
fn both_screens_show_the_same_six_symbols() {
    let mut rng = TestRng::new("sas");
    let (bob, alice) = sessions(&mut rng);
    let (n_a, n_b) = (sas_nonce(&mut rng), sas_nonce(&mut rng));
    let shown = bob.sas(&n_a, &n_b);
    assert_eq!(shown, alice.sas(&n_a, &n_b));
    assert!(shown.iter().all(|symbol| *symbol < 64));
    assert_ne!(shown, alice.sas(&n_b, &n_a));
    assert!(sas_reveal_matches(&sas_commit(&n_a), &n_a));
    assert!(!sas_reveal_matches(&sas_commit(&n_a), &n_b));
}

#[test]
fn two_requests_for_one_invite_yield_different_sessions() {
    let mut rng = TestRng::new("two");
    let invited = invited(group_spec(), &mut rng);
    let (one, two) = (join_as_bob(&invited, &mut rng), join_as_bob(&invited, &mut rng));
    assert_ne!(one.request, two.request);
    assert_ne!(one.session.id(), two.session.id());
}

/// Stored prekeys are the same prekeys.
#[test]
fn a_request_opens_after_the_inviter_restarted() {
    let mut rng = TestRng::new("restart");
    let mut invited = invited(contact_spec(), &mut rng);
    let joined = join_as_bob(&invited, &mut rng);
    invited.prekeys = InvitePrekeys::import(&invited.prekeys.export()).unwrap();
    assert_eq!(respond_to(&invited, &joined.request).unwrap().payload, b"hello");
}

/// Splits the exhaustive flip over two tests so that two cores share it.
fn flip_bits(bits: core::ops::Range<usize>) {
    let mut rng = TestRng::new("flip");
    let invited = invited(contact_spec(), &mut rng);
    let mut request = join_as_bob(&invited, &mut rng).request;
    for bit in bits {
        request[bit / 8] ^= 1 << (bit % 8);
        let refused = respond_to(&invited, &request).unwrap_err();
        request[bit / 8] ^= 1 << (bit % 8);
        match bit / 8 {
            0 => assert_eq!(refused, RespondError::UnknownVersion),
            // X25519 ignores the top bit of a public key; the transcript does not.
            1..1326 => assert_eq!(refused, RespondError::Sealed),
            1326 => assert_eq!(refused, RespondError::Payload(DecryptError::UnknownVersion)),
            1327..1415 => {
                assert_eq!(refused, RespondError::Payload(DecryptError::UnknownHeader));
            }
            _ => assert_eq!(refused, RespondError::Payload(DecryptError::Body)),
        }
    }
    assert!(respond_to(&invited, &request).is_ok());
}

#[test]
fn a_request_with_any_bit_of_its_first_half_flipped_is_refused() {
    flip_bits(0..660 * 8);
}

#[test]
fn a_request_with_any_bit_of_its_second_half_flipped_is_refused() {
    flip_bits(660 * 8..1430 * 8);
}

/// The body is one AEAD ciphertext; its bits are alike.
#[test]
fn a_request_with_a_bit_of_its_body_flipped_is_refused() {
    for byte in (1430..JOIN_REQUEST_LEN).step_by(37).chain([JOIN_REQUEST_LEN - 1]) {
        flip_bits(byte * 8 + byte % 8..byte * 8 + byte % 8 + 1);
    }
}

#[test]
fn a_request_of_another_length_is_refused_before_anything_is_computed() {
    let mut rng = TestRng::new("length");
    let invited = invited(contact_spec(), &mut rng);
    let request = join_as_bob(&invited, &mut rng).request;
    for len in [0, 1, 1326, JOIN_REQUEST_LEN - 1] {
        assert_eq!(respond_to(&invited, &request[..len]).unwrap_err(), RespondError::Length);
    }
    let long = [&request[..], &[0]].concat();
    assert_eq!(respond_to(&invited, &long).unwrap_err(), RespondError::Length);
}

#[test]
fn a_low_order_ephemeral_key_is_refused() {
    let mut rng = TestRng::new("low order");
    let invited = invited(contact_spec(), &mut rng);
    let mut request = join_as_bob(&invited, &mut rng).request;
    request[1..33].fill(0);
    assert_eq!(respond_to(&invited, &request).unwrap_err(), RespondError::PeerKey(LowOrderKey));
}

/// An inviter who publishes low-order prekeys does not get a session out of us.
#[test]
fn low_order_prekeys_are_refused() {
    let mut rng = TestRng::new("low prekeys");
    let invited = invited(contact_spec(), &mut rng);
    let zero = crate::agreement::AgreementKey::from_bytes([0; 32]);
    let mut spk = invited.bundle.clone();
    spk.spk = zero;
    let mut opk = invited.bundle.clone();
    opk.opk = Some(zero);
    for bundle in [spk, opk] {
        let refused = join(&bob(), &cert(&bob()), &invited.token, &bundle, b"", &mut rng);
        assert_eq!(refused.unwrap_err(), JoinError::PeerKey(LowOrderKey));
    }
}

#[test]
fn a_request_for_one_invite_does_not_open_another() {
    let mut rng = TestRng::new("cross");
    let one = invited(contact_spec(), &mut rng);
    let two = invited(contact_spec(), &mut rng);
    let request = join_as_bob(&one, &mut rng).request;
    assert_eq!(respond_to(&two, &request).unwrap_err(), RespondError::Sealed);
    // Same prekeys, another secret: the psk alone keeps it shut.
    let mixed = Invited { token: two.token.clone(), ..one };
    assert_eq!(respond_to(&mixed, &request).unwrap_err(), RespondError::Sealed);
}

/// Once the prekeys are deleted, nothing that is left opens a recorded request: not the inviter's
/// seed, the token and the bundle together, and not with two of the three prekeys besides.
#[test]
fn without_its_prekeys_a_recorded_request_stays_shut() {
    let mut rng = TestRng::new("deleted prekeys");
    let invited = invited(contact_spec(), &mut rng);
    let request = join_as_bob(&invited, &mut rng).request;
    let fresh =
        || InvitePrekeys::generate(&cert(&invited.alice), &invited.token, &mut TestRng::new("x"));
    let kept = || InvitePrekeys::import(&invited.prekeys.export()).unwrap();
    let guesses = [
        fresh(),
        InvitePrekeys { spk: fresh().spk, ..kept() },
        InvitePrekeys { opk: fresh().opk, ..kept() },
        InvitePrekeys { kem: fresh().kem, ..kept() },
        InvitePrekeys { opk: None, ..kept() },
    ];
    for guess in guesses {
        let refused = respond(&invited.alice, &invited.token, &guess, &request);
        assert_eq!(refused.unwrap_err(), RespondError::Sealed);
    }
    assert!(respond(&invited.alice, &invited.token, &kept(), &request).is_ok());
}

#[test]
fn a_certificate_without_its_agreement_secret_is_worthless() {
    let mut rng = TestRng::new("stolen cert");
    let invited = invited(contact_spec(), &mut rng);
    let carol_cert = cert(&identity(0xC0));
    let refused = join(&bob(), &carol_cert, &invited.token, &invited.bundle, b"", &mut rng);
    assert_eq!(refused.unwrap_err(), JoinError::CertMismatch);
    let own = cert(&bob());
    let foreign_key =
        DeviceCertSpec { agreement_key: carol_cert.spec().agreement_key, ..own.spec().clone() };
    let refused =
        join(&bob(), &bob().certify(&foreign_key), &invited.token, &invited.bundle, b"", &mut rng);
    assert_eq!(refused.unwrap_err(), JoinError::CertMismatch);
    let next_version = bob().primary_cert(2, NOW, 0);
    assert!(join(&bob(), &next_version, &invited.token, &invited.bundle, b"", &mut rng).is_ok());

    // Bob's program may have no such scruples: Alice does not take him for Carol.
    let (token, bundle) = (&invited.token, &invited.bundle);
    let keys = token.derived();
    let offered = Offered {
        purpose: label::TRANSCRIPT_0,
        tid: &keys.tid,
        psk: &keys.psk,
        cert: &bundle.cert,
        spk: bundle.spk,
        opk: bundle.opk,
        kem: &bundle.kem,
    };
    let mut as_somebody = |cert: &DeviceCert| {
        let payload = (&b"hello"[..], FIRST_FRAME_LEN);
        let own = bob().agreement(FIRST_AGREEMENT_VERSION);
        let (opening, _) =
            super::join::initiate_as(cert, &own, &offered, payload, &mut rng).unwrap();
        respond_to(&invited, &[&[REQUEST_VERSION][..], &opening].concat())
    };
    assert_eq!(as_somebody(&own).unwrap().peer, bob().account());
    let refused = as_somebody(&carol_cert).unwrap_err();
    assert_eq!(refused, RespondError::Payload(DecryptError::UnknownHeader));
}

#[test]
fn nobody_joins_his_own_invite_or_with_a_foreign_bundle() {
    let mut rng = TestRng::new("own");
    let one = invited(contact_spec(), &mut rng);
    let two = invited(contact_spec(), &mut rng);
    let own = join(&one.alice, &cert(&one.alice), &one.token, &one.bundle, b"", &mut rng);
    assert_eq!(own.unwrap_err(), JoinError::OwnInvite);
    let foreign = join(&bob(), &cert(&bob()), &one.token, &two.bundle, b"", &mut rng);
    assert_eq!(foreign.unwrap_err(), JoinError::BundleMismatch);
    let request = join_as_bob(&one, &mut rng).request;
    let refused = respond(&bob(), &one.token, &one.prekeys, &request);
    assert_eq!(refused.unwrap_err(), RespondError::ForeignInvite);
}

#[test]
fn the_longest_first_payload_fits_and_one_byte_more_does_not() {
    let mut rng = TestRng::new("payload");
    let invited = invited(contact_spec(), &mut rng);
    assert_eq!(MAX_JOIN_PAYLOAD, 4096 - 1326 - 107, "a second implementation sends as much");
    let longest = [0x80; MAX_JOIN_PAYLOAD];
    let joined =
        join(&bob(), &cert(&bob()), &invited.token, &invited.bundle, &longest, &mut rng).unwrap();
    assert_eq!(joined.request.len(), JOIN_REQUEST_LEN);
    assert_eq!(respond_to(&invited, &joined.request).unwrap().payload, longest);
    let over = [0; MAX_JOIN_PAYLOAD + 1];
    let refused = join(&bob(), &cert(&bob()), &invited.token, &invited.bundle, &over, &mut rng);
    assert_eq!(refused.unwrap_err(), JoinError::PayloadTooLong);
}

/// Without a one-time prekey (group) the transcript says so.
#[test]
fn contact_and_group_requests_do_not_pass_for_each_other() {
    let mut rng = TestRng::new("kinds");
    let contact = invited(contact_spec(), &mut rng);
    let request = join_as_bob(&contact, &mut rng).request;
    let mut without = InvitePrekeys::import(&contact.prekeys.export()).unwrap();
    without.opk = None;
    let refused = respond(&contact.alice, &contact.token, &without, &request);
    assert_eq!(refused.unwrap_err(), RespondError::Sealed);
}

#[test]
fn the_keys_of_a_handshake_are_frozen() {
    let mut rng = TestRng::new("frozen handshake");
    let invited = invited(contact_spec(), &mut rng);
    let joined = join_as_bob(&invited, &mut rng);
    let sealed_bundle = invited.bundle.seal(&invited.token, &mut rng);
    let shared = &joined.session.shared;
    let hash = |bytes: &[u8]| HEXLOWER.encode(&sha256(&[bytes]));
    let frozen = format!(
        "token    {}\ncert     {}\nbundle   {}\nrequest  {}\nTH       {}\nSID      {}\n\
         SAS_K    {}\nEXP      {}\nstate    {}\nprekeys  {}",
        hash(invited.token.as_bytes()),
        HEXLOWER.encode(cert(&bob()).as_bytes()),
        hash(&sealed_bundle),
        hash(&joined.request),
        HEXLOWER.encode(&shared.transcript),
        HEXLOWER.encode(&shared.sid),
        HEXLOWER.encode(shared.sas_key.expose()),
        HEXLOWER.encode(shared.exporter.expose()),
        hash(&joined.session.export()),
        HEXLOWER.encode(&invited.prekeys.export()),
    );
    insta::assert_snapshot!("handshake", frozen);
}

#[test]
fn debug_of_a_handshake_shows_no_payload_and_no_key() {
    let mut rng = TestRng::new("debug");
    let invited = invited(contact_spec(), &mut rng);
    let joined = join_as_bob(&invited, &mut rng);
    let responded = respond_to(&invited, &joined.request).unwrap();
    insta::assert_snapshot!("debug", format!("{joined:#?}\n{responded:#?}"));
}

#[test]
fn a_bundle_survives_the_wire_and_still_joins() {
    let mut rng = TestRng::new("wire");
    let alice = invited(contact_spec(), &mut rng);
    let sealed = alice.bundle.seal(&alice.token, &mut rng);
    let bundle = Bundle::open(&alice.token, &sealed).unwrap();
    let joined = join(&bob(), &cert(&bob()), &alice.token, &bundle, b"hi", &mut rng).unwrap();
    assert_eq!(respond_to(&alice, &joined.request).unwrap().payload, b"hi");
    assert_eq!(BundleInfo::default().name, None);
}
