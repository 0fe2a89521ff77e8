//! What each swarm speaks.
//!
//! The limits and the gate come first: they deny a connection before any other behaviour makes
//! a handler for it, and before hole punching counts it as its own.

use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{autonat, connection_limits, dcutr, identify, mdns, ping, relay};

use super::gate::Gate;
use super::protocols::{envelope, invite, mailbox, register};

/// Under the account's key: contacts, strangers with an invite, registration, opening queues.
#[derive(NetworkBehaviour)]
pub(super) struct Identity {
    pub(super) limits: connection_limits::Behaviour,
    pub(super) gate: Gate,
    pub(super) relay: relay::client::Behaviour,
    pub(super) punch: Toggle<dcutr::Behaviour>,
    pub(super) autonat: autonat::v2::client::Behaviour,
    pub(super) identify: identify::Behaviour,
    pub(super) ping: ping::Behaviour,
    pub(super) mdns: Toggle<mdns::tokio::Behaviour>,
    pub(super) envelope: envelope::Behaviour,
    pub(super) invite: invite::Behaviour,
    pub(super) register: register::Behaviour,
    pub(super) mailbox: mailbox::Behaviour,
}

/// Under a throwaway key: mailboxes. No identify: nothing is told that need not be.
#[derive(NetworkBehaviour)]
pub(super) struct Throwaway {
    pub(super) limits: connection_limits::Behaviour,
    pub(super) gate: Gate,
    pub(super) ping: ping::Behaviour,
    pub(super) mailbox: mailbox::Behaviour,
}
