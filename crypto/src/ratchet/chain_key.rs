//! A symmetric chain: one message key per message, no way back.

use crate::kdf::hmac;
use crate::ratchet::message_key::MessageKey;
use crate::secret::Secret;

/// HMAC input that yields the message key.
const MESSAGE: &[u8] = &[1];
/// HMAC input that yields the next chain key.
const NEXT: &[u8] = &[2];

/// The chain key of message number `n`.
#[derive(Debug)]
pub(crate) struct ChainKey {
    pub(crate) key: Secret<32>,
    pub(crate) n: u32,
}

/// The chain cannot give another key: 2³² messages without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exhausted;

/// What walking a chain forward to a message yields.
#[derive(Debug)]
pub(crate) struct Walk {
    /// Keys of the messages passed over, ascending.
    pub(crate) skipped: Vec<(u32, MessageKey)>,
    /// Where the chain stands afterwards.
    pub(crate) chain: ChainKey,
}

impl ChainKey {
    /// The start of a chain.
    pub(crate) const fn first(key: Secret<32>) -> Self {
        Self { key, n: 0 }
    }

    /// The key of message `n`.
    pub(crate) fn message_key(&self) -> MessageKey {
        MessageKey(hmac(self.key.expose(), &[MESSAGE]))
    }

    /// The chain key of message `n + 1`.
    pub(crate) fn next(&self) -> Result<Self, Exhausted> {
        let n = self.n.checked_add(1).ok_or(Exhausted)?;
        Ok(Self { key: hmac(self.key.expose(), &[NEXT]), n })
    }

    /// Walks to message `target`, collecting the keys in between. The caller has checked that the
    /// distance is bounded; a target behind the chain yields no step at all.
    pub(crate) fn walk_to(&self, target: u32) -> Result<Walk, Exhausted> {
        let distance = target.saturating_sub(self.n);
        let mut skipped = Vec::new();
        skipped.reserve_exact(usize::try_from(distance).unwrap_or_default());
        let mut chain = Self { key: self.key.duplicate(), n: self.n };
        while chain.n < target {
            skipped.push((chain.n, chain.message_key()));
            chain = chain.next()?;
        }
        Ok(Walk { skipped, chain })
    }
}
