//! What a group of inputs will look at, told to the store before the first decision.

use protocol::ids::{EnvelopeId, QueueId};
use protocol::mailbox::wire::{MAX_ATTACH, MAX_ITEMS, MailboxRequest};

use super::Service;
use crate::error::StoreError;
use crate::mailbox::store::{MailboxStore, Wanted};
use crate::mailbox::traffic::Input;
use crate::peer;

impl<S: MailboxStore> Service<S> {
    pub(super) fn prepare<R>(&mut self, inputs: &[Input<R>]) -> Result<(), StoreError> {
        if !self.store.prepares() {
            return Ok(());
        }
        let mut wanted = Wanted::default();
        for input in inputs {
            match input {
                Input::Request { peer, request, .. } => {
                    self.wants(peer, request, &mut wanted);
                }
                Input::Pushed { acknowledged, .. } => wanted.acknowledged(acknowledged),
                Input::Erase(..) | Input::Stored(_) | Input::Gone(_) | Input::Tick => {}
            }
        }
        self.store.prepare(wanted)
    }

    /// What is over its bounds is refused before anything is looked at.
    fn wants(&self, peer: &libp2p::PeerId, request: &MailboxRequest, wanted: &mut Wanted) {
        match request {
            MailboxRequest::Open { queue, .. } => {
                if !self.parts.admission.is_admitted(peer, self.parts.clock.now()) {
                    return;
                }
                wanted.opened.extend([queue.receive, queue.send]);
                wanted.receives.push(queue.receive);
                wanted.sends.push(queue.send);
                wanted.accounts.extend(peer::account_of(peer));
            }
            MailboxRequest::Close { claim } | MailboxRequest::State { claim } => {
                wanted.receives.push(claim.receive);
            }
            MailboxRequest::Attach { claims } => {
                wanted.receives.extend(claims.iter().take(MAX_ATTACH).map(|claim| claim.receive));
            }
            MailboxRequest::Acknowledge { items } => {
                let own =
                    |(receive, _): &&(QueueId, u64)| self.subscribers.is_attached(peer, *receive);
                let items: Vec<_> = items.iter().take(MAX_ITEMS).filter(own).copied().collect();
                wanted.acknowledged(&items);
            }
            MailboxRequest::Deposit { deposits } => {
                for deposit in deposits.iter().take(MAX_ITEMS) {
                    wanted.sends.push(deposit.send);
                    wanted.deposits.push((deposit.send, EnvelopeId::of(&deposit.body)));
                }
            }
            MailboxRequest::Bundle { send, .. } => wanted.sends.push(*send),
            MailboxRequest::Hello | MailboxRequest::Fetch { .. } | MailboxRequest::Push { .. } => {}
        }
    }

    /// Does something whose queues nobody knows beforehand: between two flushes, so that what it looks at is asked for at
    /// once as well.
    pub(super) fn apart(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        if !self.store.prepares() {
            return work(self);
        }
        self.settle()?;
        work(self)?;
        self.settle()
    }
}

impl Wanted {
    fn acknowledged(&mut self, items: &[(QueueId, u64)]) {
        let items = items.iter().take(MAX_ITEMS);
        self.receives.extend(items.clone().map(|(receive, _)| *receive));
        self.items.extend(items.copied());
    }
}
