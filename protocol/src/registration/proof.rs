//! The signature that finishes a registration.

use crypto::identity::{Identity, Purpose, Signature};

use crate::ids::{AccountId, RelayId};
use crate::mailbox::wire::Proof;

/// Signs the challenge's nonce for one relay, as the account that asked for it.
#[must_use]
pub fn sign(identity: &Identity, nonce: &[u8; 32], relay: RelayId) -> Proof {
    Proof::new(*identity.sign(Purpose::Register, &[nonce, &relay.0]).as_bytes())
}

/// Whether `account` signed this nonce for this relay.
#[must_use]
pub fn verifies(account: AccountId, nonce: &[u8; 32], relay: RelayId, proof: &Proof) -> bool {
    crypto::identity::AccountKey::from_bytes(account.0)
        .verify(Purpose::Register, &[nonce, &relay.0], &Signature::from_bytes(proof.into_array()))
        .is_ok()
}
