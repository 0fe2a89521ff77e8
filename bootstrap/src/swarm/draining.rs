//! The network task while its process sends people to others.

use libp2p::PeerId;

use super::Net;
use crate::drain::share;

impl Net {
    /// Sends the next part of those who are connected away; takes nobody in any more.
    pub(super) fn drain_some(&mut self) {
        let turns = self.turns_left.unwrap_or_else(|| {
            let limits = self.swarm.behaviour_mut().connections.limits_mut();
            *limits = limits
                .clone()
                .with_max_pending_incoming(Some(0))
                .with_max_established_incoming(Some(0));
            tracing::info!("sending people to the relay's other processes");
            self.config.postgres.as_ref().map_or(0, |postgres| postgres.drain_seconds)
        });
        let connected: Vec<PeerId> = self.swarm.connected_peers().copied().collect();
        if connected.is_empty() || turns == 0 {
            self.drain.finish();
        }
        for peer in connected.iter().take(share(connected.len(), turns)) {
            let _ = self.swarm.disconnect_peer_id(*peer);
        }
        self.turns_left = Some(turns.saturating_sub(1));
    }
}
