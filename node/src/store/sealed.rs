//! Sealing: what the engine reads and writes, as the store below sees it.
//!
//! A row's key is `HMAC(index key of the tree, id)[..16] ‖ order`, so ids are hidden and rows of
//! one id stay together in order. A value is sealed under the tree's key with the row's key as
//! associated data, so rows cannot be swapped.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use crypto::{DecodedTreeValue, TreeKey, Vault};
use protocol::wire::{Wire, decode, encode};

use super::{Batch, Order, Store, StoreError, Tree};

/// Schema of every value that this release writes. What an older one wrote is [migrated](super::migrate).
pub const SCHEMA: u16 = 2;
/// Bytes of a row's key before the order.
const PREFIX: usize = 16;

/// A row of a tree, named by what it is about and its place among others about the same.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    tree: Tree,
    bytes: Vec<u8>,
}

impl Key {
    /// The tree.
    #[must_use]
    pub fn tree(&self) -> Tree {
        self.tree
    }

    /// What follows the hidden id.
    #[must_use]
    pub fn order(&self) -> &[u8] {
        &self.bytes[PREFIX..]
    }

    /// The first raw key that comes after it.
    #[must_use]
    pub fn after(&self) -> Vec<u8> {
        [&self.bytes[..], &[0]].concat()
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({})", self.tree.name())
    }
}

/// A change as the engine means it: unsealed.
pub type Change = (Key, Option<zeroize::Zeroizing<Vec<u8>>>);

/// Trees whose values a copy of the disk must not open later: under the key of a generation, which is erased
/// once the next one is under way.
pub const ERASABLE: [Tree; 4] = [Tree::Session, Tree::Invite, Tree::Request, Tree::Rekey];

struct TreeKeys {
    index: TreeKey,
    value: TreeKey,
    /// Of the generation before, until every row was sealed anew.
    previous: Option<TreeKey>,
}

impl TreeKeys {
    fn of(vault: &Vault, tree: Tree) -> Self {
        let index = vault.tree_key(tree.name(), 0);
        if ERASABLE.contains(&tree) {
            let value = vault.erasable_tree_key(tree.name());
            Self { index, value, previous: vault.previous_erasable_tree_key(tree.name()) }
        } else {
            Self { index, value: vault.tree_key(tree.name(), 0), previous: None }
        }
    }

    fn open(&self, key: &Key, sealed: &[u8]) -> Result<DecodedTreeValue, StoreError> {
        let opened = self.value.open(&key.bytes, sealed).or_else(|error| match &self.previous {
            Some(previous) => previous.open(&key.bytes, sealed),
            None => Err(error),
        });
        opened.map_err(|_| StoreError::Unreadable(key.tree.name()))
    }
}

type Keys = BTreeMap<Tree, TreeKeys>;

/// A store behind the vault. Clones are the same store.
#[derive(Clone)]
pub struct SealedStore {
    store: Arc<dyn Store>,
    keys: Arc<RwLock<Keys>>,
}

impl std::fmt::Debug for SealedStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealedStore").field("store", &self.store).finish_non_exhaustive()
    }
}

impl SealedStore {
    /// `store` under the keys of `vault`; [`ERASABLE`] trees under its current generation.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, vault: &Vault) -> Self {
        Self { store, keys: Arc::new(RwLock::new(keys_of(vault))) }
    }

    /// Takes the vault's keys anew: its generation has changed. What the previous one sealed opens for as long
    /// as the vault knows its key.
    pub fn renew(&self, vault: &Vault) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys_of(vault);
    }

    /// The keys. A poisoned lock is taken as it is: they are replaced as a whole.
    fn keys(&self) -> RwLockReadGuard<'_, Keys> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key of one row.
    #[must_use]
    pub fn key(&self, tree: Tree, id: &[u8], order: &[u8]) -> Key {
        let mut bytes = self.keys()[&tree].index.index_key(id).to_vec();
        bytes.extend(order);
        Key { tree, bytes }
    }

    /// The value of a row.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read or does not open.
    pub fn get<T: Wire>(&self, key: &Key) -> Result<Option<T>, StoreError> {
        let Some(sealed) = self.store.get(key.tree, &key.bytes)? else { return Ok(None) };
        self.open(key, &sealed).and_then(|value| parse(key.tree, &value)).map(Some)
    }

    /// The bytes of a row that has a codec of its own.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read or does not open.
    pub fn get_bytes(&self, key: &Key) -> Result<Option<zeroize::Zeroizing<Vec<u8>>>, StoreError> {
        let Some(sealed) = self.store.get(key.tree, &key.bytes)? else { return Ok(None) };
        self.open(key, &sealed).map(Some)
    }

    /// Rows about `id` whose order is in `[from, to)`.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read or do not open.
    pub fn range<T: Wire>(
        &self,
        (tree, id): (Tree, &[u8]),
        (from, to): (&[u8], &[u8]),
        order: Order,
        limit: usize,
    ) -> Result<Vec<(Key, T)>, StoreError> {
        let from = self.key(tree, id, from);
        let to = self.key(tree, id, to);
        let rows = self.store.range(tree, &from.bytes, &to.bytes, order, limit)?;
        self.opened(tree, rows)
    }

    /// Every row of a tree, at most `limit`, in no meaningful order.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read or do not open.
    pub fn all<T: Wire>(&self, tree: Tree, limit: usize) -> Result<Vec<(Key, T)>, StoreError> {
        self.from(tree, &[], limit)
    }

    /// Rows of a tree from a raw key onwards, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read or do not open.
    pub fn from<T: Wire>(
        &self,
        tree: Tree,
        from: &[u8],
        limit: usize,
    ) -> Result<Vec<(Key, T)>, StoreError> {
        let rows = self.store.range(tree, from, &[0xff; 64], Order::Rising, limit)?;
        self.opened(tree, rows)
    }

    /// Rows of a tree from a raw key onwards, each with the schema of its writer.
    pub(crate) fn written(
        &self,
        tree: Tree,
        from: &[u8],
        limit: usize,
    ) -> Result<Vec<(Key, DecodedTreeValue)>, StoreError> {
        let rows = self.store.range(tree, from, &[0xff; 64], Order::Rising, limit)?;
        let opened = |(bytes, sealed): super::Row| {
            let key = Key { tree, bytes };
            let value = self.decoded(&key, &sealed)?;
            Ok((key, value))
        };
        rows.into_iter().map(opened).collect()
    }

    /// Opens every row there is, and forgets it again.
    ///
    /// # Errors
    /// [`StoreError`] when any cannot be read or does not open.
    pub fn check(&self) -> Result<(), StoreError> {
        const PAGE: usize = 500;
        for tree in Tree::ALL {
            let mut from = Vec::new();
            while let Some((key, _)) = self.written(tree, &from, PAGE)?.pop() {
                from = key.after();
            }
        }
        Ok(())
    }

    /// Seals and commits changes: atomic, and durable when it returns.
    ///
    /// # Errors
    /// [`StoreError`] when they could not be written.
    pub fn commit<R: rand::CryptoRng + ?Sized>(
        &self,
        changes: impl IntoIterator<Item = Change>,
        rng: &mut R,
    ) -> Result<(), StoreError> {
        self.commit_as(SCHEMA, changes, rng)
    }

    /// The same for values of another schema than this release's.
    pub(super) fn commit_as<R: rand::CryptoRng + ?Sized>(
        &self,
        schema: u16,
        changes: impl IntoIterator<Item = Change>,
        rng: &mut R,
    ) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        // Held until it is written: no row is sealed under a generation that is over.
        let keys = self.keys();
        for (key, value) in changes {
            let value_key = &keys[&key.tree].value;
            let sealed = value.map(|value| value_key.seal(&key.bytes, &value, schema, rng));
            batch.writes.push((key.tree, key.bytes, sealed));
        }
        self.store.commit(batch)
    }

    fn opened<T: Wire>(
        &self,
        tree: Tree,
        rows: Vec<super::Row>,
    ) -> Result<Vec<(Key, T)>, StoreError> {
        rows.into_iter()
            .map(|(bytes, sealed)| {
                let key = Key { tree, bytes };
                let value = parse(tree, &self.open(&key, &sealed)?)?;
                Ok((key, value))
            })
            .collect()
    }

    fn open(&self, key: &Key, sealed: &[u8]) -> Result<zeroize::Zeroizing<Vec<u8>>, StoreError> {
        let opened = self.decoded(key, sealed)?;
        if opened.schema > SCHEMA {
            return Err(StoreError::NewerSchema(opened.schema));
        }
        Ok(opened.value)
    }

    fn decoded(&self, key: &Key, sealed: &[u8]) -> Result<DecodedTreeValue, StoreError> {
        self.keys()[&key.tree].open(key, sealed)
    }
}

fn keys_of(vault: &Vault) -> Keys {
    Tree::ALL.into_iter().map(|tree| (tree, TreeKeys::of(vault, tree))).collect()
}

/// Encodes a value for a [`Change`].
///
/// # Errors
/// [`StoreError::Unreadable`] when it exceeds its own limit: a bound was not kept above.
pub fn stored<T: Wire>(tree: Tree, value: &T) -> Result<zeroize::Zeroizing<Vec<u8>>, StoreError> {
    encode(value).map(zeroize::Zeroizing::new).map_err(|_| StoreError::Unreadable(tree.name()))
}

pub(super) fn parse<T: Wire>(tree: Tree, value: &[u8]) -> Result<T, StoreError> {
    decode(value).map_err(|_| StoreError::Unreadable(tree.name()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::store::MemoryStore;
    use crypto::{KdfParams, Secret, Unlock};
    use protocol::contact::ContactCard;

    fn sealed(store: &Arc<MemoryStore>, dmk: u8) -> SealedStore {
        let mut rng = <rand::rngs::StdRng as rand::SeedableRng>::seed_from_u64(u64::from(dmk));
        let device_key = Secret::from_bytes([dmk; 32]);
        let vault =
            Vault::create(Unlock::DeviceKey(&device_key), KdfParams::default(), &mut rng).unwrap();
        SealedStore::new(Arc::clone(store) as Arc<dyn Store>, &vault)
    }

    fn card(name: &str) -> ContactCard {
        ContactCard { version: 1, name: name.into(), ..ContactCard::default() }
    }

    fn put(store: &SealedStore, id: &[u8], order: &[u8], name: &str) {
        let key = store.key(Tree::Contact, id, order);
        let value = stored(Tree::Contact, &card(name)).unwrap();
        store.commit([(key, Some(value))], &mut rand::rng()).unwrap();
    }

    #[test]
    fn neither_ids_nor_values_reach_the_store_in_the_clear() {
        let raw = Arc::new(MemoryStore::default());
        put(&sealed(&raw, 1), b"account of grace", b"", "Grace Hopper");
        let rows = raw.range(Tree::Contact, &[], &[0xff; 64], Order::Rising, 10).unwrap();
        let all: Vec<u8> =
            rows.into_iter().flat_map(|(key, value)| [key, value].concat()).collect();
        for planted in [&b"account of grace"[..], b"Grace", b"Hopper"] {
            assert!(!all.windows(planted.len()).any(|window| window == planted));
        }
    }

    #[test]
    fn rows_of_one_id_come_in_order_and_not_with_those_of_another() {
        let store = sealed(&Arc::new(MemoryStore::default()), 1);
        for n in [3u64, 1, 2] {
            put(&store, b"ada", &n.to_be_bytes(), &n.to_string());
            put(&store, b"ben", &n.to_be_bytes(), "other");
        }
        let span = (&0u64.to_be_bytes()[..], &3u64.to_be_bytes()[..]);
        let rows: Vec<(Key, ContactCard)> =
            store.range((Tree::Contact, b"ada"), span, Order::Falling, 10).unwrap();
        let names: Vec<_> = rows.iter().map(|(_, card)| card.name.as_str()).collect();
        assert_eq!(names, ["2", "1"]);
    }

    #[test]
    fn a_swapped_row_or_another_vault_does_not_open() {
        let raw = Arc::new(MemoryStore::default());
        let store = sealed(&raw, 1);
        put(&store, b"ada", b"", "Ada");
        put(&store, b"ben", b"", "Ben");
        let (ada, ben) =
            (store.key(Tree::Contact, b"ada", b""), store.key(Tree::Contact, b"ben", b""));
        let stolen = raw.get(Tree::Contact, &ben.bytes).unwrap();
        raw.commit(Batch { writes: vec![(Tree::Contact, ada.bytes.clone(), stolen)] }).unwrap();
        assert!(matches!(store.get::<ContactCard>(&ada), Err(StoreError::Unreadable("contact"))));
        assert!(store.get::<ContactCard>(&ben).unwrap().is_some());
        let other = sealed(&raw, 2);
        assert!(matches!(
            other.all::<ContactCard>(Tree::Contact, 10),
            Err(StoreError::Unreadable(_))
        ));
    }
}
