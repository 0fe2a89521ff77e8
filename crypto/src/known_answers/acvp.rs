//! NIST's ACVP cases for ML-KEM-768, run through our own entry points.

use data_encoding::HEXLOWER;

use super::{Drawn, hex};
use crate::kdf::sha256;
use crate::kem::{self, KEM_KEY_LEN, KEM_SEED_LEN, KemSecret};
use crate::secret::Secret;

const CASES: &str = include_str!("ml_kem_768_acvp.txt");

fn key_of_seed(case: &str, seed: [&str; 2], ek_hash: &str) {
    let seed: [u8; KEM_SEED_LEN] = hex(&seed.concat());
    let public = KemSecret::from_seed(Secret::from_bytes(seed)).public();
    assert_eq!(HEXLOWER.encode(&sha256(&[&public[..]])), ek_hash, "keygen {case}");
}

fn encapsulated(case: &str, [key, message]: [&str; 2], [c_hash, shared]: [&str; 2]) {
    let key: [u8; KEM_KEY_LEN] = hex(key);
    let (ciphertext, secret) =
        kem::encapsulate(&key, &mut Drawn(Some(hex(message)))).expect("a canonical key");
    assert_eq!(HEXLOWER.encode(&sha256(&[&ciphertext[..]])), c_hash, "encaps {case}");
    assert_eq!(HEXLOWER.encode(secret.expose()), shared, "encaps {case}");
}

#[test]
fn ml_kem_768_makes_keys_and_encapsulates_as_nist_does() {
    let (mut keys, mut encapsulations) = (0, 0);
    for line in CASES.lines().filter(|line| !line.starts_with('#')) {
        match *line.split(' ').collect::<Vec<_>>() {
            ["keygen", case, d, z, ek_hash] => {
                keys += 1;
                key_of_seed(case, [d, z], ek_hash);
            }
            ["encaps", case, key, message, c_hash, shared] => {
                encapsulations += 1;
                encapsulated(case, [key, message], [c_hash, shared]);
            }
            _ => panic!("no case: {line}"),
        }
    }
    assert_eq!((keys, encapsulations), (25, 10));
}
