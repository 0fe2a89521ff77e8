//! Header encryption: one key per chain.

use crate::aead::{self, TAG_LEN, XNONCE_LEN};
use crate::agreement::AgreementKey;
use crate::layout::Reader;
use crate::secret::Secret;

/// Bytes of a header in the clear.
pub(crate) const HEADER_LEN: usize = 48;
/// Bytes of an encrypted header with its tag.
pub(crate) const SEALED_HEADER_LEN: usize = HEADER_LEN + TAG_LEN;

/// Encrypts the headers of one chain.
#[derive(Debug)]
pub(crate) struct HeaderKey(pub(crate) Secret<32>);

/// What a frame tells about its place: `dh 32 ‖ pn u32 ‖ n u32 ‖ pq_e u32 ‖ flags u32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// The sender's ratchet key of this chain.
    pub(crate) dh: AgreementKey,
    /// Length of the sender's previous chain.
    pub(crate) pn: u32,
    /// Number of this message in its chain.
    pub(crate) n: u32,
    /// The post-quantum epoch mixed into this chain's root.
    pub(crate) epoch: u32,
    /// Reserved; zero in this version.
    pub(crate) flags: u32,
}

impl Header {
    /// The 48 bytes.
    pub(crate) fn encode(&self) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        let (dh, rest) = out.split_at_mut(32);
        dh.copy_from_slice(self.dh.as_bytes());
        for (slot, value) in rest.chunks_exact_mut(4).zip([self.pn, self.n, self.epoch, self.flags])
        {
            slot.copy_from_slice(&value.to_be_bytes());
        }
        out
    }

    fn decode(bytes: &[u8; HEADER_LEN]) -> Option<Self> {
        let mut r = Reader::new(bytes);
        Some(Self {
            dh: AgreementKey::from_bytes(r.array().ok()?),
            pn: r.u32().ok()?,
            n: r.u32().ok()?,
            epoch: r.u32().ok()?,
            flags: r.u32().ok()?,
        })
    }
}

impl HeaderKey {
    /// Encrypts a header.
    pub(crate) fn seal(
        &self,
        nonce: &[u8; XNONCE_LEN],
        ad: &[u8],
        header: &Header,
    ) -> [u8; SEALED_HEADER_LEN] {
        let mut out = [0; SEALED_HEADER_LEN];
        let (body, tag) = out.split_at_mut(HEADER_LEN);
        body.copy_from_slice(&header.encode());
        tag.copy_from_slice(&aead::xseal(&self.0, nonce, ad, body));
        out
    }

    /// Tries to decrypt a header; `None` if this is not its key.
    pub(crate) fn open(
        &self,
        nonce: &[u8; XNONCE_LEN],
        ad: &[u8],
        sealed: &[u8; SEALED_HEADER_LEN],
    ) -> Option<Header> {
        let (body, tag) = sealed.split_first_chunk::<HEADER_LEN>()?;
        let mut body = *body;
        aead::xopen(&self.0, nonce, ad, &mut body, tag.first_chunk()?).ok()?;
        Header::decode(&body)
    }
}
