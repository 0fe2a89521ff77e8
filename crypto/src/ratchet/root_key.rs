//! The root key, stepped once per Diffie–Hellman half-step.

use crate::kdf::{hkdf_fill, label};
use crate::ratchet::chain_key::ChainKey;
use crate::ratchet::header_key::HeaderKey;
use crate::secret::Secret;

/// The root of both chains.
#[derive(Debug)]
pub(crate) struct RootKey(pub(crate) Secret<32>);

/// What one root step yields.
#[derive(Debug)]
pub(crate) struct RootStep {
    /// The next root key.
    pub(crate) root: RootKey,
    /// The chain that this step begins.
    pub(crate) chain: ChainKey,
    /// The header key of the *next* chain in the same direction.
    pub(crate) next_header: HeaderKey,
}

impl RootKey {
    /// HKDF(salt = RK, ikm = `dh ‖ post_quantum?`, info = `"KITH/1 rk" ‖ epoch`) → RK ‖ CK ‖ NHK.
    pub(crate) fn step(
        &self,
        dh: &Secret<32>,
        post_quantum: Option<&Secret<32>>,
        epoch: u32,
    ) -> RootStep {
        let (mut root, mut chain, mut header) = (Secret::zero(), Secret::zero(), Secret::zero());
        let extra: &[u8] = post_quantum.map_or(&[], |shared| shared.expose());
        hkdf_fill(
            self.0.expose(),
            &[dh.expose(), extra],
            &[label::ROOT, &epoch.to_be_bytes()],
            &mut [root.bytes_mut(), chain.bytes_mut(), header.bytes_mut()],
        );
        RootStep { root: Self(root), chain: ChainKey::first(chain), next_header: HeaderKey(header) }
    }
}
