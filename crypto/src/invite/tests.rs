#![allow(clippy::unwrap_used, reason = "tests")]

use data_encoding::HEXLOWER;

use super::*;
use crate::fixtures::{TestRng, contact_spec, group_spec, identity};

fn contact() -> Token {
    Token::mint(&identity(0xA1), contact_spec(), &mut TestRng::new("token")).unwrap()
}

fn group() -> Token {
    Token::mint(&identity(0xA1), group_spec(), &mut TestRng::new("group token")).unwrap()
}

/// The token of the shortest form has 119 bytes and 199 characters, as the QR budget assumes.
#[test]
fn token_sizes_are_the_published_ones() {
    assert_eq!(contact().as_bytes().len(), TOKEN_LEN_MIN);
    assert_eq!(contact().to_text().len(), 199);
    let mut spec = group_spec();
    spec.relays[0].addr = vec![1; MAX_RELAY_ADDR];
    let longest = Token::mint(&identity(0xA1), spec, &mut TestRng::new("long")).unwrap();
    assert_eq!(longest.as_bytes().len(), TOKEN_LEN_MAX);
    assert_eq!(longest.to_text().len(), TOKEN_TEXT_MAX);
    assert_eq!(Token::decode(longest.as_bytes()).unwrap().as_bytes(), longest.as_bytes());
    assert_eq!(Token::parse(&longest.to_text()).unwrap().as_bytes(), longest.as_bytes());
}

#[test]
fn bytes_and_text_of_a_token_are_frozen() {
    for (name, token) in [("contact_token", contact()), ("group_token", group())] {
        let keys = token.derived();
        let frozen = format!(
            "bytes  {}\ntext   {}\ntid    {}\nrid    {}\nbundle {}\ndrop   {}\npsk    {}",
            HEXLOWER.encode(token.as_bytes()),
            token.to_text(),
            HEXLOWER.encode(&keys.tid),
            HEXLOWER.encode(&keys.rid),
            HEXLOWER.encode(keys.bundle_key.expose()),
            HEXLOWER.encode(keys.drop_key.seed().expose()),
            HEXLOWER.encode(keys.psk.expose()),
        );
        insta::assert_snapshot!(name, frozen);
    }
}

#[test]
fn a_token_reads_back_in_any_letter_case_and_with_white_space_around() {
    for token in [contact(), group()] {
        let text = token.to_text();
        for typed in [text.clone(), text.to_lowercase(), format!(" \n{text}\t ")] {
            assert_eq!(Token::parse(&typed).unwrap(), token);
        }
        assert_eq!(Token::decode(token.as_bytes()).unwrap(), token);
    }
}

#[test]
fn a_token_with_any_bit_flipped_is_refused() {
    for token in [contact(), group()] {
        for bit in 0..token.as_bytes().len() * 8 {
            let mut bytes = token.as_bytes().to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            Token::decode(&bytes).unwrap_err();
        }
    }
}

#[test]
fn a_token_cut_or_extended_anywhere_is_refused() {
    for token in [contact(), group()] {
        for len in 0..token.as_bytes().len() {
            Token::decode(&token.as_bytes()[..len]).unwrap_err();
        }
        let long = [token.as_bytes(), &[0]].concat();
        Token::decode(&long).unwrap_err();
    }
}

#[test]
fn a_text_with_any_character_replaced_is_refused() {
    let text = contact().to_text();
    for i in 0..text.len() {
        for replacement in [b'A', b'B', b'7', b'1', b'!', b' '] {
            let mut bytes = text.clone().into_bytes();
            if bytes[i] == replacement {
                continue;
            }
            bytes[i] = replacement;
            Token::parse(core::str::from_utf8(&bytes).unwrap()).unwrap_err();
        }
    }
}

#[test]
fn hostile_texts_are_refused_with_their_reason() {
    let long = format!("{TOKEN_PREFIX}{}", "A".repeat(TOKEN_TEXT_MAX));
    for (text, reason) in [
        ("", TokenError::Prefix),
        ("KITH:I2/AAAA", TokenError::Prefix),
        ("https://example.org/", TokenError::Prefix),
        ("KITH:I1/", TokenError::Layout(LayoutError::Truncated)),
        ("KITH:I1/A", TokenError::Encoding),
        ("KITH:I1/AAAA====", TokenError::Encoding),
        ("KITH:I1/AE", TokenError::Layout(LayoutError::Truncated)),
        ("KITH:I1/AI", TokenError::UnknownVersion),
        ("é:::::::", TokenError::Prefix),
        (&long, TokenError::TooLong),
    ] {
        assert_eq!(Token::parse(text), Err(reason), "{text}");
    }
    assert_eq!(Token::decode(&[1; TOKEN_LEN_MAX + 1]), Err(TokenError::TooLong));
}

/// Signed by the account, but not what minting produces.
#[test]
fn a_signed_token_of_impossible_form_is_refused() {
    let alice = identity(0xA1);
    let sign = |edit: &dyn Fn(&mut Vec<u8>)| {
        let token = contact();
        let mut bytes = token.as_bytes()[..TOKEN_LEN_MIN - SIGNATURE_LEN].to_vec();
        edit(&mut bytes);
        let signature = alice.sign(Purpose::Invite, &[&bytes]);
        bytes.extend_from_slice(signature.as_bytes());
        Token::decode(&bytes)
    };
    assert!(sign(&|_| ()).is_ok());
    assert_eq!(sign(&|b| b[0] = 2), Err(TokenError::UnknownVersion));
    assert_eq!(sign(&|b| b[1] |= 8), Err(TokenError::Fields), "unknown flag");
    assert_eq!(sign(&|b| b[1] |= FLAG_RELAY), Err(TokenError::Fields), "relay flag, no relay");
    assert_eq!(sign(&|b| b[54] = 3), Err(TokenError::Fields), "three relays");
    let no_uses = |b: &mut Vec<u8>| {
        b[1] |= FLAG_GROUP;
        b.splice(54..54, [0, 0]);
    };
    assert_eq!(sign(&no_uses), Err(TokenError::Fields));
    let long_address = |b: &mut Vec<u8>| {
        b[1] |= FLAG_RELAY;
        b[54] = 1;
        b.extend_from_slice(&[7; 32]);
        b.push(65);
        b.extend_from_slice(&[1; 65]);
    };
    assert_eq!(sign(&long_address), Err(TokenError::Fields));
}

#[test]
fn minting_refuses_what_parsing_would_refuse() {
    let alice = identity(1);
    let mut rng = TestRng::new("mint");
    let hint = RelayHint { relay: [1; 32], addr: vec![1] };
    let mut mint = |edit: &dyn Fn(&mut TokenSpec)| {
        let mut spec = contact_spec();
        edit(&mut spec);
        Token::mint(&alice, spec, &mut rng).map(|_| ())
    };
    assert_eq!(mint(&|s| s.relays = vec![hint.clone(); 3]), Err(MintError::TooManyRelays));
    assert_eq!(mint(&|s| s.relays = vec![hint.clone(); 300]), Err(MintError::TooManyRelays));
    assert_eq!(mint(&|s| s.kind = InviteKind::Group { max_uses: 0 }), Err(MintError::NoUses));
    for addr in [vec![], vec![1; 65]] {
        let relays = vec![RelayHint { relay: [1; 32], addr }];
        assert_eq!(mint(&|s| s.relays = relays.clone()), Err(MintError::RelayAddress));
    }
}

#[test]
fn every_derived_value_differs_and_depends_on_secret_and_account() {
    let keys = contact().derived();
    assert_ne!(keys.tid, keys.rid);
    assert!(!keys.bundle_key.ct_eq(&keys.psk));
    assert!(!keys.drop_key.seed().ct_eq(&keys.psk));
    let other =
        Token::mint(&identity(0xA2), contact_spec(), &mut TestRng::new("token")).unwrap().derived();
    assert_ne!(keys.tid, other.tid);
    assert!(!keys.psk.ct_eq(&other.psk));
}

#[test]
fn debug_hides_secret_and_addresses() {
    let token = group();
    insta::assert_snapshot!("debug", format!("{token:?}\n{:?}", token.derived()));
}

#[test]
fn what_a_token_asks_for_is_read_back() {
    for approval in [true, false] {
        let spec = TokenSpec { approval, ..contact_spec() };
        let minutes = u64::from(spec.expires_minutes);
        let token = Token::mint(&identity(0xA1), spec, &mut TestRng::new("asks")).unwrap();
        let read = Token::parse(&token.to_text()).unwrap();
        assert_eq!(read.spec().approval, approval);
        assert_eq!(read.expires_at(), minutes * 60);
    }
}

#[test]
fn a_text_longer_than_any_token_is_refused_unread() {
    let text = "A".repeat(TOKEN_TEXT_MAX + 1);
    assert_eq!(Token::parse(&text).unwrap_err(), TokenError::TooLong);
    assert_eq!(Token::parse(&text[1..]).unwrap_err(), TokenError::Prefix);
}
