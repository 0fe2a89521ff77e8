//! `kith demo`: a development relay and two people's nodes, in one process.

use std::path::Path;

use anyhow::Context;

use super::{RunningNode, init_log, start};
use crate::api::dto::{EventBody, InviteKind, RegistrationState, RequestState};
use crate::cli::browser;
use crate::config::{DemoConfig, NodeConfig};
use crate::handle::{EventFeed, Node};

/// The two people, and what they register with.
const PEOPLE: [(&str, &str); 2] = [("Ada", "ada@example.org"), ("Ben", "ben@example.org")];

/// Runs the demonstration until Ctrl-C.
///
/// # Errors
/// When a part of it does not start, or fails later.
pub async fn run_demo(options: DemoConfig) -> anyhow::Result<()> {
    init_log(&options.log)?;
    let temporary = match &options.dir {
        Some(_) => None,
        None => Some(TemporaryFolder::new()?),
    };
    let folder = match (&options.dir, &temporary) {
        (Some(folder), _) => folder.clone(),
        (None, Some(temporary)) => temporary.0.clone(),
        (None, None) => anyhow::bail!("no folder for the demonstration"),
    };
    // Each of the two stops by itself.
    let (ada_stops, ben_stops) = (bootstrap::stop_signal(), bootstrap::stop_signal());
    let mut stop = std::pin::pin!(bootstrap::stop_signal());
    let (relay, running) = tokio::select! {
        ready = set_up(&options, &folder) => ready?,
        () = &mut stop => return Ok(()),
    };
    let mut nodes = running.into_iter().map(|(_, _, node)| node);
    let (Some(ada), Some(ben)) = (nodes.next(), nodes.next()) else {
        anyhow::bail!("two people were started");
    };
    let (one, other) = tokio::join!(ada.run(ada_stops), ben.run(ben_stops));
    relay.shutdown().await?;
    one.and(other)
}

/// Two people of the demonstration, each with their node.
type People = Vec<(&'static str, NodeConfig, RunningNode)>;

/// Starts the relay and both nodes, registers them, and says where they are.
async fn set_up(
    options: &DemoConfig,
    folder: &Path,
) -> anyhow::Result<(bootstrap::RelayHandle, People)> {
    let relay_config = bootstrap::Config::development(folder.join("relay"));
    let relay = bootstrap::Relay::start(relay_config).await.context("the relay did not start")?;
    let address = relay.addresses.first().context("the relay has no address")?.to_string();

    let mut running = Vec::new();
    for (name, identifier) in PEOPLE {
        let config = config_of(options, folder, name, &address);
        let node = start(&config).await.with_context(|| format!("{name}'s node did not start"))?;
        match node.locked {
            true => println!("{name}'s vault is locked: unlock it in the browser."),
            false => enter(&node.node, &address, name, identifier).await?,
        }
        running.push((name, config, node));
    }
    let [(_, _, ada), (_, _, ben)] = running.as_slice() else {
        anyhow::bail!("two people were started");
    };
    if options.connected && !ada.locked && !ben.locked {
        connect(&ada.node, &ben.node).await?;
    }
    welcome(options, folder, &running).await;
    Ok((relay, running))
}

fn config_of(options: &DemoConfig, folder: &Path, name: &str, relay: &str) -> NodeConfig {
    let profile = name.to_lowercase();
    let data_dir = folder.join(&profile);
    NodeConfig {
        profile,
        runtime_dir: data_dir.join("run"),
        data_dir,
        // A folder that stays keeps its ports, and so its browsers' sign-ins.
        port: if options.dir.is_some() { None } else { Some(0) },
        relays: vec![relay.to_owned()],
        listen: vec!["/ip4/127.0.0.1/tcp/0".into(), "/ip4/127.0.0.1/udp/0/quic-v1".into()],
        lan: false,
        open_browser: options.open_browser,
        ui_dir: options.ui_dir.clone(),
        host_relay: false,
        log: options.log.clone(),
    }
}

/// Registers a person through the real OTP path, unless they are there already.
///
/// # Errors
/// When the relay shows no code, as one that is not for development does not, or refuses.
pub async fn enter(node: &Node, relay: &str, name: &str, identifier: &str) -> anyhow::Result<()> {
    let current = node.registration().current().await?;
    let here = current.relay.is_some_and(|summary| summary.address == relay);
    if !here || current.state != RegistrationState::Registered {
        let registration = node.registration();
        let asked = Some(relay.to_owned());
        let challenge = registration.challenge(asked, identifier.to_owned(), None).await?;
        let code = challenge.development_code.context("a development relay shows its codes")?;
        registration.verify(&challenge.id, &code).await?;
    }
    if node.profile().me().await?.name.is_none() {
        node.profile().update(Some(name.to_owned()), None).await?;
    }
    Ok(())
}

/// Makes the two contacts of each other, the way two people would, unless Ada has a contact.
///
/// # Errors
/// When a step of theirs is refused, or a node stops.
pub async fn connect(ada: &Node, ben: &Node) -> anyhow::Result<()> {
    if !ada.contacts().list().await?.is_empty() {
        return Ok(());
    }
    let mut at_ada = ada.events().subscribe(None).await?;
    let mut at_ben = ben.events().subscribe(None).await?;
    let invite = ada.invites().create(InviteKind::InPerson, String::new(), None).await?;
    let text = invite.text.context("a new invite has a code")?;
    ben.invites().redeem(&text).await?;
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

async fn welcome(options: &DemoConfig, folder: &Path, running: &[(&str, NodeConfig, RunningNode)]) {
    println!("Kith demo: a relay and two people, all on this computer.\n");
    for (name, config, node) in running {
        let link = node.api.login_link().url;
        println!("  {name}  {link}");
        if options.open_browser
            && let Err(error) = browser::open(&config.runtime_dir, &link).await
        {
            println!("       ({error}) {}", browser::instructions(&link));
        }
    }
    println!();
    match options.connected {
        true => println!("Ada and Ben are connected: write something."),
        false => println!(
            "Let them meet: in Ada's window choose “Show my code” and copy it; in Ben's choose \
             “Scan a code” and paste it. Then accept Ben in Ada's window."
        ),
    }
    match options.dir {
        Some(_) => println!("Everything is kept in {}.", folder.display()),
        None => println!("Everything is gone when this ends; “--dir FOLDER” keeps it."),
    }
    println!("Ctrl-C stops all three.");
}

/// A folder that goes with the demonstration.
#[derive(Debug)]
struct TemporaryFolder(std::path::PathBuf);

impl TemporaryFolder {
    fn new() -> anyhow::Result<Self> {
        let name = data_encoding::HEXLOWER.encode(&rand::random::<[u8; 8]>());
        let folder = std::env::temp_dir().join(format!("kith-demo-{name}"));
        std::fs::create_dir(&folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
        Ok(Self(folder))
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("The folder {} could not be removed: {error}", self.0.display());
        }
    }
}
