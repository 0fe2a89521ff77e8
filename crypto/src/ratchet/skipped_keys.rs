//! Keys of messages that were passed over, until they arrive or grow old.

use std::collections::BTreeMap;

use crate::ratchet::SKIPPED_KEY_LIFETIME;
use crate::ratchet::message_key::MessageKey;

/// One stored key and since when, in Unix seconds.
#[derive(Debug)]
pub(crate) struct SkippedKey {
    pub(crate) key: MessageKey,
    pub(crate) since: u64,
}

/// The stored keys of one chain, by message number.
#[derive(Debug, Default)]
pub(crate) struct SkippedKeys(pub(crate) BTreeMap<u32, SkippedKey>);

const fn expired(since: u64, now: u64) -> bool {
    now.saturating_sub(since) > SKIPPED_KEY_LIFETIME
}

impl SkippedKeys {
    /// The key of message `n`, unless it is too old at `now`.
    pub(crate) fn find(&self, n: u32, now: u64) -> Option<&MessageKey> {
        self.0.get(&n).filter(|stored| !expired(stored.since, now)).map(|stored| &stored.key)
    }

    /// Erases the key of message `n`.
    pub(crate) fn remove(&mut self, n: u32) {
        self.0.remove(&n);
    }

    /// Stores keys passed over at `now`.
    pub(crate) fn extend(&mut self, keys: Vec<(u32, MessageKey)>, now: u64) {
        self.0.extend(keys.into_iter().map(|(n, key)| (n, SkippedKey { key, since: now })));
    }

    /// Erases keys that are too old at `now`. Numbers and ages ascend together, so the oldest key
    /// is the first.
    pub(crate) fn expire(&mut self, now: u64) {
        while self.0.first_entry().is_some_and(|entry| expired(entry.get().since, now)) {
            self.0.pop_first();
        }
    }

    /// Erases the oldest key; `false` if there was none.
    pub(crate) fn evict(&mut self) -> bool {
        self.0.pop_first().is_some()
    }

    /// How many keys are stored.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}
