//! Sealed values and hidden row keys of one tree.
//!
//! ```text
//! value  schema u16 ‖ N 24 ‖ XChaCha20-Poly1305(K_tree, ad = LP(tree) ‖ LP(key) ‖ schema) ‖ tag 16
//! ```

use core::fmt;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::aead::{self, TAG_LEN, XNONCE_LEN};
use crate::kdf::{hkdf, hmac, label};
use crate::layout::Writer;
use crate::secret::Secret;

/// Bytes that sealing adds to a value.
pub const TREE_VALUE_OVERHEAD: usize = 2 + XNONCE_LEN + TAG_LEN;

/// Why a stored value was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TreeOpenError {
    /// Too short to be a value.
    #[error("stored value is too short")]
    Truncated,
    /// Of another tree, key, schema or generation, or altered.
    #[error("stored value does not authenticate")]
    Forged,
}

/// An opened value and the schema it was written with.
pub struct DecodedTreeValue {
    /// The writer's schema number.
    pub schema: u16,
    /// The plaintext.
    pub value: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for DecodedTreeValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { schema, value: _ } = self;
        f.debug_struct("DecodedTreeValue").field("schema", schema).finish_non_exhaustive()
    }
}

/// Seals the values and hides the keys of one tree.
pub struct TreeKey {
    value: Secret<32>,
    index: Secret<32>,
    lp_name: Vec<u8>,
}

impl TreeKey {
    /// Derives the key of a tree from a master or generation key; its index key always comes from
    /// the master key, so that rows keep their keys across generations.
    pub(super) fn derive(
        from: &Secret<32>,
        master: &Secret<32>,
        purpose: &[u8],
        (name, generation): (&str, u32),
    ) -> Self {
        let mut lp_name = Writer::default();
        lp_name.lp(name.as_bytes());
        let lp_name = lp_name.finish();
        let info: &[&[u8]] = &[purpose, &lp_name, &generation.to_be_bytes()];
        Self {
            value: hkdf(b"", &[from.expose()], info),
            index: hkdf(b"", &[master.expose()], &[label::INDEX, &lp_name]),
            lp_name,
        }
    }

    fn ad(&self, key: &[u8], schema: u16) -> Vec<u8> {
        let capacity = self.lp_name.len().saturating_add(key.len()).saturating_add(6);
        let mut w = Writer::with_capacity(capacity);
        w.bytes(&self.lp_name).lp(key).u16(schema);
        w.finish()
    }

    /// Seals a value for the row `key`.
    #[must_use]
    pub fn seal<R: CryptoRng + ?Sized>(
        &self,
        key: &[u8],
        value: &[u8],
        schema: u16,
        rng: &mut R,
    ) -> Vec<u8> {
        let mut nonce = [0; XNONCE_LEN];
        rng.fill_bytes(&mut nonce);
        let mut out = Vec::with_capacity(value.len().saturating_add(TREE_VALUE_OVERHEAD));
        out.extend_from_slice(&schema.to_be_bytes());
        out.extend_from_slice(&nonce);
        out.extend_from_slice(value);
        let (_, body) = out.split_at_mut(2 + XNONCE_LEN);
        let tag = aead::xseal(&self.value, &nonce, &self.ad(key, schema), body);
        out.extend_from_slice(&tag);
        out
    }

    /// Opens the value of the row `key`.
    ///
    /// # Errors
    /// [`TreeOpenError`].
    pub fn open(&self, key: &[u8], sealed: &[u8]) -> Result<DecodedTreeValue, TreeOpenError> {
        let (head, rest) = sealed.split_first_chunk().ok_or(TreeOpenError::Truncated)?;
        let (nonce, rest) = rest.split_first_chunk().ok_or(TreeOpenError::Truncated)?;
        let (body, tag) = rest.split_last_chunk().ok_or(TreeOpenError::Truncated)?;
        let schema = u16::from_be_bytes(*head);
        let mut value = Zeroizing::new(body.to_vec());
        aead::xopen(&self.value, nonce, &self.ad(key, schema), &mut value, tag)
            .map_err(|_| TreeOpenError::Forged)?;
        Ok(DecodedTreeValue { schema, value })
    }

    /// What stands for `id` in a row's key: the first half of HMAC-SHA256.
    #[must_use]
    pub fn index_key(&self, id: &[u8]) -> [u8; 16] {
        let mac = hmac(self.index.expose(), &[id]);
        let (half, _) = mac.expose().split_first_chunk().expect("16 is below 32");
        *half
    }
}

impl fmt::Debug for TreeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { value: _, index: _, lp_name: _ } = self;
        f.write_str("TreeKey(..)")
    }
}
