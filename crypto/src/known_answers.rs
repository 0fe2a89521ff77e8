//! Published vectors, run through our own entry points.

#![allow(clippy::unwrap_used, reason = "tests")]

mod acvp;
mod wycheproof;

use core::convert::Infallible;

use data_encoding::HEXLOWER;
use rand_core::{TryCryptoRng, TryRng};

use crate::aead;
use crate::agreement::{AgreementKey, AgreementSecret};
use crate::identity::{Signature, SigningKey, VerifyingKey};
use crate::kdf;
use crate::secret::Secret;

fn hex<const N: usize>(text: &str) -> [u8; N] {
    HEXLOWER.decode(text.as_bytes()).unwrap().try_into().unwrap()
}

/// Gives out the 32 bytes that a case wants drawn, once.
struct Drawn(Option<[u8; 32]>);

impl TryRng for Drawn {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        unreachable!("only whole messages are drawn")
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        unreachable!("only whole messages are drawn")
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        out.copy_from_slice(&self.0.take().expect("one message is drawn"));
        Ok(())
    }
}

impl TryCryptoRng for Drawn {}

const SUNSCREEN: &[u8] =
    b"Ladies and Gentlemen of the class of '99: If I could offer you only one \
tip for the future, sunscreen would be it.";

#[test]
fn x25519_agrees_as_rfc_7748_section_6_1() {
    let alice = AgreementSecret::from_secret(&Secret::from_bytes(hex(
        "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
    )));
    let bob = AgreementSecret::from_secret(&Secret::from_bytes(hex(
        "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
    )));
    let alice_public: [u8; 32] =
        hex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
    let bob_public: [u8; 32] =
        hex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
    assert_eq!(alice.public().as_bytes(), &alice_public);
    assert_eq!(bob.public().as_bytes(), &bob_public);
    let shared = hex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
    let theirs = AgreementKey::from_bytes(bob_public);
    assert_eq!(alice.agree(&theirs).unwrap().expose(), &shared);
    assert_eq!(bob.agree(&alice.public()).unwrap().expose(), &shared);
}

/// RFC 7748 §5.2: the output becomes the scalar, and the scalar the point.
#[test]
fn x25519_iterated_a_thousand_times_is_as_rfc_7748_section_5_2() {
    let mut nine = [0; 32];
    nine[0] = 9;
    let (mut scalar, mut point) = (nine, nine);
    for round in 1..=1000 {
        let secret = AgreementSecret::from_secret(&Secret::from_bytes(scalar));
        let next = *secret.agree(&AgreementKey::from_bytes(point)).unwrap().expose();
        (point, scalar) = (scalar, next);
        if round == 1 {
            let once = hex("422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079");
            assert_eq!(scalar, once);
        }
    }
    let expected = hex("684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51");
    assert_eq!(scalar, expected);
}

#[test]
fn ed25519_signs_and_verifies_as_rfc_8032_tests_2_and_3() {
    let cases = [
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
             085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac\
             18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
    ];
    for (seed, public, message, signature) in cases {
        use ed25519_dalek::Signer;
        let (seed, signature): ([u8; 32], [u8; 64]) = (hex(seed), hex(signature));
        let message = HEXLOWER.decode(message.as_bytes()).unwrap();
        assert_eq!(
            ed25519_dalek::SigningKey::from_bytes(&seed).sign(&message).to_bytes(),
            signature
        );
        let key = VerifyingKey::from_bytes(hex(public));
        assert!(key.verify_bytes(&message, &Signature::from_bytes(signature)).is_ok());
        assert!(key.verify_bytes(b"", &Signature::from_bytes(signature)).is_err());
    }
}

/// RFC 8032 §7.1, the last of its cases: SHA-512 of "abc" as the message.
#[test]
fn ed25519_signs_and_verifies_as_rfc_8032_test_sha_abc() {
    use ed25519_dalek::Signer;
    let seed: [u8; 32] = hex("833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42");
    let message: [u8; 64] = hex(
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23\
         a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
    );
    let expected: [u8; 64] = hex(
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c6\
         6431e0303dca179c138ac17ad9bef1177331a704",
    );
    let signing = ed25519_dalek::SigningKey::from_bytes(&seed);
    assert_eq!(signing.sign(&message).to_bytes(), expected);
    VerifyingKey::from_bytes(signing.verifying_key().to_bytes())
        .verify_bytes(&message, &Signature::from_bytes(expected))
        .unwrap();
}

#[test]
fn ed25519_derives_the_public_key_of_rfc_8032_test_1() {
    let key = SigningKey::from_seed(&Secret::from_bytes(hex(
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
    )));
    let public: [u8; 32] = hex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
    assert_eq!(key.verifying_key().as_bytes(), &public);
}

#[test]
fn ed25519_signs_as_rfc_8032_test_1() {
    use ed25519_dalek::Signer;
    let seed: [u8; 32] = hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
    let signature = ed25519_dalek::SigningKey::from_bytes(&seed).sign(b"").to_bytes();
    let expected: [u8; 64] = hex(
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e3970\
         1cf9b46bd25bf5f0595bbe24655141438e7a100b",
    );
    assert_eq!(signature, expected);
}

#[test]
fn chacha20_poly1305_seals_as_rfc_8439_section_2_8_2() {
    let key = hex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f");
    let nonce = hex("070000004041424344454647");
    let ad: [u8; 12] = hex("50515253c0c1c2c3c4c5c6c7");
    let mut body = SUNSCREEN.to_vec();
    let tag = aead::seal(&key, &nonce, &ad, &mut body);
    assert_eq!(tag, hex("1ae10b594f09e26a7e902ecbd0600691"));
    assert_eq!(body[..16], hex::<16>("d31a8d34648e60db7b86afbc53ef7ec2"));
    aead::open(&key, &nonce, &ad, &mut body, &tag).unwrap();
    assert_eq!(body, SUNSCREEN);
}

#[test]
fn xchacha20_poly1305_seals_as_the_draft_appendix_a_3_1() {
    let key =
        Secret::from_bytes(hex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"));
    let nonce = hex("404142434445464748494a4b4c4d4e4f5051525354555657");
    let ad: [u8; 12] = hex("50515253c0c1c2c3c4c5c6c7");
    let mut body = SUNSCREEN.to_vec();
    let tag = aead::xseal(&key, &nonce, &ad, &mut body);
    assert_eq!(tag, hex("c0875924c1c7987947deafd8780acf49"));
    assert_eq!(body[..16], hex::<16>("bd6d179d3e83d43b9576579493c0e939"));
    aead::xopen(&key, &nonce, &ad, &mut body, &tag).unwrap();
    assert_eq!(body, SUNSCREEN);
}

#[test]
fn hkdf_derives_as_rfc_5869_cases_1_and_3() {
    let ikm = [0x0B; 22];
    let salt: [u8; 13] = hex("000102030405060708090a0b0c");
    let info: [u8; 10] = hex("f0f1f2f3f4f5f6f7f8f9");
    let expected: [u8; 42] =
        hex("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
    // Input, info and output in pieces: concatenation is what counts.
    let (mut head, mut tail) = ([0; 10], [0; 32]);
    let (one, two) = ikm.split_at(5);
    let (left, right) = info.split_at(1);
    kdf::hkdf_fill(&salt, &[one, two], &[left, right], &mut [&mut head, &mut tail]);
    assert_eq!([&head[..], &tail].concat(), expected);

    let expected: [u8; 42] =
        hex("8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
    let derived: Secret<42> = kdf::hkdf(b"", &[&ikm], &[]);
    assert_eq!(derived.expose(), &expected);
}

#[test]
fn hkdf_derives_as_rfc_5869_case_2() {
    let run = |from: u8, to: u8| -> Vec<u8> { (from..=to).collect() };
    let mut derived = [0; 82];
    let (ikm, salt, info) = (run(0x00, 0x4f), run(0x60, 0xaf), run(0xb0, 0xff));
    kdf::hkdf_fill(&salt, &[&ikm], &[&info], &mut [&mut derived]);
    let expected: [u8; 82] =
        hex("b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c\
         59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71\
         cc30c58179ec3e87c14c01d5c1f3434f1d87");
    assert_eq!(derived, expected);
}

#[test]
fn hmac_and_sha256_match_rfc_4231_case_2_and_fips_180() {
    let mac = kdf::hmac(b"Jefe", &[b"what do ya want ", b"for nothing?"]);
    let expected = hex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    assert_eq!(mac.expose(), &expected);
    let expected: [u8; 32] =
        hex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_eq!(kdf::sha256(&[b"a", b"bc"]), expected);
    assert_eq!(crate::sha256(b"abc"), expected);
}
