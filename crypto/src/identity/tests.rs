#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::fixtures::{NOW, cert, identity};
use crate::layout::LayoutError;

#[test]
fn a_signature_holds_for_its_key_purpose_and_fields_alone() {
    let alice = identity(1);
    let signature = alice.sign(Purpose::Drop, &[b"ab", b"c"]);
    let account = alice.account();
    assert_eq!(account.verify(Purpose::Drop, &[b"ab", b"c"], &signature), Ok(()));
    for (purpose, fields) in [
        (Purpose::DropOwner, &[&b"ab"[..], b"c"][..]),
        (Purpose::Drop, &[b"a", b"bc"]),
        (Purpose::Drop, &[b"abc"]),
        (Purpose::Drop, &[b"ab", b"c", b""]),
    ] {
        assert_eq!(account.verify(purpose, fields, &signature), Err(BadSignature));
    }
    let bob = identity(2).account();
    assert_eq!(bob.verify(Purpose::Drop, &[b"ab", b"c"], &signature), Err(BadSignature));
}

#[test]
fn a_key_is_called_by_its_first_five_bytes_in_logs() {
    let account = identity(1).account();
    let begin = data_encoding::HEXLOWER.encode(&account.as_bytes()[..5]);
    assert_eq!((account.short(), account.verifying_key().short()), (begin.clone(), begin.clone()));
    assert_eq!(format!("{:?}", account.verifying_key()), format!("VerifyingKey({begin})"));
}

#[test]
fn purposes_have_distinct_labels_and_none_begins_another() {
    let all = [
        Purpose::Invite,
        Purpose::Bundle,
        Purpose::DeviceCert,
        Purpose::AccountMove,
        Purpose::DropOwner,
        Purpose::Drop,
        Purpose::Register,
        Purpose::Custody,
        Purpose::Delivered,
        Purpose::MailboxOwner,
        Purpose::MailboxDeposit,
        Purpose::RelayDescriptor,
        Purpose::Addresses,
        Purpose::JoinConsent,
        Purpose::GroupEntry,
        Purpose::GroupFrame,
    ];
    let messages: std::collections::BTreeSet<_> = all.iter().map(|p| p.message(&[])).collect();
    assert_eq!(messages.len(), all.len());
    assert!(messages.iter().all(|message| message.ends_with(&[0])));
    assert!(messages.iter().all(|message| message.starts_with(b"KITH/1 sig ")));
}

#[test]
fn a_small_order_key_verifies_nothing() {
    // The identity point: with it, a lax verifier accepts R = identity, S = 0 for any message.
    let mut point = [0; 32];
    point[0] = 1;
    let mut forged = [0; 64];
    forged[0] = 1;
    let key = VerifyingKey::from_bytes(point);
    let forged = Signature::from_bytes(forged);
    assert_eq!(key.verify(Purpose::Invite, &[b"x"], &forged), Err(BadSignature));
}

#[test]
fn the_signing_seed_is_the_seed_of_the_account_key() {
    let alice = identity(3);
    let key = SigningKey::from_seed(&alice.signing_seed());
    assert_eq!(key.verifying_key(), alice.account().verifying_key());
}

#[test]
fn agreement_keys_of_different_versions_differ_from_each_other_and_from_the_account_key() {
    let alice = identity(4);
    let (one, two) = (alice.agreement(1).public(), alice.agreement(2).public());
    assert_ne!(one, two);
    assert_ne!(one.as_bytes(), alice.account().as_bytes());
}

#[test]
fn a_device_certificate_round_trips() {
    let alice = identity(5);
    let cert = cert(&alice);
    let again = DeviceCert::decode(cert.as_bytes()).unwrap();
    assert_eq!(again, cert);
    assert_eq!(again.account(), alice.account());
    assert_eq!(again.spec().device_key, alice.account().verifying_key());
    assert!(again.is_current(u64::MAX));
    assert!(!alice.primary_cert(1, NOW, NOW + 1).is_current(NOW + 2));
}

#[test]
fn a_certificate_with_any_bit_flipped_is_refused() {
    let cert = cert(&identity(6));
    for bit in 0..DEVICE_CERT_LEN * 8 {
        let mut bytes = *cert.as_bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        DeviceCert::decode(&bytes).unwrap_err();
    }
}

#[test]
fn a_certificate_of_another_length_is_refused() {
    let cert = cert(&identity(7));
    for len in 0..DEVICE_CERT_LEN {
        let short = &cert.as_bytes()[..len];
        assert_eq!(DeviceCert::decode(short), Err(DeviceCertError::Layout(LayoutError::Truncated)));
    }
    let long = [&cert.as_bytes()[..], &[0]].concat();
    assert_eq!(DeviceCert::decode(&long), Err(DeviceCertError::Layout(LayoutError::TrailingBytes)));
}

#[test]
fn the_primary_device_cannot_claim_another_key() {
    let alice = identity(8);
    let mut spec = cert(&alice).spec().clone();
    spec.device_key = identity(9).account().verifying_key();
    let forged = alice.certify(&spec);
    assert_eq!(DeviceCert::decode(forged.as_bytes()), Err(DeviceCertError::PrimaryKeyMismatch));
    spec.device = 1;
    assert!(DeviceCert::decode(alice.certify(&spec).as_bytes()).is_ok());
}

#[test]
fn debug_shows_five_bytes_of_a_public_key_and_nothing_of_a_secret() {
    let alice = identity(10);
    let shown = format!(
        "{alice:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}",
        cert(&alice),
        Seed::from_secret(Secret::from_bytes([10; 32])),
        SigningKey::from_seed(&alice.signing_seed()),
        alice.agreement(1),
        alice.sign(Purpose::Drop, &[]),
    );
    insta::assert_snapshot!("debug", shown);
}
