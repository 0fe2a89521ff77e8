//! Which connections there are, over which path, and which of them are one too many.
//!
//! 1. Ada and Ben meet over a relay, then punch through: now there are two connections, and
//!    libp2p would spread requests over both and let the *direct* one idle out first.
//! 2. So the relayed connection is given [`GRACE`] for what is in flight, and then closed.
//! 3. When both dialled at once there are two direct ones. The node with the lower peer id
//!    decides alone, so that the two never close one each: it keeps the better path, then the
//!    one that it dialled itself, then the older.
//!
//! Pure: it opens and closes nothing. Spec: `docs/protocol/wire.md` §10.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use libp2p::PeerId;
use libp2p::swarm::ConnectionId;

use super::event::Path;

/// How long a superseded connection may still carry what is in flight on it.
pub(super) const GRACE: Duration = Duration::from_secs(4);
/// Failed pings in a row after which a connection is closed; libp2p itself never closes it.
pub(super) const MAX_PING_FAILURES: u8 = 2;

/// One established connection.
#[derive(Clone, Debug)]
struct Connection {
    id: ConnectionId,
    path: Path,
    dialled_here: bool,
    since: Instant,
    ping_failures: u8,
    retire_at: Option<Instant>,
}

/// What the end of a connection means for its peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closed {
    /// Others remain.
    OneOfSeveral,
    /// It was the last.
    Last {
        /// Whether the peer had identified itself, that is, had let us in.
        identified: bool,
    },
}

#[derive(Debug, Default)]
struct Peer {
    connections: Vec<Connection>,
    identified: bool,
}

/// All established connections of one swarm.
#[derive(Debug, Default)]
pub(super) struct Connections {
    peers: HashMap<PeerId, Peer>,
}

impl Connections {
    /// A connection is up.
    pub(super) fn established(
        &mut self,
        peer: PeerId,
        id: ConnectionId,
        path: Path,
        dialled_here: bool,
        now: Instant,
    ) {
        let connection =
            Connection { id, path, dialled_here, since: now, ping_failures: 0, retire_at: None };
        self.peers.entry(peer).or_default().connections.push(connection);
    }

    /// A connection ended.
    pub(super) fn closed(&mut self, peer: &PeerId, id: ConnectionId) -> Closed {
        let Some(entry) = self.peers.get_mut(peer) else {
            return Closed::Last { identified: false };
        };
        entry.connections.retain(|connection| connection.id != id);
        if !entry.connections.is_empty() {
            return Closed::OneOfSeveral;
        }
        let identified = entry.identified;
        self.peers.remove(peer);
        Closed::Last { identified }
    }

    /// The peer answered on some connection: it has let us in.
    pub(super) fn identified(&mut self, peer: &PeerId) {
        if let Some(entry) = self.peers.get_mut(peer) {
            entry.identified = true;
        }
    }

    /// Whether the peer has let us in.
    pub(super) fn is_identified(&self, peer: &PeerId) -> bool {
        self.peers.get(peer).is_some_and(|entry| entry.identified)
    }

    /// Whether there is any connection.
    pub(super) fn is_connected(&self, peer: &PeerId) -> bool {
        self.peers.contains_key(peer)
    }

    /// This connection came of hole punching. A path inside one network stays what it is.
    pub(super) fn punched(&mut self, peer: &PeerId, id: ConnectionId) {
        if let Some(connection) = self.connection_mut(peer, id)
            && connection.path == Path::Direct
        {
            connection.path = Path::HolePunched;
        }
    }

    /// The best path to a peer.
    pub(super) fn best_path(&self, peer: &PeerId) -> Option<Path> {
        self.peers.get(peer)?.connections.iter().map(|connection| connection.path).min()
    }

    /// The path of one connection; of the best one when it is gone by now.
    pub(super) fn path_of(&self, peer: &PeerId, id: ConnectionId) -> Option<Path> {
        let entry = self.peers.get(peer)?;
        let one = entry.connections.iter().find(|connection| connection.id == id);
        one.map(|connection| connection.path).or_else(|| self.best_path(peer))
    }

    /// Notes the outcome of a ping. True when the connection is to be closed.
    pub(super) fn ping(&mut self, peer: &PeerId, id: ConnectionId, answered: bool) -> bool {
        let Some(connection) = self.connection_mut(peer, id) else {
            return false;
        };
        connection.ping_failures = if answered { 0 } else { connection.ping_failures + 1 };
        connection.ping_failures >= MAX_PING_FAILURES
    }

    /// Gives every connection to this peer that is one too many until [`GRACE`] from now.
    pub(super) fn supersede(&mut self, local: &PeerId, peer: &PeerId, now: Instant) {
        let Some(entry) = self.peers.get_mut(peer) else {
            return;
        };
        let decides = local.to_bytes() < peer.to_bytes();
        let rank =
            |connection: &Connection| (connection.path, !connection.dialled_here, connection.since);
        let Some(best) = entry.connections.iter().min_by_key(|connection| rank(connection)) else {
            return;
        };
        let (best, best_path) = (best.id, best.path);
        for connection in &mut entry.connections {
            let relayed_in_vain = connection.path == Path::Relayed && best_path != Path::Relayed;
            let surplus = connection.id != best && (relayed_in_vain || decides);
            connection.retire_at = surplus.then(|| connection.retire_at.unwrap_or(now + GRACE));
        }
    }

    /// Those whose grace is over.
    pub(super) fn retired(&mut self, now: Instant) -> Vec<ConnectionId> {
        let connections = self.peers.values_mut().flat_map(|entry| &mut entry.connections);
        connections
            .filter(|connection| connection.retire_at.is_some_and(|at| at <= now))
            .map(|connection| {
                connection.retire_at = None;
                connection.id
            })
            .collect()
    }

    /// When [`Self::retired`] is due next.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let connections = self.peers.values().flat_map(|entry| &entry.connections);
        connections.filter_map(|connection| connection.retire_at).min()
    }

    fn connection_mut(&mut self, peer: &PeerId, id: ConnectionId) -> Option<&mut Connection> {
        self.peers.get_mut(peer)?.connections.iter_mut().find(|connection| connection.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids() -> (ConnectionId, ConnectionId) {
        (ConnectionId::new_unchecked(1), ConnectionId::new_unchecked(2))
    }

    /// Two peer ids, the lower first.
    fn pair() -> (PeerId, PeerId) {
        let (a, b) = (PeerId::random(), PeerId::random());
        if a.to_bytes() < b.to_bytes() { (a, b) } else { (b, a) }
    }

    #[test]
    fn the_relayed_connection_goes_when_a_direct_one_is_up_whoever_we_are() {
        let (a, b) = ids();
        let (low, high) = pair();
        for (local, peer) in [(low, high), (high, low)] {
            let now = Instant::now();
            let mut table = Connections::default();
            table.established(peer, a, Path::Relayed, true, now);
            table.supersede(&local, &peer, now);
            assert_eq!(table.next_deadline(), None, "the only way is never closed");
            table.established(peer, b, Path::Direct, false, now);
            table.punched(&peer, b);
            table.supersede(&local, &peer, now);
            assert_eq!(table.best_path(&peer), Some(Path::HolePunched));
            assert!(table.retired(now).is_empty(), "what is in flight gets its grace");
            assert_eq!(table.retired(now + GRACE), [a]);
        }
    }

    #[test]
    fn of_two_direct_connections_exactly_one_side_closes_exactly_one() {
        let (a, b) = ids();
        let (low, high) = pair();
        let now = Instant::now();
        let mut at_low = Connections::default();
        at_low.established(high, a, Path::Direct, false, now);
        at_low.established(high, b, Path::Direct, true, now);
        at_low.supersede(&low, &high, now);
        assert_eq!(at_low.retired(now + GRACE), [a], "it keeps the one that it dialled");
        let mut at_high = Connections::default();
        at_high.established(low, a, Path::Direct, true, now);
        at_high.established(low, b, Path::Direct, false, now);
        at_high.supersede(&high, &low, now);
        assert!(at_high.retired(now + GRACE).is_empty());
    }

    #[test]
    fn a_relayed_connection_is_spared_when_the_direct_one_dies_within_the_grace() {
        let (a, b) = ids();
        let (low, high) = pair();
        let now = Instant::now();
        let mut table = Connections::default();
        table.established(high, a, Path::Relayed, true, now);
        table.established(high, b, Path::Direct, true, now);
        table.supersede(&low, &high, now);
        assert_eq!(table.closed(&high, b), Closed::OneOfSeveral);
        table.supersede(&low, &high, now);
        assert!(table.retired(now + GRACE).is_empty());
        assert_eq!(table.best_path(&high), Some(Path::Relayed));
    }

    #[test]
    fn only_the_last_connection_ends_the_contact_and_says_whether_it_let_us_in() {
        let (a, b) = ids();
        let (_, peer) = pair();
        let now = Instant::now();
        let mut table = Connections::default();
        table.established(peer, a, Path::Direct, true, now);
        table.established(peer, b, Path::Direct, true, now);
        table.identified(&peer);
        assert_eq!(table.closed(&peer, a), Closed::OneOfSeveral);
        assert_eq!(table.closed(&peer, b), Closed::Last { identified: true });
        table.established(peer, a, Path::Direct, true, now);
        assert_eq!(table.closed(&peer, a), Closed::Last { identified: false });
    }

    #[test]
    fn two_failed_pings_in_a_row_condemn_a_connection_and_one_answer_absolves_it() {
        let (a, _) = ids();
        let (_, peer) = pair();
        let mut table = Connections::default();
        table.established(peer, a, Path::Direct, true, Instant::now());
        assert!(!table.ping(&peer, a, false));
        assert!(!table.ping(&peer, a, true));
        assert!(!table.ping(&peer, a, false));
        assert!(table.ping(&peer, a, false));
    }
}
