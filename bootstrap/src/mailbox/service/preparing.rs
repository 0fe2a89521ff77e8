//! What a group of inputs will look at, told to the store before the first decision.

use libp2p::PeerId;
use protocol::ids::{EnvelopeId, QueueId};
use protocol::mailbox::wire::{MAX_ITEMS, MailboxRequest};

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
                Input::Request { peer, request, .. } => self.wants(peer, request, &mut wanted),
                Input::Pushed { peer, ticket, acknowledged } => {
                    wanted.ends(self.subscribers.in_flight(peer, *ticket, acknowledged));
                }
                Input::Erase(..) | Input::Stored(_) | Input::Gone(_) | Input::Tick => {}
            }
        }
        self.store.prepare(wanted)
    }

    /// What only looks is not in it, and what is over its bounds is refused before anything is looked at.
    fn wants(&self, peer: &PeerId, request: &MailboxRequest, wanted: &mut Wanted) {
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
            MailboxRequest::Close { claim } => wanted.receives.push(claim.receive),
            MailboxRequest::Acknowledge { items } => {
                let own =
                    |(receive, _): &&(QueueId, u64)| self.subscribers.is_attached(peer, *receive);
                wanted.ends(items.iter().take(MAX_ITEMS).filter(own).copied().collect());
            }
            MailboxRequest::Deposit { deposits } => {
                for deposit in deposits.iter().take(MAX_ITEMS) {
                    wanted.sends.push(deposit.send);
                    wanted.deposits.push((deposit.send, EnvelopeId::of(&deposit.body)));
                }
            }
            MailboxRequest::Hello
            | MailboxRequest::Attach { .. }
            | MailboxRequest::State { .. }
            | MailboxRequest::Bundle { .. }
            | MailboxRequest::Fetch { .. }
            | MailboxRequest::Push { .. } => {}
        }
    }
}

impl Wanted {
    fn ends(&mut self, items: Vec<(QueueId, u64)>) {
        self.receives.extend(items.iter().map(|(receive, _)| *receive));
        self.items.extend(items);
    }
}
