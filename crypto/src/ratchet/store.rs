//! The stored form of a ratchet. Local only, but written out like a wire layout: a session must
//! survive upgrades.

use std::collections::BTreeMap;

use crate::agreement::{AgreementKey, AgreementSecret};
use crate::layout::{Reader, Writer};
use crate::ratchet::chain_key::ChainKey;
use crate::ratchet::header_key::HeaderKey;
use crate::ratchet::message_key::MessageKey;
use crate::ratchet::pq::Pq;
use crate::ratchet::receiver_chain::{ChainView, ReceiverChain};
use crate::ratchet::root_key::RootKey;
use crate::ratchet::skipped_keys::{SkippedKey, SkippedKeys};
use crate::ratchet::{
    MAX_RECEIVE_CHAINS, MAX_SKIPPED_KEYS, Ratchet, SendingChain, SessionImportError,
};
use crate::secret::Secret;
use crate::session::Role;

/// Bytes of one stored skipped key.
const SKIPPED_KEY_LEN: usize = 4 + 8 + 32;
/// More than everything but skipped keys takes.
const FIXED_LEN_MAX: usize = 2560;

fn key(r: &mut Reader<'_>) -> Result<Secret<32>, SessionImportError> {
    Ok(Secret::from_bytes(r.array()?))
}

fn option<T>(
    r: &mut Reader<'_>,
    read: impl FnOnce(&mut Reader<'_>) -> Result<T, SessionImportError>,
) -> Result<Option<T>, SessionImportError> {
    match r.u8()? {
        0 => Ok(None),
        1 => read(r).map(Some),
        _ => Err(SessionImportError::UnknownForm),
    }
}

impl ChainKey {
    fn write(&self, w: &mut Writer) {
        w.bytes(self.key.expose()).u32(self.n);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, SessionImportError> {
        Ok(Self { key: key(r)?, n: r.u32()? })
    }
}

impl ChainView {
    fn write(&self, w: &mut Writer) {
        let Self { header_key, dh, epoch, skipped } = self;
        w.bytes(header_key.0.expose()).bytes(dh.as_bytes()).u32(*epoch);
        w.u16(u16::try_from(skipped.len()).expect("MAX_SKIPPED_KEYS bounds the count"));
        for (n, stored) in &skipped.0 {
            w.u32(*n).u64(stored.since).bytes(stored.key.0.expose());
        }
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, SessionImportError> {
        let header_key = HeaderKey(key(r)?);
        let dh = AgreementKey::from_bytes(r.array()?);
        let epoch = r.u32()?;
        let count = usize::from(r.u16()?);
        if count > MAX_SKIPPED_KEYS {
            return Err(SessionImportError::UnknownForm);
        }
        let mut skipped = BTreeMap::new();
        for _ in 0..count {
            let (n, since) = (r.u32()?, r.u64()?);
            let stored = SkippedKey { key: MessageKey(key(r)?), since };
            // Strictly ascending, so that a state has one stored form.
            if skipped.last_key_value().is_some_and(|(last, _)| *last >= n) {
                return Err(SessionImportError::UnknownForm);
            }
            skipped.insert(n, stored);
        }
        Ok(Self { header_key, dh, epoch, skipped: SkippedKeys(skipped) })
    }
}

impl SendingChain {
    fn write(&self, w: &mut Writer) {
        let Self { header_key, chain, dh, previous_len, epoch } = self;
        w.bytes(header_key.0.expose()).bytes(dh.as_bytes()).u32(*previous_len).u32(*epoch);
        chain.write(w);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, SessionImportError> {
        Ok(Self {
            header_key: HeaderKey(key(r)?),
            dh: AgreementKey::from_bytes(r.array()?),
            previous_len: r.u32()?,
            epoch: r.u32()?,
            chain: ChainKey::read(r)?,
        })
    }
}

impl Ratchet {
    /// An upper bound of the stored length, so that the buffer of secrets never moves.
    pub(crate) fn stored_len_max(&self) -> usize {
        FIXED_LEN_MAX.saturating_add(self.skipped_len().saturating_mul(SKIPPED_KEY_LEN))
    }

    /// Appends the stored form; the role is the caller's.
    pub(crate) fn write(&self, w: &mut Writer) {
        let Self {
            role: _,
            root,
            own,
            turn,
            sending,
            next_sending_header,
            receiving,
            next_receiving_header,
            retired,
            pq,
        } = self;
        w.bytes(root.0.expose());
        match own {
            Some(own) => w.u8(1).bytes(own.to_secret().expose()),
            None => w.u8(0),
        };
        match turn {
            Some(theirs) => w.u8(1).bytes(theirs.as_bytes()),
            None => w.u8(0),
        };
        w.u8(u8::from(sending.is_some()));
        if let Some(sending) = sending {
            sending.write(w);
        }
        w.bytes(next_sending_header.0.expose());
        w.u8(u8::from(receiving.is_some()));
        if let Some(current) = receiving {
            current.chain.write(w);
            current.view.write(w);
        }
        w.bytes(next_receiving_header.0.expose());
        w.u8(u8::try_from(retired.len()).expect("MAX_RECEIVE_CHAINS bounds the count"));
        for chain in retired {
            chain.write(w);
        }
        pq.write(w);
    }

    /// Reads the stored form.
    pub(crate) fn read(r: &mut Reader<'_>, role: Role) -> Result<Self, SessionImportError> {
        let root = RootKey(key(r)?);
        let own = option(r, |r| Ok(AgreementSecret::from_secret(&key(r)?)))?;
        let turn = option(r, |r| Ok(AgreementKey::from_bytes(r.array()?)))?;
        let sending = option(r, SendingChain::read)?;
        let next_sending_header = HeaderKey(key(r)?);
        let receiving = option(r, |r| {
            let chain = ChainKey::read(r)?;
            Ok(ReceiverChain { chain, view: ChainView::read(r)? })
        })?;
        let next_receiving_header = HeaderKey(key(r)?);
        let count = usize::from(r.u8()?);
        if count >= MAX_RECEIVE_CHAINS {
            return Err(SessionImportError::UnknownForm);
        }
        let mut retired = Vec::with_capacity(count);
        for _ in 0..count {
            retired.push(ChainView::read(r)?);
        }
        let pq = Pq::read(r)?;
        let ratchet = Self {
            role,
            root,
            own,
            turn,
            sending,
            next_sending_header,
            receiving,
            next_receiving_header,
            retired,
            pq,
        };
        if ratchet.skipped_len() > MAX_SKIPPED_KEYS {
            return Err(SessionImportError::UnknownForm);
        }
        Ok(ratchet)
    }
}
