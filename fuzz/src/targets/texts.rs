//! What a person types, and what a camera sees.

use std::fmt::Display;
use std::str::FromStr;
use std::sync::LazyLock;

use crypto::phrase::Phrase;
use crypto::safety::VerificationCode;
use crypto::{Secret, Seed};
use protocol::ids::{AccountId, MessageId};
use protocol::registration::Identifier;
use protocol::registration::wire::{IdentifierKind, MAX_IDENTIFIER};

use crate::{WORLD, splice, text};

/// Texts that are accepted.
static RIGHT: LazyLock<[String; 5]> = LazyLock::new(|| {
    let phrase = Phrase::of(&Seed::from_secret(Secret::from_bytes([1; 32])));
    let (alice, bob) = (WORLD.alice.account(), WORLD.bob.account());
    [
        phrase.words().collect::<Vec<_>>().join(" "),
        VerificationCode::new(&alice, &bob).to_text(),
        AccountId::from(alice).to_string(),
        "Ada.Lovelace@b\u{fc}cher.example".to_owned(),
        "+49 (1512) 345-6789".to_owned(),
    ]
});

/// Phrases, verification codes, ids and addresses: no panic, and what is accepted is what was typed. Tried as it
/// is, and laid over texts that are right.
pub fn texts(data: &[u8]) {
    read(text(data));
    for right in &*RIGHT {
        read(text(&splice(right.as_bytes(), data)));
    }
}

fn read(text: &str) {
    phrase(text);
    code(text);
    id::<AccountId>(text);
    id::<MessageId>(text);
    address(IdentifierKind::Email, text);
    address(IdentifierKind::Phone, text);
}

/// The words are those that were typed, without what is around them, and their seed has no others.
fn phrase(text: &str) {
    if let Ok(phrase) = Phrase::read(text) {
        let words: Vec<&str> = phrase.words().collect();
        let typed = text.to_lowercase();
        let letters = typed.split_whitespace().map(|word| {
            word.trim_start_matches(|of: char| !of.is_alphabetic())
                .trim_end_matches(|of: char| !of.is_alphabetic())
        });
        assert!(letters.filter(|word| !word.is_empty()).eq(words.iter().copied()));
        assert!(Phrase::of(&phrase.seed()).words().eq(words));
    }
}

/// Canonical up to case and white space.
fn code(text: &str) {
    if let Ok(code) = VerificationCode::parse(text) {
        assert!(code.to_text().eq_ignore_ascii_case(text.trim()));
        assert_eq!(VerificationCode::parse(&code.to_text()), Ok(code));
    }
}

/// Canonical up to case.
fn id<T: FromStr + Display>(text: &str) {
    if let Ok(id) = text.parse::<T>() {
        assert!(id.to_string().eq_ignore_ascii_case(text));
    }
}

/// Nothing that would break a mail's head, and an address has one form.
fn address(kind: IdentifierKind, text: &str) {
    let Ok(read) = Identifier::parse(kind, text) else { return };
    let address = read.address();
    assert!(!address.chars().any(|c| c.is_control() || c.is_whitespace()), "{address:?}");
    assert_ne!(read.masked(), address);
    match kind {
        // A domain grows when it becomes ASCII, perhaps beyond what is looked at.
        IdentifierKind::Email if address.len() <= MAX_IDENTIFIER => {
            assert_eq!(Identifier::parse(kind, address), Ok(read.clone()));
        }
        IdentifierKind::Email => {}
        IdentifierKind::Phone => {
            let digits = address.strip_prefix('+').expect("E.164 begins with a plus");
            assert!(!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()));
        }
    }
}
