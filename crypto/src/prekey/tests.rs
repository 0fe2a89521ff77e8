#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::fixtures::{TestRng, cert, contact_spec, group_spec, identity, invited};

#[test]
fn a_sealed_bundle_opens_with_its_token_and_no_other() {
    let mut rng = TestRng::new("bundle");
    let one = invited(contact_spec(), &mut rng);
    let two = invited(contact_spec(), &mut rng);
    let sealed = one.bundle.seal(&one.token, &mut rng);
    assert_eq!(sealed.len(), BUNDLE_LEN);
    let opened = Bundle::open(&one.token, &sealed).unwrap();
    assert_eq!(opened, one.bundle);
    assert_eq!(opened.info().name.as_deref(), Some("Alice"));
    assert_eq!(Bundle::open(&two.token, &sealed), Err(BundleError::Sealed));
}

#[test]
fn a_group_bundle_has_no_one_time_prekey() {
    let mut rng = TestRng::new("group bundle");
    let group = invited(group_spec(), &mut rng);
    let sealed = group.bundle.seal(&group.token, &mut rng);
    assert_eq!(Bundle::open(&group.token, &sealed).unwrap().opk, None);
}

#[test]
fn a_sealed_bundle_with_any_bit_flipped_is_refused() {
    let mut rng = TestRng::new("bundle bits");
    let invited = invited(contact_spec(), &mut rng);
    let sealed = invited.bundle.seal(&invited.token, &mut rng);
    for bit in 0..BUNDLE_LEN * 8 {
        let mut bytes = sealed.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        Bundle::open(&invited.token, &bytes).unwrap_err();
    }
}

/// A screenshot thief knows the token and so can seal whatever he likes.
#[test]
fn a_token_thief_cannot_change_a_bit_of_what_the_inviter_signed() {
    let mut rng = TestRng::new("thief");
    let invited = invited(contact_spec(), &mut rng);
    let tid = invited.token.derived().tid;
    assert!(Bundle::decode(&invited.token, tid, &invited.bundle.bytes).is_ok());
    for bit in 0..invited.bundle.bytes.len() * 8 {
        let mut content = invited.bundle.bytes.clone();
        content[bit / 8] ^= 1 << (bit % 8);
        Bundle::decode(&invited.token, tid, &content).unwrap_err();
    }
    for len in 0..invited.bundle.bytes.len() {
        Bundle::decode(&invited.token, tid, &invited.bundle.bytes[..len]).unwrap_err();
    }
}

#[test]
fn a_bundle_of_the_inviters_other_invite_is_refused_even_if_resealed() {
    let mut rng = TestRng::new("reseal");
    let one = invited(contact_spec(), &mut rng);
    let two = invited(contact_spec(), &mut rng);
    let resealed = one.bundle.seal(&two.token, &mut rng);
    assert_eq!(Bundle::open(&two.token, &resealed), Err(BundleError::Signature(BadSignature)));
}

#[test]
fn a_bundle_of_another_length_or_version_is_refused() {
    let mut rng = TestRng::new("length");
    let invited = invited(contact_spec(), &mut rng);
    let mut sealed = invited.bundle.seal(&invited.token, &mut rng);
    for len in [0, 1, BUNDLE_LEN - 1] {
        assert_eq!(Bundle::open(&invited.token, &sealed[..len]), Err(BundleError::Length));
    }
    sealed.push(0);
    assert_eq!(Bundle::open(&invited.token, &sealed), Err(BundleError::Length));
    sealed.pop();
    sealed[0] = 2;
    assert_eq!(Bundle::open(&invited.token, &sealed), Err(BundleError::UnknownVersion));
}

#[test]
fn the_fullest_bundle_still_fits() {
    let mut rng = TestRng::new("full");
    let invited = invited(contact_spec(), &mut rng);
    let cert = cert(&invited.alice);
    let mut sign = |name: usize, preview: usize| {
        let info = BundleInfo { name: Some("n".repeat(name)), preview: vec![1; preview] };
        Bundle::sign(&invited.alice, &cert, &invited.token, &invited.prekeys, info)
            .map(|bundle| bundle.seal(&invited.token, &mut rng))
    };
    let sealed = sign(MAX_BUNDLE_NAME, MAX_BUNDLE_PREVIEW).unwrap();
    assert!(Bundle::open(&invited.token, &sealed).is_ok());
    assert_eq!(sign(MAX_BUNDLE_NAME + 1, 0), Err(BundleBuildError::Name));
    assert_eq!(sign(0, 0), Err(BundleBuildError::Name));
    assert_eq!(sign(1, MAX_BUNDLE_PREVIEW + 1), Err(BundleBuildError::Preview));
}

#[test]
fn parts_of_different_accounts_or_kinds_are_not_bundled() {
    let mut rng = TestRng::new("mismatch");
    let contact = invited(contact_spec(), &mut rng);
    let group = invited(group_spec(), &mut rng);
    let bob = identity(0xB0);
    let info = BundleInfo::default;
    let own = cert(&contact.alice);
    let foreign = cert(&bob);
    for result in [
        Bundle::sign(&bob, &own, &contact.token, &contact.prekeys, info()),
        Bundle::sign(&contact.alice, &foreign, &contact.token, &contact.prekeys, info()),
        Bundle::sign(&contact.alice, &own, &contact.token, &group.prekeys, info()),
        Bundle::sign(
            &contact.alice,
            &contact.alice.primary_cert(2, 0, 0),
            &contact.token,
            &contact.prekeys,
            info(),
        ),
    ] {
        assert_eq!(result, Err(BundleBuildError::Mismatch));
    }
}

/// The inviter's own program may err; and a signature says nothing of whether the parts belong together.
#[test]
fn a_signed_bundle_of_which_one_part_is_of_something_else_is_refused() {
    let mut rng = TestRng::new("one part");
    let invited = invited(contact_spec(), &mut rng);
    let tid = invited.token.derived().tid;
    let opened = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut content = invited.bundle.bytes.clone();
        content.truncate(content.len() - SIGNATURE_LEN);
        change(&mut content);
        let signature = invited.alice.sign(Purpose::Bundle, &[&tid, &content]);
        content.extend_from_slice(signature.as_bytes());
        Bundle::decode(&invited.token, tid, &content)
    };
    let cert_at = 1 + 1 + 4;
    let one_time_at = cert_at + DEVICE_CERT_LEN + 1 + 32;
    let no_one_time = |content: &mut Vec<u8>| {
        content.splice(one_time_at..one_time_at + 1 + 32, [TYPE_ABSENT]);
    };
    let foreign = |content: &mut Vec<u8>| {
        content.splice(cert_at..cert_at + DEVICE_CERT_LEN, *cert(&identity(0xB0)).as_bytes());
    };
    let group = |content: &mut Vec<u8>| {
        content[1] = KIND_GROUP;
        no_one_time(content);
    };
    assert_eq!(opened(&|_| ()).unwrap(), invited.bundle);
    assert_eq!(opened(&foreign), Err(BundleError::Mismatch));
    assert_eq!(opened(&group), Err(BundleError::Mismatch));
    assert_eq!(opened(&no_one_time), Err(BundleError::Mismatch));
    let other_end = |content: &mut Vec<u8>| content[cert_at - 1] ^= 1;
    assert_eq!(opened(&other_end), Err(BundleError::Mismatch));
    // Nor one without a post-quantum key, however it is left out: there is no path without.
    let kem_at = one_time_at + 1 + 32;
    let absent = |content: &mut Vec<u8>| {
        content.splice(kem_at..kem_at + 1 + KEM_KEY_LEN, [TYPE_ABSENT]);
    };
    let gone = |content: &mut Vec<u8>| drop(content.splice(kem_at..kem_at + 1 + KEM_KEY_LEN, []));
    assert_eq!(opened(&absent), Err(BundleError::Fields));
    assert_eq!(opened(&gone), Err(BundleError::Fields));
}

#[test]
fn stored_prekeys_round_trip_and_damaged_ones_are_refused() {
    let mut rng = TestRng::new("stored");
    for spec in [contact_spec(), group_spec()] {
        let invited = invited(spec, &mut rng);
        let stored = invited.prekeys.export();
        assert!(stored.len() <= MAX_PREKEYS_LEN);
        assert_eq!(*InvitePrekeys::import(&stored).unwrap().export(), *stored);
        for len in 0..stored.len() {
            InvitePrekeys::import(&stored[..len]).unwrap_err();
        }
        InvitePrekeys::import(&[&stored[..], &[0]].concat()).unwrap_err();
    }
}

#[test]
fn debug_hides_keys_and_names() {
    let mut rng = TestRng::new("debug");
    let invited = invited(contact_spec(), &mut rng);
    insta::assert_snapshot!("debug", format!("{:?}\n{:?}", invited.prekeys, invited.bundle));
}
