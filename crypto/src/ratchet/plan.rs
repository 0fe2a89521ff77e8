//! What a frame would change, derived on the side: nothing here touches the state.

use crate::agreement::AgreementKey;
use crate::ratchet::Ratchet;
use crate::ratchet::chain_key::ChainKey;
use crate::ratchet::error::DecryptError;
use crate::ratchet::frame::{Context, Incoming};
use crate::ratchet::header_key::{Header, HeaderKey};
use crate::ratchet::message_key::MessageKey;
use crate::ratchet::receiver_chain::walk;
use crate::ratchet::root_key::RootKey;

/// Where a header belongs.
pub(super) enum Place {
    Current,
    Next,
    Retired(usize),
}

/// What an authentic frame will change, derived on the side.
pub(super) enum Plan {
    /// Uses a stored key of the current (`None`) or a retired chain.
    Stored { retired: Option<usize>, n: u32, key: MessageKey },
    /// Moves the current chain forward.
    Forward { skipped: Vec<(u32, MessageKey)>, chain: ChainKey, key: MessageKey },
    /// Begins the peer's next chain.
    Turn(Box<Turn>),
}

pub(super) struct Turn {
    pub(super) root: RootKey,
    pub(super) next_header: HeaderKey,
    /// What the closing chain had not delivered yet.
    pub(super) closing: Vec<(u32, MessageKey)>,
    pub(super) skipped: Vec<(u32, MessageKey)>,
    pub(super) chain: ChainKey,
    pub(super) dh: AgreementKey,
    pub(super) epoch: u32,
    pub(super) mixed: bool,
    pub(super) key: MessageKey,
}

impl Plan {
    pub(super) fn key(&self) -> &MessageKey {
        match self {
            Self::Stored { key, .. } | Self::Forward { key, .. } => key,
            Self::Turn(turn) => &turn.key,
        }
    }

    pub(super) fn mixes(&self) -> bool {
        matches!(self, Self::Turn(turn) if turn.mixed)
    }
}

impl Ratchet {
    /// Finds the header key that opens the frame: the current chain's, the next one's, or one of
    /// the bounded number of earlier ones.
    pub(super) fn locate(&self, frame: &Incoming<'_>, cx: Context<'_>) -> Option<(Place, Header)> {
        if let Some(current) = &self.receiving
            && let Some(header) = frame.open_header(cx, &current.view.header_key)
        {
            return Some((Place::Current, header));
        }
        if let Some(header) = frame.open_header(cx, &self.next_receiving_header) {
            return Some((Place::Next, header));
        }
        self.retired.iter().enumerate().find_map(|(i, chain)| {
            Some((Place::Retired(i), frame.open_header(cx, &chain.header_key)?))
        })
    }

    /// Derives what the frame would change.
    pub(super) fn plan(
        &self,
        place: &Place,
        header: &Header,
        now: u64,
    ) -> Result<Plan, DecryptError> {
        match *place {
            Place::Current => {
                let current = self.receiving.as_ref().ok_or(DecryptError::UnknownHeader)?;
                current.view.check(header)?;
                if header.n < current.chain.n {
                    let key = current.view.skipped_key(header.n, now)?;
                    return Ok(Plan::Stored { retired: None, n: header.n, key });
                }
                let walked = walk(&current.chain, header.n)?;
                let key = walked.chain.message_key();
                let chain = walked.chain.next().map_err(|_| DecryptError::TooFarAhead)?;
                Ok(Plan::Forward { skipped: walked.skipped, chain, key })
            }
            Place::Next => self.plan_turn(header),
            Place::Retired(i) => {
                let chain = self.retired.get(i).ok_or(DecryptError::UnknownHeader)?;
                chain.check(header)?;
                let key = chain.skipped_key(header.n, now)?;
                Ok(Plan::Stored { retired: Some(i), n: header.n, key })
            }
        }
    }

    /// The receiving half of a ratchet step, on the side.
    fn plan_turn(&self, header: &Header) -> Result<Plan, DecryptError> {
        let closing = match &self.receiving {
            Some(current) if header.pn >= current.chain.n => {
                walk(&current.chain, header.pn)?.skipped
            }
            None if header.pn == 0 => Vec::new(),
            _ => return Err(DecryptError::Header),
        };
        let post_quantum = self.pq.secret_for(header.epoch)?;
        let own = self.own.as_ref().ok_or(DecryptError::Header)?;
        let step = self.root.step(&own.agree(&header.dh)?, post_quantum, header.epoch);
        let walked = walk(&step.chain, header.n)?;
        let key = walked.chain.message_key();
        let chain = walked.chain.next().map_err(|_| DecryptError::TooFarAhead)?;
        Ok(Plan::Turn(Box::new(Turn {
            root: step.root,
            next_header: step.next_header,
            closing,
            skipped: walked.skipped,
            chain,
            dh: header.dh,
            epoch: header.epoch,
            mixed: post_quantum.is_some(),
            key,
        })))
    }
}
