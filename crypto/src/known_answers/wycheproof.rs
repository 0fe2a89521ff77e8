//! Project Wycheproof's cases, run through our own entry points.
//!
//! What our types cannot say (a nonce of another length, an output longer than any we derive) is
//! counted, and each test states both counts: a set that lost its cases fails.

use wycheproof::{TestResult, aead as aead_set, eddsa, hkdf, mac, mlkem, xdh};

use super::Drawn;
use crate::aead::{self, Forged, TAG_LEN};
use crate::agreement::{AgreementKey, AgreementSecret};
use crate::identity::{Signature, VerifyingKey};
use crate::kdf;
use crate::kem::{self, KEM_CIPHERTEXT_LEN, KEM_KEY_LEN, KEM_SEED_LEN, KemSecret};
use crate::secret::Secret;

/// Cases that ran, and cases that our types cannot say.
#[derive(Debug, Default, PartialEq, Eq)]
struct Count {
    ran: usize,
    unsayable: usize,
}

impl Count {
    /// Runs a case if its bytes fit into our types. One that does not must not be a valid one.
    fn case<T>(&mut self, said: Option<T>, result: TestResult, run: impl FnOnce(T)) {
        match said {
            Some(said) => {
                self.ran += 1;
                run(said);
            }
            None => {
                assert_ne!(result, TestResult::Valid, "a valid case that we cannot say");
                self.unsayable += 1;
            }
        }
    }
}

fn array<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.try_into().ok()
}

#[test]
fn x25519_agrees_or_refuses_a_key_of_low_order() {
    let set = xdh::TestSet::load(xdh::TestName::X25519).unwrap();
    let mut count = Count::default();
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let said = array(&test.private_key).zip(array(&test.public_key));
        count.case(said, test.result, |(private, public)| {
            let secret = AgreementSecret::from_secret(&Secret::from_bytes(private));
            let agreed = secret.agree(&AgreementKey::from_bytes(public));
            let agreed = agreed.map_or([0; 32], |shared| *shared.expose());
            assert_eq!(agreed[..], test.shared_secret[..], "case {}", test.tc_id);
        });
    }
    assert_eq!(count, Count { ran: 518, unsayable: 0 });
}

#[test]
fn ed25519_takes_what_is_valid_and_nothing_else() {
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap();
    let mut count = Count::default();
    for group in &set.test_groups {
        let key = VerifyingKey::from_bytes(array(&group.key.pk).unwrap());
        for test in &group.tests {
            count.case(array(&test.sig), test.result, |signature| {
                let verified = key.verify_bytes(&test.msg, &Signature::from_bytes(signature));
                let valid = test.result == TestResult::Valid;
                assert_eq!(verified.is_ok(), valid, "case {}", test.tc_id);
            });
        }
    }
    assert_eq!(count, Count { ran: 139, unsayable: 12 });
}

fn aead_cases<const NONCE: usize>(
    name: aead_set::TestName,
    open: impl Fn(&[u8; 32], &[u8; NONCE], &[u8], &mut [u8], &[u8; TAG_LEN]) -> Result<(), Forged>,
    seal: impl Fn(&[u8; 32], &[u8; NONCE], &[u8], &mut [u8]) -> [u8; TAG_LEN],
) -> Count {
    let set = aead_set::TestSet::load(name).unwrap();
    let mut count = Count::default();
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let said = array(&test.key).zip(array(&test.nonce)).zip(array(&test.tag));
        count.case(said, test.result, |((key, nonce), tag)| {
            let mut body = test.ct.to_vec();
            let opened = open(&key, &nonce, &test.aad, &mut body, &tag);
            let valid = test.result == TestResult::Valid;
            assert_eq!(opened.is_ok(), valid, "case {}", test.tc_id);
            if valid {
                assert_eq!(body[..], test.pt[..]);
                assert_eq!(seal(&key, &nonce, &test.aad, &mut body), tag);
                assert_eq!(body[..], test.ct[..]);
            }
        });
    }
    count
}

#[test]
fn chacha20_poly1305_seals_and_refuses() {
    let count = aead_cases(aead_set::TestName::ChaCha20Poly1305, aead::open, aead::seal);
    assert_eq!(count, Count { ran: 316, unsayable: 9 });
}

#[test]
fn xchacha20_poly1305_seals_and_refuses() {
    let key = |key: &[u8; 32]| Secret::from_bytes(*key);
    let count = aead_cases(
        aead_set::TestName::XChaCha20Poly1305,
        |k, nonce, ad, body, tag| aead::xopen(&key(k), nonce, ad, body, tag),
        |k, nonce, ad, body| aead::xseal(&key(k), nonce, ad, body),
    );
    assert_eq!(count, Count { ran: 306, unsayable: 9 });
}

#[test]
fn hkdf_derives_every_length_that_we_could_ask_for() {
    let set = hkdf::TestSet::load(hkdf::TestName::HkdfSha256).unwrap();
    let (mut ran, mut longer) = (0, 0);
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        if test.size > kdf::MAX_OKM {
            longer += 1;
            continue;
        }
        ran += 1;
        assert_eq!(test.result, TestResult::Valid, "case {}", test.tc_id);
        let mut okm = vec![0; test.size];
        kdf::hkdf_fill(&test.salt, &[&test.ikm], &[&test.info], &mut [&mut okm]);
        assert_eq!(okm[..], test.okm[..], "case {}", test.tc_id);
    }
    assert_eq!((ran, longer), (80, 6));
}

#[test]
fn hmac_authenticates_with_the_whole_tag() {
    let set = mac::TestSet::load(mac::TestName::HmacSha256).unwrap();
    let (mut ran, mut cut) = (0, 0);
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let Some(tag) = array::<32>(&test.tag) else {
            cut += 1;
            continue;
        };
        ran += 1;
        let equal = kdf::hmac(&test.key, &[&test.msg]).expose() == &tag;
        assert_eq!(equal, test.result == TestResult::Valid, "case {}", test.tc_id);
    }
    assert_eq!((ran, cut), (87, 87));
}

fn kem_cases(name: mlkem::TestName) -> Vec<mlkem::Test> {
    let set = mlkem::TestSet::load(name).unwrap();
    set.test_groups.into_iter().flat_map(|group| group.tests).collect()
}

#[test]
fn ml_kem_768_makes_the_key_of_its_seed() {
    let mut count = Count::default();
    for test in kem_cases(mlkem::TestName::MlKem768KeyGenSeed) {
        let seed = array::<KEM_SEED_LEN>(test.seed.as_ref().unwrap());
        count.case(seed, test.result, |seed| {
            let public = KemSecret::from_seed(Secret::from_bytes(seed)).public();
            assert_eq!(public[..], test.encaps_key.as_ref().unwrap()[..], "case {}", test.tc_id);
        });
    }
    assert_eq!(count, Count { ran: 100, unsayable: 0 });
}

#[test]
fn ml_kem_768_decapsulates_and_rejects_implicitly() {
    let mut count = Count::default();
    for test in kem_cases(mlkem::TestName::MlKem768) {
        let seed = test.seed.as_ref().and_then(|seed| array::<KEM_SEED_LEN>(seed));
        let ciphertext = test.ct.as_ref().and_then(|ct| array::<KEM_CIPHERTEXT_LEN>(ct));
        count.case(seed.zip(ciphertext), test.result, |(seed, ciphertext)| {
            let secret = KemSecret::from_seed(Secret::from_bytes(seed));
            let shared = secret.decapsulate(&ciphertext);
            let expected = test.shared_secret.as_ref().unwrap();
            assert_eq!(shared.expose()[..], expected[..], "case {}", test.tc_id);
        });
    }
    assert_eq!(count, Count { ran: 161, unsayable: 40 });
}

#[test]
fn ml_kem_768_encapsulates_to_a_canonical_key_and_to_no_other() {
    let mut count = Count::default();
    for test in kem_cases(mlkem::TestName::MlKem768Encaps) {
        let key = test.encaps_key.as_ref().and_then(|key| array::<KEM_KEY_LEN>(key));
        let message = test.msg.as_ref().and_then(|message| array(message));
        count.case(key.zip(message), test.result, |(key, message)| {
            let valid = test.result == TestResult::Valid;
            assert_eq!(kem::check_key(&key).is_ok(), valid, "case {}", test.tc_id);
            match kem::encapsulate(&key, &mut Drawn(Some(message))) {
                Ok((ciphertext, shared)) => {
                    assert!(valid, "case {}", test.tc_id);
                    assert_eq!(ciphertext[..], test.ct.as_ref().unwrap()[..]);
                    assert_eq!(shared.expose()[..], test.shared_secret.as_ref().unwrap()[..]);
                }
                Err(_) => assert!(!valid, "case {}", test.tc_id),
            }
        });
    }
    assert_eq!(count, Count { ran: 245, unsayable: 20 });
}
