//! Addresses as people write and read them.
//!
//! The rest of the node keeps an [`Address`] as bytes; here it becomes a text, and the text of a
//! relay's address becomes a [`RelayHome`].

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use protocol::contact::{Address, RelayHome};
use protocol::ids::RelayId;

use super::address::Reach;
use super::{address, peer};

/// Why a text names no relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressTextError {
    /// No multiaddr.
    #[error("not a multiaddr")]
    Malformed,
    /// No `/p2p/…` with an Ed25519 key at its end.
    #[error("the address does not end in the relay's key")]
    NoRelayKey,
    /// Longer than may travel, or nothing that a node can dial.
    #[error("not an address that can be dialled")]
    NotDialable,
}

/// Reads a relay's address, such as `/dns4/relay.example.org/tcp/4701/p2p/12D3Koo…`, or one with the
/// process that listens there before the relay: `/…/p2p/<process>/p2p/<relay>`.
///
/// # Errors
/// [`AddressTextError`] when it names no relay that can be dialled.
pub fn parse_relay(text: &str) -> Result<RelayHome, AddressTextError> {
    let full: Multiaddr = text.trim().parse().map_err(|_| AddressTextError::Malformed)?;
    let Some(Protocol::P2p(named)) = full.iter().last() else {
        return Err(AddressTextError::NoRelayKey);
    };
    let relay = peer::relay(&named).ok_or(AddressTextError::NoRelayKey)?;
    let process = full.iter().find_map(|part| match part {
        Protocol::P2p(process) if process != named => Some(process),
        _ => None,
    });
    let bare = address::without_peer(&full);
    let at = process.map_or(bare.clone(), |process| bare.with(Protocol::P2p(process)));
    let wire = Address(at.to_vec().into());
    let dialable = !address::is_circuit(&full) && address::of_process(&wire, named).is_some();
    match dialable {
        true => Ok(RelayHome { relay, addresses: vec![wire] }),
        false => Err(AddressTextError::NotDialable),
    }
}

/// Reads the address of a node whose key is known from elsewhere.
///
/// # Errors
/// [`AddressTextError`] when it is none that can be dialled.
pub fn parse_address(text: &str) -> Result<Address, AddressTextError> {
    let address: Multiaddr = text.trim().parse().map_err(|_| AddressTextError::Malformed)?;
    let dialable = !address::is_circuit(&address) && address::reach(&address) != Reach::Nowhere;
    address::to_wire(&address).filter(|_| dialable).ok_or(AddressTextError::NotDialable)
}

/// An address as a text; `None` when its bytes are no multiaddr.
#[must_use]
pub fn text_of(address: &Address) -> Option<String> {
    Multiaddr::try_from(address.0.to_vec()).ok().map(|address| address.to_string())
}

/// A relay's name as its operator knows it: its peer id.
#[must_use]
pub fn relay_text(relay: RelayId) -> String {
    peer::of_relay(relay).map_or_else(|| relay.short(), |peer| peer.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use libp2p::identity::Keypair;

    #[test]
    fn a_relay_is_read_from_its_text_and_shown_without_its_key() {
        let relay = Keypair::generate_ed25519().public().to_peer_id();
        let home =
            parse_relay(&format!(" /dns4/relay.example.org/tcp/4701/p2p/{relay}\n")).unwrap();
        assert_eq!(peer::of_relay(home.relay), Some(relay));
        assert_eq!(text_of(&home.addresses[0]).unwrap(), "/dns4/relay.example.org/tcp/4701");
    }

    #[test]
    fn a_process_that_is_named_before_its_relay_stays_in_the_address() {
        let key = || Keypair::generate_ed25519().public().to_peer_id();
        let (process, relay) = (key(), key());
        let at = "/dns4/relay.example.org/tcp/4701";
        let home = parse_relay(&format!("{at}/p2p/{process}/p2p/{relay}")).unwrap();
        assert_eq!(peer::of_relay(home.relay), Some(relay));
        assert_eq!(text_of(&home.addresses[0]).unwrap(), format!("{at}/p2p/{process}"));
        let once = parse_relay(&format!("{at}/p2p/{relay}/p2p/{relay}")).unwrap();
        assert_eq!(text_of(&once.addresses[0]).unwrap(), at);
    }

    #[test]
    fn what_is_no_relay_is_told_apart() {
        let relay = Keypair::generate_ed25519().public().to_peer_id();
        assert_eq!(parse_relay("relay.example.org"), Err(AddressTextError::Malformed));
        assert_eq!(parse_relay("/ip4/1.2.3.4/tcp/1"), Err(AddressTextError::NoRelayKey));
        let circuit = format!("/ip4/1.2.3.4/tcp/1/p2p/{relay}/p2p-circuit/p2p/{relay}");
        assert_eq!(parse_relay(&circuit), Err(AddressTextError::NotDialable));
        assert_eq!(parse_relay(&format!("/p2p/{relay}")), Err(AddressTextError::NotDialable));
    }
}
