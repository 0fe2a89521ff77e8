//! A person of a world, and what their node waits for.

use std::collections::VecDeque;
use std::sync::Arc;

use crypto::{Secret, Vault};
use node::engine::Engine;
use node::net::NetEvent;
use node::store::SealedStore;
use protocol::ids::{AccountId, QueueId};
use protocol::sim::Party;
use protocol::wire::envelope::EnvelopeResponse;
use protocol::wire::invite::InviteResponse;
use tokio::sync::oneshot;

use super::failing::FailingStore;
use super::net::{CallId, NetState};

pub(super) struct Person {
    pub(super) name: String,
    pub(super) store: Arc<FailingStore>,
    pub(super) vault: Vault,
    pub(super) device_key: Secret<32>,
    pub(super) account: AccountId,
    pub(super) engine: Option<Engine>,
    /// The store as the engine has it.
    pub(super) sealed: Option<SealedStore>,
    pub(super) net: NetState,
    pub(super) inbox: VecDeque<NetEvent>,
    pub(super) replies: Vec<Reply>,
    /// Their clock minus the world's, milliseconds.
    pub(super) clock: i64,
}

/// A peer's question that the engine has not answered yet.
pub(super) struct Reply {
    pub(super) to: Party,
    pub(super) call: CallId,
    pub(super) answer: Awaited,
}

pub(super) enum Awaited {
    Envelope(oneshot::Receiver<EnvelopeResponse>),
    Invite(oneshot::Receiver<InviteResponse>),
    Items(oneshot::Receiver<Vec<(QueueId, u64)>>),
}

impl Person {
    /// A person whose node does not run yet.
    pub(super) fn on(
        name: &str,
        store: Arc<FailingStore>,
        vault: Vault,
        device_key: Secret<32>,
    ) -> Self {
        Self {
            name: name.to_owned(),
            store,
            vault,
            device_key,
            account: AccountId([0; 32]),
            engine: None,
            sealed: None,
            net: NetState::default(),
            inbox: VecDeque::new(),
            replies: Vec::new(),
            clock: 0,
        }
    }
}
