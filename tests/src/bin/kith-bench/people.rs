//! Ada and Ben: two real nodes on loopback, with real stores, each on a runtime of its own, both
//! registered at a relay as they would be.

use std::path::Path;

use anyhow::Context;
use bootstrap::{Relay, RelayHandle};
use node::app::{self, RunningNode, demo};
use node::config::NodeConfig;
use tokio::runtime::Handle;

use crate::Transport;

/// Two nodes whose people are contacts.
pub(crate) struct People {
    pub(crate) ada: RunningNode,
    ben: RunningNode,
    relay: RelayHandle,
    /// Ada's conversation with Ben.
    pub(crate) chat: String,
}

impl People {
    /// Starts both, Ben on `elsewhere`, and lets them meet.
    pub(crate) async fn start(
        folder: &Path,
        elsewhere: &Handle,
        transport: Transport,
    ) -> anyhow::Result<Self> {
        let relay_config = bootstrap::Config::development(folder.join("relay"));
        let relay = elsewhere.spawn(Relay::start(relay_config)).await??;
        let address = relay.addresses.first().context("the relay has no address")?.to_string();
        let ada = app::start(&config(folder, "ada", transport)).await?;
        let theirs = config(folder, "ben", transport);
        let ben = elsewhere.spawn(async move { app::start(&theirs).await }).await??;
        for (node, name) in [(&ada.node, "Ada"), (&ben.node, "Ben")] {
            demo::enter(node, &address, name, &format!("{name}@example.org")).await?;
        }
        demo::connect(&ada.node, &ben.node).await?;
        let chats = ada.node.chats().list().await?;
        let chat = chats.first().context("no conversation")?.id.clone();
        Ok(Self { ada, ben, relay, chat })
    }

    /// Stops everything.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.ada.stop().await?;
        self.ben.stop().await?;
        Ok(self.relay.shutdown().await?)
    }
}

fn config(folder: &Path, profile: &str, transport: Transport) -> NodeConfig {
    let data_dir = folder.join(profile);
    let listen = match transport {
        Transport::Tcp => "/ip4/127.0.0.1/tcp/0",
        Transport::Quic => "/ip4/127.0.0.1/udp/0/quic-v1",
    };
    NodeConfig {
        profile: profile.to_owned(),
        runtime_dir: data_dir.join("run"),
        data_dir,
        port: Some(0),
        relays: Vec::new(),
        listen: vec![listen.to_owned()],
        lan: false,
        open_browser: false,
        ui_dir: None,
        host_relay: false,
        log: "off".to_owned(),
    }
}
