//! Nodes as a release left them: their keys and every row of their stores, as text.
//!
//! ```text
//! at <milliseconds>          when, by the world's clock
//! device-key <hex>
//! key-file <hex>
//! row <tree> <key> <value>   as it is on the disk: hidden keys, sealed values
//! ```

use std::fmt::Write as _;
use std::sync::Arc;

use crypto::{Secret, Unlock, Vault};
use data_encoding::HEXLOWER;
use node::store::{Batch, Order, Store as _, Tree};
use protocol::time::Timestamp;

use super::failing::FailingStore;
use super::{Person, Who, World};

/// What a frozen node left: its vault, opened, and the rows of its store.
///
/// # Panics
/// When the text is none of a node.
#[must_use]
pub fn left_by(text: &str) -> (Vault, Batch) {
    let frozen = Frozen::read(text).expect("a frozen node");
    let vault = frozen.vault();
    (vault, frozen.rows)
}

impl World {
    /// A person's node as text. Their node goes on.
    ///
    /// # Panics
    /// When its store cannot be read.
    pub fn freeze(&mut self, who: Who) -> String {
        let at = self.now();
        let person = &self.people[who.0];
        let key_file = person.vault.key_file(self.network.rng());
        let mut text = format!(
            "at {}\ndevice-key {}\nkey-file {}\n",
            at.0,
            HEXLOWER.encode(person.device_key.expose()),
            HEXLOWER.encode(&key_file),
        );
        for tree in Tree::ALL {
            let rows = person.store.range(tree, &[], &[0xff; 64], Order::Rising, usize::MAX);
            for (key, value) in rows.expect("a readable store") {
                let (key, value) = (HEXLOWER.encode(&key), HEXLOWER.encode(&value));
                writeln!(text, "row {} {key} {value}", tree.name()).expect("a string takes it");
            }
        }
        text
    }

    /// A person whose node finds what [`freeze`](Self::freeze) wrote. Time goes on from then.
    ///
    /// # Panics
    /// When the text is none of a node, or the node does not start on it.
    pub fn thaw(&mut self, name: &str, text: &str) -> Who {
        let frozen = Frozen::read(text).expect("a frozen node");
        if self.now() < frozen.at {
            self.network.advance_to(frozen.at);
        }
        let (device_key, vault) = (frozen.device_key(), frozen.vault());
        let store = Arc::new(FailingStore::default());
        store.commit(frozen.rows).expect("memory takes it");
        let who = self.join(Person::on(name, store, vault, device_key));
        self.start(who);
        who
    }

    /// Puts a copy of a person's folder back, keys and all, as [`freeze`](Self::freeze) took it, and starts on it.
    ///
    /// # Panics
    /// When the text is none of this person's node, or the node does not start on it.
    pub fn put_back(&mut self, who: Who, text: &str) {
        let frozen = Frozen::read(text).expect("a frozen node");
        self.stop(who);
        let (device_key, vault) = (frozen.device_key(), frozen.vault());
        let store = &self.people[who.0].store;
        let mut rows = Batch::default();
        for tree in Tree::ALL {
            let all = store.range(tree, &[], &[0xff; 64], Order::Rising, usize::MAX);
            let there = all.expect("a readable store").into_iter();
            rows.writes.extend(there.map(|(key, _)| (tree, key, None)));
        }
        rows.writes.extend(frozen.rows.writes);
        store.commit(rows).expect("memory takes it");
        self.people[who.0].vault = vault;
        self.people[who.0].device_key = device_key;
        self.start(who);
    }
}

#[derive(Default)]
struct Frozen {
    at: Timestamp,
    device_key: Vec<u8>,
    key_file: Vec<u8>,
    rows: Batch,
}

impl Frozen {
    fn device_key(&self) -> Secret<32> {
        Secret::from_slice(&self.device_key).expect("32 bytes")
    }

    fn vault(&self) -> Vault {
        let device_key = self.device_key();
        Vault::open(&self.key_file, Unlock::DeviceKey(&device_key)).expect("a vault")
    }

    fn read(text: &str) -> Option<Self> {
        let hex = |word: &str| HEXLOWER.decode(word.as_bytes()).ok();
        let mut frozen = Self::default();
        for line in text.lines() {
            match *line.split(' ').collect::<Vec<_>>() {
                ["at", at] => frozen.at = Timestamp(at.parse().ok()?),
                ["device-key", key] => frozen.device_key = hex(key)?,
                ["key-file", file] => frozen.key_file = hex(file)?,
                ["row", tree, key, value] => {
                    let tree = Tree::ALL.into_iter().find(|known| known.name() == tree)?;
                    frozen.rows.writes.push((tree, hex(key)?, Some(hex(value)?)));
                }
                _ => return None,
            }
        }
        Some(frozen)
    }
}
