//! Delivery receipts: the recipient's signed word that frames are durable at their node.
//!
//! 1. Ben's node commits and flushes what Ada's frames said.
//! 2. It signs their envelope ids, with Ada's account and the time.
//! 3. The receipt travels as the direct answer, or inside the session when the frames came
//!    through a mailbox. Ada's node verifies it, and only then shows "delivered".
//!
//! It signs hashes of ciphertext that nobody but the two can connect to a message.
//!
//! Spec: `docs/protocol/wire.md` §5.

use crypto::identity::{AccountKey, Identity, Purpose, Signature};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteArray;

use crate::ids::{AccountId, EnvelopeId};
use crate::time::Timestamp;

/// Most envelopes in one receipt.
pub const MAX_ENVELOPES: usize = 128;

/// Signed evidence of delivery.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryReceipt {
    /// What is durable: at most [`MAX_ENVELOPES`].
    pub envelopes: Vec<EnvelopeId>,
    /// When, by the recipient's clock.
    pub at: Timestamp,
    /// By the recipient's account key, purpose `delivered`, over the sender's account, `at`
    /// (u64 BE) and the concatenated envelope ids.
    pub proof: ByteArray<64>,
}

/// Why a receipt proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiptError {
    /// More than [`MAX_ENVELOPES`].
    #[error("too many envelopes in one receipt")]
    TooMany,
    /// Not signed by that account, for that sender, over these envelopes.
    #[error("the receipt's signature does not verify")]
    Forged,
}

impl DeliveryReceipt {
    /// Signs that `envelopes` from `sender` are durable here. The caller has flushed.
    #[must_use]
    pub fn sign(
        identity: &Identity,
        sender: AccountId,
        envelopes: Vec<EnvelopeId>,
        at: Timestamp,
    ) -> Self {
        let proof = identity
            .sign(Purpose::Delivered, &[&sender.0, &at.0.to_be_bytes(), &concatenated(&envelopes)]);
        Self { envelopes, at, proof: ByteArray::new(*proof.as_bytes()) }
    }

    /// Checks that `recipient` signed this for `sender`.
    ///
    /// # Errors
    /// [`ReceiptError`] when it proves nothing.
    pub fn verify(&self, recipient: AccountId, sender: AccountId) -> Result<(), ReceiptError> {
        if self.envelopes.len() > MAX_ENVELOPES {
            return Err(ReceiptError::TooMany);
        }
        let recipient: AccountKey = recipient.into();
        recipient
            .verify(
                Purpose::Delivered,
                &[&sender.0, &self.at.0.to_be_bytes(), &concatenated(&self.envelopes)],
                &Signature::from_bytes(self.proof.into_array()),
            )
            .map_err(|_| ReceiptError::Forged)
    }
}

fn concatenated(envelopes: &[EnvelopeId]) -> Vec<u8> {
    envelopes.iter().flat_map(|id| id.0).collect()
}

impl std::fmt::Debug for DeliveryReceipt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { envelopes, at, proof: _ } = self;
        f.debug_struct("DeliveryReceipt")
            .field("envelopes", &envelopes.len())
            .field("at", at)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crypto::identity::Seed;

    fn identity(byte: u8) -> Identity {
        Identity::from_seed(&Seed::from_secret(crypto::secret::Secret::from_bytes([byte; 32])))
    }

    #[test]
    fn a_receipt_proves_one_recipient_one_sender_and_these_envelopes() {
        let (ada, ben, eve) = (identity(1), identity(2), identity(3));
        let (a, b, e) = (ada.account().into(), ben.account().into(), eve.account().into());
        let receipt = DeliveryReceipt::sign(&ben, a, vec![EnvelopeId([7; 16])], Timestamp(5));
        assert_eq!(receipt.verify(b, a), Ok(()));
        assert_eq!(receipt.verify(e, a), Err(ReceiptError::Forged));
        assert_eq!(receipt.verify(b, e), Err(ReceiptError::Forged));
        let mut other = receipt.clone();
        other.envelopes[0].0[0] ^= 1;
        assert_eq!(other.verify(b, a), Err(ReceiptError::Forged));
        let mut later = receipt.clone();
        later.at = Timestamp(6);
        assert_eq!(later.verify(b, a), Err(ReceiptError::Forged));
        let mut many = receipt;
        many.envelopes = vec![EnvelopeId([0; 16]); MAX_ENVELOPES + 1];
        assert_eq!(many.verify(b, a), Err(ReceiptError::TooMany));
    }
}
