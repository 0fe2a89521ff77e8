//! STUN and TURN of a real relay, as a browser uses them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bootstrap::Config;
use bootstrap::config::Turn;
use protocol::time::MINUTE;
use protocol::turn::{Credentials, TurnRefusal, TurnResponse};
use stun::agent::TransactionId;
use stun::message::{BINDING_REQUEST, Message, Setter};
use tokio::net::UdpSocket;
use turn::client::{Client, ClientConfig};
use webrtc_util::Conn;

use crate::abuse::{production, row};
use crate::bench::{Bench, Member};
use crate::client::soon;
use crate::running::health;

fn carries_calls(config: &mut Config) {
    config.health = Some(([127, 0, 0, 1], 0).into());
    config.admin = Some(([127, 0, 0, 1], 0).into());
    config.turn = Some(Turn {
        listen: ([127, 0, 0, 1], 0).into(),
        first_port: 0,
        last_port: 0,
        ..Turn::default()
    });
}

async fn granted(member: &Member) -> Credentials {
    match member.client.turn().await {
        TurnResponse::Granted(credentials) => credentials,
        TurnResponse::Refused(why) => panic!("{why}"),
    }
}

/// A browser with these credentials.
struct Browser {
    client: Client,
}

impl Browser {
    async fn of(member: &Member) -> Self {
        let Credentials { username, password, servers, .. } = granted(member).await;
        Self::with(&server_in(&servers), username, password).await
    }

    async fn with(server: &str, username: String, password: String) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let config = ClientConfig {
            stun_serv_addr: server.into(),
            turn_serv_addr: server.into(),
            username,
            password,
            realm: String::new(),
            software: String::new(),
            rto_in_ms: 0,
            conn: Arc::new(socket),
            vnet: None,
        };
        let client = Client::new(config).await.unwrap();
        client.listen().await.unwrap();
        Self { client }
    }

    async fn allocate(&self) -> Result<impl Conn + use<>, turn::Error> {
        soon("an allocation", self.client.allocate()).await
    }
}

/// Host and port of the TURN server that is told.
fn server_in(servers: &[String]) -> String {
    let turn = servers.iter().find_map(|server| server.strip_prefix("turn:")).unwrap();
    turn.strip_suffix("?transport=udp").unwrap().to_owned()
}

async fn heard(allocation: &impl Conn) -> Vec<u8> {
    let mut buffer = [0; 1_500];
    let (bytes, _) = soon("a datagram", allocation.recv_from(&mut buffer)).await.unwrap();
    buffer[..bytes].to_vec()
}

/// What is counted under this name.
async fn counted(bench: &Bench, name: &str) -> u64 {
    let metrics = health(bench, "/metrics").await;
    let line = metrics.lines().find_map(|line| line.strip_prefix(&format!("kith_relay_{name} ")));
    line.map_or(0, |count| count.parse().unwrap())
}

#[tokio::test]
async fn two_people_who_reach_each_other_in_no_other_way_hear_each_other() {
    let bench = Bench::with(carries_calls).await;
    let (ada, ben) = (bench.member(1).await, bench.member(2).await);
    let (adas, bens) = (Browser::of(&ada).await, Browser::of(&ben).await);
    let mapped = soon("an address", adas.client.send_binding_request()).await.unwrap();
    assert!(mapped.ip().is_loopback(), "{mapped}");
    let (adas, bens) = (adas.allocate().await.unwrap(), bens.allocate().await.unwrap());
    let (to_ada, to_ben) = (adas.local_addr().unwrap(), bens.local_addr().unwrap());
    // What nobody waits for costs them nothing.
    let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for _ in 0..50 {
        stranger.send_to(&[7; 1_000], to_ada).await.unwrap();
    }
    // Each side lets the other in by writing; whether "one" came in time is not ours to say.
    adas.send_to(b"one", to_ben).await.unwrap();
    bens.send_to(b"two", to_ada).await.unwrap();
    assert_eq!(heard(&adas).await, b"two");
    adas.send_to(b"three", to_ben).await.unwrap();
    while heard(&bens).await != b"three" {}
    assert_eq!(counted(&bench, "turn_allocations").await, 2);
    let carried = counted(&bench, "turn_carried_bytes_total").await;
    assert!((13..=22).contains(&carried), "{carried} bytes for eleven, out and in");
}

#[tokio::test]
async fn a_relay_behind_a_router_carries_between_its_own() {
    let bench = Bench::with(|config| {
        carries_calls(config);
        let external_ip = Some([192, 0, 2, 1].into());
        config.turn = Some(Turn { external_ip, ..config.turn.clone().unwrap() });
    })
    .await;
    let server = bench.relay.turn.unwrap();
    assert_eq!(server.ip().to_string(), "192.0.2.1");
    let here = format!("127.0.0.1:{}", server.port());
    let mut browsers = Vec::new();
    for byte in [1, 2] {
        let member = bench.member(byte).await;
        let Credentials { username, password, .. } = granted(&member).await;
        browsers.push(Browser::with(&here, username, password).await);
    }
    let (adas, bens) =
        (browsers[0].allocate().await.unwrap(), browsers[1].allocate().await.unwrap());
    let (to_ada, to_ben) = (adas.local_addr().unwrap(), bens.local_addr().unwrap());
    assert_eq!(to_ada.ip().to_string(), "192.0.2.1");
    adas.send_to(b"one", to_ben).await.unwrap();
    bens.send_to(b"two", to_ada).await.unwrap();
    let mut buffer = [0; 16];
    let (bytes, from) = soon("a datagram", adas.recv_from(&mut buffer)).await.unwrap();
    assert_eq!((&buffer[..bytes], from), (b"two".as_slice(), to_ben));
}

#[tokio::test]
async fn a_call_ends_within_seconds_of_its_accounts_suspension() {
    let bench = Bench::with(carries_calls).await;
    let ada = bench.member(1).await;
    let browser = Browser::of(&ada).await;
    let _allocation = browser.allocate().await.unwrap();
    assert_eq!(counted(&bench, "turn_allocations").await, 1);
    crate::admin::told(&bench, &["suspend", &ada.account()]).await;
    soon("its end", async { while counted(&bench, "turn_allocations").await > 0 {} }).await;
}

#[tokio::test]
async fn credentials_are_for_who_is_admitted_and_where_calls_are_carried() {
    let bench = Bench::start().await;
    let refused = TurnResponse::Refused(TurnRefusal::NotOffered);
    assert_eq!(bench.member(1).await.client.turn().await, refused);
    let bench = Bench::with(carries_calls).await;
    let eve = Member::connect(66, &bench.tcp()).await;
    assert_eq!(eve.client.turn().await, TurnResponse::Refused(TurnRefusal::NotAdmitted));
    let bench = Bench::with(|config| {
        carries_calls(config);
        let secret = config.data_dir.join("turn.secret");
        std::fs::write(&secret, "s3cret\n").unwrap();
        let servers = vec!["turns:turn.example.org:443?transport=tcp".into()];
        let secret_file = Some(secret);
        config.turn = Some(Turn { servers, secret_file, ..config.turn.clone().unwrap() });
    })
    .await;
    assert!(bench.relay.turn.is_none(), "it serves none itself");
    let told = granted(&bench.member(1).await).await;
    assert_eq!(told.servers, ["turns:turn.example.org:443?transport=tcp"]);
}

/// The rows of the table of abuse that are about calls.
pub(crate) async fn abuse() {
    let bench = Bench::with(|config| {
        production(config);
        carries_calls(config);
    })
    .await;
    let server = bench.relay.turn.unwrap();
    let ada = bench.member(1).await;
    credentials(&bench, &ada).await;
    through_the_relay(&bench, &ada).await;
    many(&ada, server).await;
}

async fn credentials(bench: &Bench, ada: &Member) {
    let told = granted(ada).await;
    let server = server_in(&told.servers);
    let made_up = told.username.replace(':', ":0");
    let mut tries = vec![
        (made_up.clone(), told.password.clone()),
        (told.username.clone(), "guessed".into()),
        (told.username.clone(), String::new()),
        (String::new(), told.password.clone()),
    ];
    // What somebody found in a browser, later.
    bench.pass(6 * MINUTE);
    tries.push((told.username.clone(), told.password.clone()));
    let tried = tries.len();
    for (username, password) in tries {
        let browser = Browser::with(&server, username, password).await;
        assert!(browser.allocate().await.is_err());
    }
    let made = counted(bench, "turn_allocations").await;
    assert_eq!(made, 0);
    row("TURN with made-up, wrong and old credentials", tried, "none was given an allocation");
}

/// Somebody with an account uses the relay to reach what only the relay reaches.
async fn through_the_relay(bench: &Bench, eve: &Member) {
    let target = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let browser = Browser::of(eve).await;
    let allocation = browser.allocate().await.unwrap();
    let port = target.local_addr().unwrap().port();
    let mut targets: Vec<SocketAddr> = ["127.0.0.1", "127.0.0.2", "0.0.0.0", "10.0.0.1"]
        .into_iter()
        .chain(["192.168.1.1", "172.16.0.1", "169.254.169.254", "100.64.0.1", "224.0.0.1"])
        .map(|ip| SocketAddr::new(ip.parse().unwrap(), port))
        .collect();
    // The relay's own doors.
    targets.extend([bench.relay.turn.unwrap(), bench.relay.admin.unwrap()]);
    for target in &targets {
        allocation.send_to(b"open", *target).await.unwrap();
    }
    let counter = r#"turn_total{end="peer"}"#;
    let all = targets.len() as u64;
    soon("all to be dropped", async { while counted(bench, counter).await < all {} }).await;
    let mut buffer = [0; 16];
    assert!(target.try_recv_from(&mut buffer).is_err(), "somebody was reached");
    row("private addresses and the relay's own by TURN", targets.len(), "none was reached");
    drop(allocation);
    browser.client.close().await.unwrap();
}

async fn many(eve: &Member, server: SocketAddr) {
    // One set of credentials in many browsers.
    let told = granted(eve).await;
    let mut kept = Vec::new();
    let asked = 30;
    for _ in 0..asked {
        let Credentials { username, password, .. } = told.clone();
        let browser = Browser::with(&server.to_string(), username, password).await;
        if let Ok(allocation) = browser.allocate().await {
            kept.push((browser, allocation));
        }
    }
    // The one before may have ended, or not.
    let stand = kept.len();
    assert!((11..=12).contains(&stand), "{stand} allocations of one account");
    row("allocations of one account", asked, "12 stood");

    let [stranger, somebody] =
        ["127.0.0.2:0", "127.0.0.3:0"].map(|at| std::net::UdpSocket::bind(at).unwrap());
    let (rounds, burst) = (200u32, 100);
    let (mut answered, mut slowest, mut buffer) = (0u32, Duration::ZERO, [0; 256]);
    stranger.set_nonblocking(true).unwrap();
    somebody.set_nonblocking(true).unwrap();
    let somebody = UdpSocket::from_std(somebody).unwrap();
    let started = Instant::now();
    for _ in 0..rounds {
        for _ in 0..burst {
            stranger.send_to(&binding_request(), server).unwrap();
        }
        // Behind all of those, and once only: whoever is kept out waits for ever.
        let begun = Instant::now();
        somebody.send_to(&binding_request(), server).await.unwrap();
        soon("an answer", somebody.recv_from(&mut buffer)).await.unwrap();
        slowest = slowest.max(begun.elapsed());
        while stranger.recv_from(&mut buffer).is_ok() {
            answered += 1;
        }
    }
    // 200 at once, and 50 a second.
    let most = 200 + 50 * (started.elapsed().as_secs() as u32 + 1);
    assert!(answered <= most, "{answered} answers, {most} at most");
    let waited = slowest.as_millis();
    row(
        "STUN requests of one stranger at once",
        rounds * burst,
        &format!("{answered} were answered; somebody else always was, within {waited} ms"),
    );
}

fn binding_request() -> Vec<u8> {
    let mut message = Message::new();
    let parts: [Box<dyn Setter>; 2] = [Box::new(TransactionId::new()), Box::new(BINDING_REQUEST)];
    message.build(&parts).unwrap();
    message.raw
}
