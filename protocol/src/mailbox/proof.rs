//! The signatures of a mailbox: made by nodes, checked by relays, and the reverse for custody.
//!
//! Every proof covers the relay's key and the nonce that the relay gave this connection's key,
//! so that one made for a relay, or for a connection, is worth nothing elsewhere.

use crypto::identity::{Purpose, Signature, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

use super::wire::{CustodyReceipt, Deposit, OwnerClaim, Proof};
use crate::ids::{EnvelopeId, QueueId, RelayId};
use crate::time::Timestamp;

/// What a proof is bound to: one relay and one of its nonces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding<'a> {
    /// The relay.
    pub relay: RelayId,
    /// From its [`Hello`](super::wire::MailboxResponse::Hello).
    pub nonce: &'a [u8; 32],
}

/// Claims a queue for its owner.
#[must_use]
pub fn claim(key: &SigningKey, receive: QueueId, binding: Binding<'_>) -> OwnerClaim {
    let fields: [&[u8]; 3] = [&binding.relay.0, &receive.0, binding.nonce];
    OwnerClaim { receive, proof: signed(key, Purpose::MailboxOwner, &fields) }
}

/// Whether the holder of `owner_key` made this claim here.
#[must_use]
pub fn claim_holds(claim: &OwnerClaim, owner_key: &[u8; 32], binding: Binding<'_>) -> bool {
    let fields: [&[u8]; 3] = [&binding.relay.0, &claim.receive.0, binding.nonce];
    holds(owner_key, Purpose::MailboxOwner, &fields, &claim.proof)
}

/// Makes a deposit, into ordinary room.
#[must_use]
pub fn deposit(
    key: &SigningKey,
    send: QueueId,
    body: Vec<u8>,
    ttl_seconds: u32,
    binding: Binding<'_>,
) -> Deposit {
    let hash = Sha256::digest(&body);
    let fields: [&[u8]; 4] = [&binding.relay.0, &send.0, binding.nonce, &hash];
    let proof = signed(key, Purpose::MailboxDeposit, &fields);
    Deposit { send, ttl_seconds, reserved: false, body: body.into(), proof }
}

/// Whether a holder of `deposit_key` made this deposit here.
#[must_use]
pub fn deposit_holds(deposit: &Deposit, deposit_key: &[u8; 32], binding: Binding<'_>) -> bool {
    let hash = Sha256::digest(&deposit.body);
    let fields: [&[u8]; 4] = [&binding.relay.0, &deposit.send.0, binding.nonce, &hash];
    holds(deposit_key, Purpose::MailboxDeposit, &fields, &deposit.proof)
}

/// Asks for the bundle beside a drop.
#[must_use]
pub fn bundle(key: &SigningKey, send: QueueId, binding: Binding<'_>) -> Proof {
    let fields: [&[u8]; 3] = [&binding.relay.0, &send.0, binding.nonce];
    signed(key, Purpose::MailboxBundle, &fields)
}

/// Whether a holder of `deposit_key` asked for the bundle here.
#[must_use]
pub fn bundle_holds(
    send: QueueId,
    proof: &Proof,
    deposit_key: &[u8; 32],
    binding: Binding<'_>,
) -> bool {
    let fields: [&[u8]; 3] = [&binding.relay.0, &send.0, binding.nonce];
    holds(deposit_key, Purpose::MailboxBundle, &fields, proof)
}

/// A relay's word that it holds a frame. The relay has flushed. Ed25519 is deterministic, so
/// the same facts make the same receipt, byte for byte.
#[must_use]
pub fn custody(
    key: &SigningKey,
    send: QueueId,
    envelope: EnvelopeId,
    at: Timestamp,
    until: Timestamp,
) -> CustodyReceipt {
    let relay = RelayId(*key.verifying_key().as_bytes());
    let mut receipt =
        CustodyReceipt { relay, send, envelope, at, until, proof: Proof::new([0; 64]) };
    receipt.proof = with_custody_fields(&receipt, |fields| signed(key, Purpose::Custody, fields));
    receipt
}

/// Whether `relay` gave this word about this frame. The caller compares queue and envelope
/// with what it sent.
#[must_use]
pub fn custody_holds(receipt: &CustodyReceipt, relay: RelayId) -> bool {
    receipt.relay == relay
        && with_custody_fields(receipt, |fields| {
            holds(&relay.0, Purpose::Custody, fields, &receipt.proof)
        })
}

/// A relay's word that whoever has this libp2p key, as Noise proves it, is a process of its own.
#[must_use]
pub fn process(key: &SigningKey, process: &[u8; 32]) -> Proof {
    signed(key, Purpose::RelayProcess, &[process])
}

/// Whether `relay` gave this word. Without it a nonce is worth nothing: whoever stands between could hand proofs on.
#[must_use]
pub fn process_holds(proof: &Proof, relay: RelayId, process: &[u8; 32]) -> bool {
    holds(&relay.0, Purpose::RelayProcess, &[process], proof)
}

fn with_custody_fields<T>(receipt: &CustodyReceipt, then: impl FnOnce(&[&[u8]]) -> T) -> T {
    then(&[
        &receipt.relay.0,
        &receipt.send.0,
        &receipt.envelope.0,
        &receipt.at.0.to_be_bytes(),
        &receipt.until.0.to_be_bytes(),
    ])
}

fn signed(key: &SigningKey, purpose: Purpose, fields: &[&[u8]]) -> Proof {
    Proof::new(*key.sign(purpose, fields).as_bytes())
}

fn holds(key: &[u8; 32], purpose: Purpose, fields: &[&[u8]], proof: &Proof) -> bool {
    VerifyingKey::from_bytes(*key)
        .verify(purpose, fields, &Signature::from_bytes(proof.into_array()))
        .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crypto::secret::Secret;

    const RELAY: RelayId = RelayId([3; 32]);
    const HERE: Binding<'static> = Binding { relay: RELAY, nonce: &[4; 32] };
    const OTHER_RELAY: Binding<'static> = Binding { relay: RelayId([5; 32]), nonce: &[4; 32] };
    const OTHER_NONCE: Binding<'static> = Binding { relay: RELAY, nonce: &[6; 32] };

    fn key(byte: u8) -> (SigningKey, [u8; 32]) {
        let key = SigningKey::from_seed(&Secret::from_bytes([byte; 32]));
        let public = *key.verifying_key().as_bytes();
        (key, public)
    }

    #[test]
    fn a_relay_vouches_for_one_process() {
        let (relay, name) = key(1);
        let word = process(&relay, &[7; 32]);
        assert!(process_holds(&word, RelayId(name), &[7; 32]));
        assert!(!process_holds(&word, RelayId(name), &[8; 32]));
        assert!(!process_holds(&word, RelayId(key(2).1), &[7; 32]));
    }

    #[test]
    fn a_claim_holds_for_one_queue_relay_and_nonce() {
        let (secret, public) = key(1);
        let made = claim(&secret, QueueId([7; 16]), HERE);
        assert!(claim_holds(&made, &public, HERE));
        assert!(!claim_holds(&made, &public, OTHER_RELAY));
        assert!(!claim_holds(&made, &public, OTHER_NONCE));
        assert!(!claim_holds(&made, &key(2).1, HERE));
        let elsewhere = OwnerClaim { receive: QueueId([8; 16]), ..made };
        assert!(!claim_holds(&elsewhere, &public, HERE));
    }

    #[test]
    fn a_deposit_holds_for_its_body_and_is_no_claim() {
        let (secret, public) = key(1);
        let made = deposit(&secret, QueueId([7; 16]), b"frame".to_vec(), 0, HERE);
        assert!(deposit_holds(&made, &public, HERE));
        assert!(!deposit_holds(&made, &public, OTHER_RELAY));
        assert!(!deposit_holds(&made, &public, OTHER_NONCE));
        let mut other = made.clone();
        other.body[0] ^= 1;
        assert!(!deposit_holds(&other, &public, HERE));
        let as_claim = OwnerClaim { receive: made.send, proof: made.proof };
        assert!(!claim_holds(&as_claim, &public, HERE));
        assert!(!bundle_holds(made.send, &made.proof, &public, HERE));
        let asked = bundle(&secret, made.send, HERE);
        assert!(bundle_holds(made.send, &asked, &public, HERE));
    }

    #[test]
    fn a_custody_receipt_covers_every_field() {
        let (secret, public) = key(1);
        let relay = RelayId(public);
        let made =
            custody(&secret, QueueId([7; 16]), EnvelopeId([8; 16]), Timestamp(9), Timestamp(10));
        assert!(custody_holds(&made, relay));
        assert!(!custody_holds(&made, RelayId(key(2).1)));
        for tampered in [
            CustodyReceipt { send: QueueId([0; 16]), ..made.clone() },
            CustodyReceipt { envelope: EnvelopeId([0; 16]), ..made.clone() },
            CustodyReceipt { at: Timestamp(0), ..made.clone() },
            CustodyReceipt { until: Timestamp(u64::MAX), ..made },
        ] {
            assert!(!custody_holds(&tampered, relay));
        }
    }
}
