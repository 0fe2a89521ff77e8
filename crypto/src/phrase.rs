//! The recovery phrase: a seed as 24 words of BIP-39's English list.
//!
//! Knows nothing of what is kept besides the seed. Spec: `docs/protocol/backup.md` §1.

use core::fmt;

use bip39::{Language, Mnemonic};
use zeroize::Zeroizing;

use crate::identity::Seed;
use crate::secret::Secret;

/// Words of a phrase.
pub const PHRASE_WORDS: usize = 24;

/// Longest text that is looked at, in bytes: the longest word has eight letters.
const MAX_TEXT: usize = 1024;

/// Why words are no phrase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PhraseError {
    /// Not [`PHRASE_WORDS`] of them.
    #[error("a recovery phrase has 24 words; these are {0}")]
    Count(usize),
    /// A word that is not in the list. Counted from 1.
    #[error("word {0} is not in the list of words")]
    UnknownWord(usize),
    /// All are in the list, and their check sum does not fit: one was mistaken, or their order.
    #[error("these words do not belong together: one is mistaken, or two are exchanged")]
    Checksum,
}

/// The 24 words of a seed. Whoever has them is that person.
pub struct Phrase(Mnemonic);

impl Phrase {
    /// The words of `seed`.
    #[must_use]
    pub fn of(seed: &Seed) -> Self {
        let words = Mnemonic::from_entropy_in(Language::English, seed.secret().expose());
        Self(words.expect("32 bytes are 24 words"))
    }

    /// Reads words that a person typed or copied: in any case, with any white space between them, numbered
    /// as they were shown, with commas or without.
    ///
    /// # Errors
    /// [`PhraseError`], which says what to look at.
    pub fn read(text: &str) -> Result<Self, PhraseError> {
        let no_letter = |letter: char| !letter.is_alphabetic();
        let words = text.split_whitespace().map(|word| word.trim_matches(no_letter));
        let words = words.filter(|word| !word.is_empty());
        let words: Vec<&str> = words.take(MAX_TEXT).collect();
        if words.len() != PHRASE_WORDS || text.len() > MAX_TEXT {
            return Err(PhraseError::Count(words.len()));
        }
        let text = Zeroizing::new(words.join(" ").to_lowercase());
        match Mnemonic::parse_in_normalized(Language::English, &text) {
            Ok(words) => Ok(Self(words)),
            Err(bip39::Error::UnknownWord(at)) => {
                Err(PhraseError::UnknownWord(at.saturating_add(1)))
            }
            Err(_) => Err(PhraseError::Checksum),
        }
    }

    /// The words, in their order.
    pub fn words(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.0.words()
    }

    /// The seed that they are.
    #[must_use]
    pub fn seed(&self) -> Seed {
        let (entropy, _) = self.0.to_entropy_array();
        let entropy = Zeroizing::new(entropy);
        let (seed, _) = entropy.split_first_chunk::<32>().expect("33 bytes begin with 32");
        Seed::from_secret(Secret::from_bytes(*seed))
    }
}

impl fmt::Debug for Phrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Phrase(..)")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn seed(byte: u8) -> Seed {
        Seed::from_secret(Secret::from_bytes([byte; 32]))
    }

    fn words(byte: u8) -> String {
        Phrase::of(&seed(byte)).words().collect::<Vec<_>>().join(" ")
    }

    /// The English vectors of BIP-39 with 32 bytes.
    #[test]
    fn seeds_are_written_as_bip_39_writes_them() {
        assert_eq!(words(0x00), format!("{}art", "abandon ".repeat(23)));
        let all_but_last = "legal winner thank year wave sausage worth useful ".repeat(2);
        let last = "legal winner thank year wave sausage worth title";
        assert_eq!(words(0x7f), format!("{all_but_last}{last}"));
        assert_eq!(words(0xff), format!("{}vote", "zoo ".repeat(23)));
    }

    #[test]
    fn a_text_of_a_kibibyte_is_read_and_a_longer_one_is_not() {
        let mut typed = words(1);
        typed.push_str(&" ".repeat(MAX_TEXT - typed.len()));
        assert!(Phrase::read(&typed).is_ok());
        typed.push(' ');
        assert!(matches!(Phrase::read(&typed), Err(PhraseError::Count(_))));
    }

    #[test]
    fn a_phrase_is_read_however_it_was_typed() {
        for byte in [0, 1, 0x7f, 0xff] {
            let typed = format!("\n {}\t", words(byte).to_uppercase().replace(' ', "  \n"));
            let read = Phrase::read(&typed).unwrap();
            assert_eq!(read.seed().secret().expose(), &[byte; 32]);
            // As the command line shows it, and as people write lists.
            let separators: [fn(u8) -> String; 3] =
                [|n| format!(" {n:>2} "), |n| format!("\n{n}. "), |_| ", ".to_owned()];
            for separate in separators {
                let words = words(byte);
                let numbered = words.split(' ').zip(1..).map(|(word, n)| separate(n) + word);
                let read = Phrase::read(&numbered.collect::<String>()).unwrap();
                assert_eq!(read.seed().secret().expose(), &[byte; 32]);
            }
        }
    }

    #[test]
    fn what_is_wrong_with_a_phrase_is_said() {
        let right = words(5);
        let mut list: Vec<&str> = right.split(' ').collect();
        assert_eq!(Phrase::read("").unwrap_err(), PhraseError::Count(0));
        assert_eq!(Phrase::read(&list[..23].join(" ")).unwrap_err(), PhraseError::Count(23));
        assert_eq!(Phrase::read(&"zoo ".repeat(500)).unwrap_err(), PhraseError::Count(500));
        list.swap(3, 4);
        assert_eq!(Phrase::read(&list.join(" ")).unwrap_err(), PhraseError::Checksum);
        list[7] = "kith";
        assert_eq!(Phrase::read(&list.join(" ")).unwrap_err(), PhraseError::UnknownWord(8));
        assert_eq!(format!("{:?}", Phrase::of(&seed(5))), "Phrase(..)");
    }
}
