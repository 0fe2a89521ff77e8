//! The frame: what travels, and what is inside its body.
//!
//! ```text
//! frame  ver 1 ‖ N 24 ‖ sealed header 64 ‖ body (padded) ‖ tag 16
//! body   count 1 ‖ count × { type 1 ‖ len u16 ‖ value } ‖ content ‖ 0x80 00…
//! ```
//!
//! Spec: `docs/protocol/session.md` §6.

use crate::aead::{TAG_LEN, XNONCE_LEN};
use crate::kem::{KEM_CIPHERTEXT_LEN, KEM_KEY_LEN};
use crate::layout::{self, Reader};
use crate::ratchet::DecryptError;
use crate::ratchet::header_key::{Header, HeaderKey, SEALED_HEADER_LEN};
use crate::ratchet::message_key::MessageKey;

/// Total sizes that a frame may have, ascending.
pub const FRAME_CLASSES: [usize; 5] = [384, 512, 2048, 8192, 32_768];
/// The largest frame.
pub const MAX_FRAME: usize = 32_768;
/// Bytes of a frame that are not body.
pub const FRAME_OVERHEAD: usize = 1 + XNONCE_LEN + SEALED_HEADER_LEN + TAG_LEN;
/// Longest content of a frame: a full [`MAX_FRAME`] less overhead, record count and padding marker.
pub const MAX_PLAINTEXT: usize = MAX_FRAME - FRAME_OVERHEAD - 2;

/// Version byte of a frame.
const FRAME_VERSION: u8 = 1;
/// Most records in one body.
const MAX_RECORDS: u8 = 4;
/// Record `PQ_EK`: epoch u32 ‖ encapsulation key.
const RECORD_OFFER: u8 = 0x01;
/// Record `PQ_CT`: epoch u32 ‖ SHA-256(encapsulation key) ‖ ciphertext.
const RECORD_ANSWER: u8 = 0x02;
/// Records from here on may be skipped by those who do not know them.
const FIRST_OPTIONAL_RECORD: u8 = 0x80;
/// Bytes of a record before its value.
const RECORD_HEAD: usize = 3;

/// What both ends of one direction authenticate along with every frame.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context<'a> {
    /// The handshake's transcript hash.
    pub(crate) transcript: &'a [u8; 32],
    /// Direction byte of the sender's role.
    pub(crate) direction: u8,
}

/// TH ‖ dir, then N ‖ sealed header: the prefix is the header's associated data, all of it the
/// body's.
struct AssociatedData([u8; 33 + XNONCE_LEN + SEALED_HEADER_LEN]);

impl AssociatedData {
    const HEADER: usize = 33;

    fn new(cx: Context<'_>) -> Self {
        let mut bytes = [0; Self::HEADER + XNONCE_LEN + SEALED_HEADER_LEN];
        let (head, _) = bytes.split_at_mut(Self::HEADER);
        let (transcript, direction) = head.split_at_mut(32);
        transcript.copy_from_slice(cx.transcript);
        direction.fill(cx.direction);
        Self(bytes)
    }

    fn header(&self) -> &[u8] {
        self.0.split_at(Self::HEADER).0
    }

    fn body(&mut self, nonce: &[u8; XNONCE_LEN], sealed: &[u8; SEALED_HEADER_LEN]) -> &[u8] {
        let (_, tail) = self.0.split_at_mut(Self::HEADER);
        let (n, header) = tail.split_at_mut(XNONCE_LEN);
        n.copy_from_slice(nonce);
        header.copy_from_slice(sealed);
        &self.0
    }
}

/// A post-quantum record, borrowed from where it is kept.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Record<'a> {
    /// An encapsulation key for an epoch.
    Offer { epoch: u32, key: &'a [u8; KEM_KEY_LEN] },
    /// The answer to it.
    Answer { epoch: u32, key_hash: &'a [u8; 32], ciphertext: &'a [u8; KEM_CIPHERTEXT_LEN] },
}

impl Record<'_> {
    const fn value_len(&self) -> usize {
        match self {
            Self::Offer { .. } => 4 + KEM_KEY_LEN,
            Self::Answer { .. } => 4 + 32 + KEM_CIPHERTEXT_LEN,
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        let len = u16::try_from(self.value_len()).expect("records are below 64 KiB");
        match self {
            Self::Offer { epoch, key } => {
                out.push(RECORD_OFFER);
                out.extend_from_slice(&len.to_be_bytes());
                out.extend_from_slice(&epoch.to_be_bytes());
                out.extend_from_slice(*key);
            }
            Self::Answer { epoch, key_hash, ciphertext } => {
                out.push(RECORD_ANSWER);
                out.extend_from_slice(&len.to_be_bytes());
                out.extend_from_slice(&epoch.to_be_bytes());
                out.extend_from_slice(*key_hash);
                out.extend_from_slice(*ciphertext);
            }
        }
    }
}

/// The total length that a frame for `content` bytes and `record` takes: the smallest class that
/// fits. `None` if not even the largest does.
pub(crate) fn class_for(content: usize, record: Option<&Record<'_>>) -> Option<usize> {
    let record = record.map_or(0, |record| RECORD_HEAD + record.value_len());
    let needed = content.checked_add(record)?.checked_add(FRAME_OVERHEAD + 2)?;
    FRAME_CLASSES.into_iter().find(|&class| needed <= class)
}

/// A frame about to be sealed.
pub(crate) struct Outgoing<'a> {
    pub(crate) header: Header,
    pub(crate) record: Option<Record<'a>>,
    pub(crate) content: &'a [u8],
    /// Total length; the caller has checked that everything fits.
    pub(crate) len: usize,
}

impl Outgoing<'_> {
    /// Seals the frame under a random `nonce`.
    pub(crate) fn seal(
        &self,
        cx: Context<'_>,
        header_key: &HeaderKey,
        message_key: &MessageKey,
        nonce: &[u8; XNONCE_LEN],
    ) -> Vec<u8> {
        let mut ad = AssociatedData::new(cx);
        let sealed = header_key.seal(nonce, ad.header(), &self.header);
        let mut out = Vec::with_capacity(self.len);
        out.push(FRAME_VERSION);
        out.extend_from_slice(nonce);
        out.extend_from_slice(&sealed);
        let body_at = out.len();
        out.push(u8::from(self.record.is_some()));
        if let Some(record) = &self.record {
            record.write(&mut out);
        }
        out.extend_from_slice(self.content);
        layout::pad(&mut out, self.len.saturating_sub(TAG_LEN));
        let (_, body) = out.split_at_mut(body_at);
        let tag = message_key.seal(nonce, ad.body(nonce, &sealed), body);
        out.extend_from_slice(&tag);
        out
    }
}

/// A received frame, cut into its parts.
#[derive(Debug)]
pub(crate) struct Incoming<'a> {
    nonce: &'a [u8; XNONCE_LEN],
    header: &'a [u8; SEALED_HEADER_LEN],
    body: &'a [u8],
    tag: &'a [u8; TAG_LEN],
}

impl<'a> Incoming<'a> {
    /// Cuts a frame whose length the caller has judged.
    pub(crate) fn cut(frame: &'a [u8]) -> Result<Self, DecryptError> {
        let (&version, rest) = frame.split_first().ok_or(DecryptError::Length)?;
        if version != FRAME_VERSION {
            return Err(DecryptError::UnknownVersion);
        }
        let (nonce, rest) = rest.split_first_chunk().ok_or(DecryptError::Length)?;
        let (header, rest) = rest.split_first_chunk().ok_or(DecryptError::Length)?;
        let (body, tag) = rest.split_last_chunk().ok_or(DecryptError::Length)?;
        Ok(Self { nonce, header, body, tag })
    }

    /// Tries one header key.
    pub(crate) fn open_header(&self, cx: Context<'_>, key: &HeaderKey) -> Option<Header> {
        key.open(self.nonce, AssociatedData::new(cx).header(), self.header)
    }

    /// Decrypts the body.
    pub(crate) fn open_body(
        &self,
        cx: Context<'_>,
        key: &MessageKey,
    ) -> Result<Vec<u8>, DecryptError> {
        let mut ad = AssociatedData::new(cx);
        let mut body = self.body.to_vec();
        key.open(self.nonce, ad.body(self.nonce, self.header), &mut body, self.tag)
            .map_err(|_| DecryptError::Body)?;
        Ok(body)
    }
}

/// The authenticated inside of a body.
#[derive(Debug)]
pub(crate) struct Inside<'a> {
    pub(crate) offer: Option<(u32, &'a [u8; KEM_KEY_LEN])>,
    pub(crate) answer: Option<(u32, &'a [u8; 32], &'a [u8; KEM_CIPHERTEXT_LEN])>,
    pub(crate) content: core::ops::Range<usize>,
}

impl<'a> Inside<'a> {
    /// Reads a decrypted body.
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, DecryptError> {
        let end = layout::unpadded_len(body).ok_or(DecryptError::Content)?;
        let (unpadded, _) = body.split_at(end);
        let mut r = Reader::new(unpadded);
        let count = r.u8().map_err(|_| DecryptError::Content)?;
        if count > MAX_RECORDS {
            return Err(DecryptError::Content);
        }
        let mut inside = Self { offer: None, answer: None, content: 0..0 };
        for _ in 0..count {
            inside.record(&mut r).ok_or(DecryptError::Content)?;
        }
        inside.content = end.saturating_sub(r.remaining())..end;
        Ok(inside)
    }

    /// Takes one record; `None` if it is malformed, repeated or unknown and not optional.
    fn record(&mut self, r: &mut Reader<'a>) -> Option<()> {
        let kind = r.u8().ok()?;
        let len = usize::from(r.u16().ok()?);
        let value = r.take(len).ok()?;
        match kind {
            RECORD_OFFER => {
                let (epoch, key) = value.split_first_chunk()?;
                let offer = (u32::from_be_bytes(*epoch), key.try_into().ok()?);
                self.offer.replace(offer).is_none().then_some(())
            }
            RECORD_ANSWER => {
                let (epoch, rest) = value.split_first_chunk()?;
                let (hash, ciphertext) = rest.split_first_chunk()?;
                let answer = (u32::from_be_bytes(*epoch), hash, ciphertext.try_into().ok()?);
                self.answer.replace(answer).is_none().then_some(())
            }
            FIRST_OPTIONAL_RECORD.. => Some(()),
            _ => None,
        }
    }
}
