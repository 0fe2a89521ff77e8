//! One code, two scanners, the same instant.
//!
//! The joiners are nodes of this process, a fresh pair for each trial: what races is their
//! network and the inviter's engine, and hundreds of processes would only slow that down.

use std::path::{Path, PathBuf};

use futures::StreamExt;
use node::api::dto::{Direction, EventBody, InviteKind, InviteState, Request, RequestState};
use node::app::{self, RunningNode};
use node::config::NodeConfig;
use node::handle::Node;
use tokio::sync::Barrier;
use tokio::time::timeout;

use kith_tests::process::PATIENCE;

use super::setting;

/// Trials that run at once.
const AT_ONCE: usize = 4;

async fn node(folder: PathBuf, relay: &str) -> RunningNode {
    let config = NodeConfig {
        profile: "test".to_owned(),
        runtime_dir: folder.join("run"),
        data_dir: folder,
        port: Some(0),
        relays: vec![relay.to_owned()],
        listen: vec!["/ip4/127.0.0.1/tcp/0".to_owned()],
        lan: false,
        open_browser: false,
        ui_dir: None,
        host_relay: false,
        log: "off".to_owned(),
    };
    app::start(&config).await.unwrap()
}

async fn person(folder: PathBuf, relay: &str, name: String) -> RunningNode {
    let running = node(folder, relay).await;
    let registration = running.node.registration();
    let identifier = format!("{name}@example.org");
    let challenge = registration.challenge(Some(relay.to_owned()), identifier, None).await.unwrap();
    let code = challenge.development_code.unwrap();
    registration.verify(&challenge.id, &code).await.unwrap();
    running.node.profile().update(Some(name), None).await.unwrap();
    running
}

/// Scans when everybody is ready, and says how it ended: held by the inviter, or gone.
async fn scan(node: &Node, text: &str, start: &Barrier) -> RequestState {
    let mut feed = node.events().subscribe(None).await.unwrap();
    start.wait().await;
    node.invites().redeem(text).await.unwrap();
    let answered = async {
        loop {
            let EventBody::RequestChanged(Request { state, .. }) = feed.next().await.unwrap().body
            else {
                continue;
            };
            if !matches!(state, RequestState::Looking | RequestState::Asking) {
                return state;
            }
        }
    };
    timeout(PATIENCE, answered).await.expect("an answer to every scan")
}

/// What one trial came to.
struct Trial {
    failed_tries: u32,
    crossed: bool,
}

async fn trial(ada: &Node, folder: &Path, relay: &str, number: u64) -> Trial {
    let place = |name: &str| folder.join(format!("{name}{number}"));
    let (ben, eve) = tokio::join!(
        person(place("ben"), relay, format!("ben{number}")),
        person(place("eve"), relay, format!("eve{number}")),
    );
    let invite =
        ada.invites().create(InviteKind::InPerson, format!("trial {number}"), None).await.unwrap();
    let text = invite.text.unwrap();
    let start = Barrier::new(2);
    let (at_ben, at_eve) =
        tokio::join!(scan(&ben.node, &text, &start), scan(&eve.node, &text, &start));
    let (winner, crossed) = match (at_ben, at_eve) {
        (RequestState::Waiting | RequestState::Held, RequestState::Gone) => (&ben.node, false),
        (RequestState::Gone, RequestState::Waiting | RequestState::Held) => (&eve.node, true),
        other => panic!("trial {number} ended as {other:?}"),
    };
    let winner = winner.profile().me().await.unwrap().account;

    let ledger = ada.invites().get(&invite.id).await.unwrap();
    assert_eq!(ledger.state, InviteState::Claimed, "trial {number}");
    assert_eq!(ledger.claimed_by.unwrap().account, winner, "trial {number}");
    let requests =
        ada.requests().list(Some(Direction::Incoming.as_str().to_owned())).await.unwrap();
    let of_this: Vec<_> = requests
        .into_iter()
        .filter(|request| request.invite_id.as_deref() == Some(&invite.id))
        .collect();
    assert_eq!(of_this.len(), 1, "trial {number}");
    assert_eq!((&of_this[0].account, of_this[0].state), (&winner, RequestState::Held));
    assert!(ledger.failed_tries > 0, "trial {number}: the ledger does not show the second scan");
    ben.stop().await.unwrap();
    eve.stop().await.unwrap();
    Trial { failed_tries: ledger.failed_tries, crossed }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_scan_a_code_at_the_same_instant_exactly_one_wins_and_the_ledger_shows_both() {
    let trials = setting("KITH_TRIALS", 20);
    let folder = tempfile::tempdir().unwrap();
    let config = bootstrap::Config::development(folder.path().join("relay"));
    let relay = bootstrap::Relay::start(config).await.unwrap();
    let address = relay.addresses[0].to_string();
    let ada = person(folder.path().join("ada"), &address, "ada".to_owned()).await;

    let (inviter, place, address) = (&ada.node, folder.path(), address.as_str());
    let outcomes: Vec<Trial> = futures::stream::iter(0..trials)
        .map(|number| trial(inviter, place, address, number))
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let second_won = outcomes.iter().filter(|trial| trial.crossed).count();
    let tries: u32 = outcomes.iter().map(|trial| trial.failed_tries).sum();
    println!(
        "{trials} trials: one winner in each, the first joiner {} times, the second {second_won} \
         times; {tries} failed tries in the ledger",
        outcomes.len() - second_won
    );
    ada.stop().await.unwrap();
    relay.shutdown().await.unwrap();
}
