//! What is sent to a relay under a throwaway key, and what its answer must match.

use crypto::identity::SigningKey;
use crypto::secret::Secret;
use libp2p::PeerId;
use protocol::ids::{EnvelopeId, QueueId, RelayId};
use protocol::mailbox::proof::{self, Binding};
use protocol::mailbox::wire::{
    CustodyReceipt, Deposit, DepositRefusal, Item, MAX_BATCH_BYTES, MAX_BODY, MAX_ITEMS,
    MailboxRequest,
};

use crate::net::command::{OwnedQueue, SealedDeposit, Ticket};
use crate::net::event::{NetEvent, NetFailure};

/// Something to be sent to a relay.
#[derive(Debug)]
pub(super) enum Job {
    Deposit(Ticket, Vec<SealedDeposit>),
    Close(Ticket, OwnedQueue),
    Bundle(Ticket, QueueId, Secret<32>),
}

impl Job {
    /// The answer when it came to nothing.
    pub(super) fn failed(self, why: NetFailure) -> NetEvent {
        match self {
            Self::Deposit(ticket, _) => NetEvent::DepositDone { ticket, result: Err(why) },
            Self::Close(ticket, _) => NetEvent::QueueDone { ticket, result: Err(why) },
            Self::Bundle(ticket, ..) => NetEvent::BundleDone { ticket, result: Err(why) },
        }
    }
}

/// What a request under way is, and what its answer is compared with.
#[derive(Debug)]
pub(super) enum Sent {
    Hello(RelayId, PeerId),
    Attach(RelayId, Vec<QueueId>),
    Deposit(Ticket, RelayId, Vec<(QueueId, EnvelopeId)>),
    Close(Ticket),
    Bundle(Ticket),
}

/// Signs a job for one connection, and says what its answer must match.
pub(super) fn signed(job: Job, binding: Binding<'_>) -> (MailboxRequest, Sent) {
    match job {
        Job::Deposit(ticket, sealed) => {
            let expected = sealed.iter().map(|one| (one.send, EnvelopeId::of(&one.body))).collect();
            let deposits = sealed
                .into_iter()
                .map(|one| {
                    let key = SigningKey::from_seed(&one.key);
                    let made = proof::deposit(&key, one.send, one.body, one.ttl_seconds, binding);
                    Deposit { reserved: one.reserved, ..made }
                })
                .collect();
            (MailboxRequest::Deposit { deposits }, Sent::Deposit(ticket, binding.relay, expected))
        }
        Job::Close(ticket, queue) => {
            let claim = proof::claim(&SigningKey::from_seed(&queue.key), queue.receive, binding);
            (MailboxRequest::Close { claim }, Sent::Close(ticket))
        }
        Job::Bundle(ticket, send, key) => {
            let proof = proof::bundle(&SigningKey::from_seed(&key), send, binding);
            (MailboxRequest::Bundle { send, proof }, Sent::Bundle(ticket))
        }
    }
}

/// Whether every receipt is this relay's, for the queue and the frame that were sent.
pub(super) fn in_custody(
    relay: RelayId,
    expected: &[(QueueId, EnvelopeId)],
    results: &[Result<CustodyReceipt, DepositRefusal>],
) -> bool {
    results.len() == expected.len()
        && expected.iter().zip(results).all(|((send, envelope), result)| match result {
            Ok(receipt) => {
                receipt.send == *send
                    && receipt.envelope == *envelope
                    && proof::custody_holds(receipt, relay)
            }
            Err(_) => true,
        })
}

/// Whether a push keeps its bounds.
pub(super) fn within_bounds(items: &[Item]) -> bool {
    let bytes: usize = items.iter().map(|item| item.body.len()).sum();
    items.len() <= MAX_ITEMS
        && bytes <= MAX_BATCH_BYTES
        && items.iter().all(|item| item.body.len() <= MAX_BODY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::time::Timestamp;

    #[test]
    fn a_receipt_for_another_frame_queue_or_relay_is_no_custody() {
        let key = SigningKey::from_seed(&Secret::from_bytes([1; 32]));
        let relay = RelayId(*key.verifying_key().as_bytes());
        let (send, frame) = (QueueId([2; 16]), EnvelopeId([3; 16]));
        let receipt = proof::custody(&key, send, frame, Timestamp(1), Timestamp(2));
        let given = |receipt: &CustodyReceipt| vec![Ok(receipt.clone())];
        assert!(in_custody(relay, &[(send, frame)], &given(&receipt)));
        assert!(in_custody(relay, &[(send, frame)], &[Err(DepositRefusal::Full)]));
        assert!(!in_custody(relay, &[(QueueId([9; 16]), frame)], &given(&receipt)));
        assert!(!in_custody(relay, &[(send, EnvelopeId([9; 16]))], &given(&receipt)));
        assert!(!in_custody(RelayId([9; 32]), &[(send, frame)], &given(&receipt)));
        assert!(!in_custody(relay, &[(send, frame)], &[]), "an answer is owed for each");
        let forged = CustodyReceipt { until: Timestamp(99), ..receipt };
        assert!(!in_custody(relay, &[(send, frame)], &given(&forged)));
    }

    #[test]
    fn pushes_are_bounded_in_number_bytes_and_body() {
        let push = |count, len| -> Vec<Item> {
            let item = Item {
                receive: QueueId([0; 16]),
                seq: 1,
                deposited_at: Timestamp(0),
                body: vec![0; len].into(),
            };
            vec![item; count]
        };
        assert!(within_bounds(&push(MAX_ITEMS, 512)));
        assert!(!within_bounds(&push(MAX_ITEMS + 1, 1)));
        assert!(!within_bounds(&push(1, MAX_BODY + 1)));
        assert!(!within_bounds(&push(7, MAX_BODY)));
    }
}
