//! How to reach a person: what contacts tell each other about their nodes.
//!
//! A [`ContactCard`] travels inside the session only. It names where a node listens, which
//! relays it homes on, and the queue that this one contact may deposit in. Nothing of it is
//! ever published.
//!
//! Spec: `docs/protocol/wire.md` §6.

use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, ByteBuf};

use crate::ids::{QueueId, RelayId};
use crate::time::Timestamp;
use crate::wire::Wire;

/// Longest address in bytes.
pub const MAX_ADDRESS: usize = 160;
/// Most addresses of one node or relay.
pub const MAX_ADDRESSES: usize = 8;
/// Most relays that one person homes on.
pub const MAX_HOMES: usize = 4;
/// Longest name in bytes.
pub const MAX_NAME: usize = 128;
/// Longest "about" in bytes.
pub const MAX_ABOUT: usize = 512;

/// A multiaddr in its binary form; opaque to everything but the network task.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Address(pub ByteBuf);

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Addresses locate people: logs get their size only.
        write!(f, "Address({} bytes)", self.0.len())
    }
}

/// A relay and where it listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayHome {
    /// Its identity key.
    pub relay: RelayId,
    /// Where it listens, at most [`MAX_ADDRESSES`].
    pub addresses: Vec<Address>,
}

/// The right to deposit in one queue at one relay.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DepositCapability {
    /// The relay that keeps the queue.
    pub home: RelayHome,
    /// The depositors' address.
    pub send: QueueId,
    /// Ed25519 seed of the deposit key.
    pub key: ByteArray<32>,
}

impl Drop for DepositCapability {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut *self.key);
    }
}

impl std::fmt::Debug for DepositCapability {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { home, send, key: _ } = self;
        f.debug_struct("DepositCapability")
            .field("home", home)
            .field("send", send)
            .finish_non_exhaustive()
    }
}

/// What one contact is told about a node.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactCard {
    /// Rises with every change; the highest wins.
    pub version: u64,
    /// The name that the person gives themselves, at most [`MAX_NAME`] bytes.
    pub name: String,
    /// A line about them, at most [`MAX_ABOUT`] bytes.
    pub about: String,
    /// Where their node listens, at most [`MAX_ADDRESSES`].
    pub addresses: Vec<Address>,
    /// Relays where their node can be reached, at most [`MAX_HOMES`].
    pub homes: Vec<RelayHome>,
    /// Where this contact may leave frames when the node is away, at most [`MAX_HOMES`].
    pub mailboxes: Vec<DepositCapability>,
    /// Whether they show presence and read receipts: sharing is mutual.
    pub shares_presence: bool,
    /// When it was made, by its author's clock.
    pub at: Timestamp,
}

impl std::fmt::Debug for ContactCard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ContactCard").field("version", &self.version).finish_non_exhaustive()
    }
}

/// Why a card was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CardError {
    /// A list or a text is longer than it may be.
    #[error("a contact card breaks a bound")]
    OverBound,
    /// Older than the one we have.
    #[error("an older contact card")]
    Stale,
}

impl Wire for ContactCard {
    const LIMIT: usize = 7 * 1024;
}

impl ContactCard {
    /// Checks the bounds of a card that a peer sent, and that it is newer than `known`.
    ///
    /// # Errors
    /// [`CardError`] when it must not replace what is known.
    pub fn accept(&self, known: u64) -> Result<(), CardError> {
        let homes_fit = |home: &RelayHome| addresses_fit(&home.addresses);
        let fits = self.name.len() <= MAX_NAME
            && self.about.len() <= MAX_ABOUT
            && addresses_fit(&self.addresses)
            && self.homes.len() <= MAX_HOMES
            && self.homes.iter().all(homes_fit)
            && self.mailboxes.len() <= MAX_HOMES
            && self.mailboxes.iter().all(|mailbox| homes_fit(&mailbox.home));
        match fits {
            false => Err(CardError::OverBound),
            true if self.version <= known => Err(CardError::Stale),
            true => Ok(()),
        }
    }
}

fn addresses_fit(addresses: &[Address]) -> bool {
    addresses.len() <= MAX_ADDRESSES
        && addresses.iter().all(|address| address.0.len() <= MAX_ADDRESS)
}

/// A peer's words made fit to be shown as a name: no control characters, no bidirectional
/// overrides, no zero-width characters, no runs of white space, at most [`MAX_NAME`] bytes.
#[must_use]
pub fn displayable_name(claimed: &str) -> String {
    let mut name = String::new();
    let mut space = false;
    for character in claimed.chars().filter(|&character| !is_deceptive(character)) {
        if character.is_whitespace() {
            space = !name.is_empty();
            continue;
        }
        let needed = character.len_utf8() + usize::from(space);
        if name.len() + needed > MAX_NAME {
            break;
        }
        if std::mem::take(&mut space) {
            name.push(' ');
        }
        name.push(character);
    }
    name
}

fn is_deceptive(character: char) -> bool {
    // White space is folded by the caller; every other control character goes.
    (character.is_control() && !character.is_whitespace())
        || matches!(character,
            '\u{00ad}' | '\u{034f}' | '\u{061c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_what_deceives_and_keep_what_people_write() {
        assert_eq!(displayable_name("  Ada \n\t Lovelace  "), "Ada Lovelace");
        assert_eq!(displayable_name("\u{202e}nimda\u{202c}"), "nimda");
        assert_eq!(displayable_name("a\u{200b}d\u{0}a"), "ada");
        assert_eq!(displayable_name("Зоя 林 👩‍🌾"), "Зоя 林 👩🌾");
        assert_eq!(displayable_name(&"ж".repeat(500)).len(), MAX_NAME);
    }

    #[test]
    fn a_card_over_any_bound_or_not_newer_is_refused() {
        let good = ContactCard { version: 3, ..ContactCard::default() };
        assert_eq!(good.accept(2), Ok(()));
        assert_eq!(good.accept(3), Err(CardError::Stale));
        let long = ContactCard { name: "x".repeat(MAX_NAME + 1), ..good.clone() };
        assert_eq!(long.accept(2), Err(CardError::OverBound));
        let address = Address(ByteBuf::from(vec![0; MAX_ADDRESS + 1]));
        let far = ContactCard { addresses: vec![address], ..good };
        assert_eq!(far.accept(2), Err(CardError::OverBound));
    }
}
