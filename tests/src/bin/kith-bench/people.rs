//! Ada and Ben: two real nodes on loopback, with real stores, each on a runtime of its own, both
//! registered at a relay as they would be.

use std::path::Path;

use anyhow::Context;
use bootstrap::{Relay, RelayHandle};
use node::api::dto::{EventBody, InviteKind, RequestState};
use node::app::{self, RunningNode};
use node::config::NodeConfig;
use node::handle::{EventFeed, Node};
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
            register(node, &address, name).await?;
        }
        meet(&ada.node, &ben.node).await?;
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

async fn register(node: &Node, relay: &str, name: &str) -> anyhow::Result<()> {
    let identifier = format!("{}@example.org", name.to_lowercase());
    let challenge = node.registration().challenge(Some(relay.to_owned()), identifier, None).await?;
    let code = challenge.development_code.context("a development relay shows its codes")?;
    node.registration().verify(&challenge.id, &code).await?;
    node.profile().update(Some(name.to_owned()), None).await?;
    Ok(())
}

async fn meet(ada: &Node, ben: &Node) -> anyhow::Result<()> {
    let mut at_ada = ada.events().subscribe(None).await?;
    let mut at_ben = ben.events().subscribe(None).await?;
    let invite = ada.invites().create(InviteKind::InPerson, String::new(), None).await?;
    ben.invites().redeem(&invite.text.context("a new invite has a code")?).await?;
    let request = loop {
        if let EventBody::RequestChanged(request) = next(&mut at_ada).await?
            && request.state == RequestState::Held
        {
            break request;
        }
    };
    ada.requests().accept(&request.id).await?;
    loop {
        if let EventBody::ContactChanged(_) = next(&mut at_ben).await? {
            return Ok(());
        }
    }
}

async fn next(feed: &mut EventFeed) -> anyhow::Result<EventBody> {
    Ok(feed.next().await.context("a node stopped")?.body)
}
