//! A chain that we receive on, with the keys of messages that it passed over.

use crate::agreement::AgreementKey;
use crate::ratchet::chain_key::{ChainKey, Walk};
use crate::ratchet::header_key::{Header, HeaderKey};
use crate::ratchet::message_key::MessageKey;
use crate::ratchet::skipped_keys::SkippedKeys;
use crate::ratchet::{DecryptError, MAX_JUMP};

/// What all frames of a chain have in common, and what it passed over.
#[derive(Debug)]
pub(crate) struct ChainView {
    /// Opens its headers.
    pub(crate) header_key: HeaderKey,
    /// The sender's ratchet key.
    pub(crate) dh: AgreementKey,
    /// The post-quantum epoch in its root.
    pub(crate) epoch: u32,
    /// Keys of messages not seen yet.
    pub(crate) skipped: SkippedKeys,
}

impl ChainView {
    /// Refuses a header that opened under this chain's key but describes another chain.
    pub(crate) fn check(&self, header: &Header) -> Result<(), DecryptError> {
        if header.dh == self.dh && header.epoch == self.epoch {
            Ok(())
        } else {
            Err(DecryptError::Header)
        }
    }

    /// The key of a message that was passed over.
    pub(crate) fn skipped_key(&self, n: u32, now: u64) -> Result<MessageKey, DecryptError> {
        self.skipped.find(n, now).map(MessageKey::duplicate).ok_or(DecryptError::KeyGone)
    }
}

/// The chain on which the peer sends now.
#[derive(Debug)]
pub(crate) struct ReceiverChain {
    pub(crate) view: ChainView,
    pub(crate) chain: ChainKey,
}

/// Walks `chain` to `target` if that is at most [`MAX_JUMP`] ahead.
pub(crate) fn walk(chain: &ChainKey, target: u32) -> Result<Walk, DecryptError> {
    if target.saturating_sub(chain.n) > MAX_JUMP {
        return Err(DecryptError::TooFarAhead);
    }
    chain.walk_to(target).map_err(|_| DecryptError::TooFarAhead)
}
