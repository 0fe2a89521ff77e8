//! A node that lives for one test, and clients of its API.

use std::sync::Arc;

use crypto::Secret;
use crypto::vault::{KdfParams, Unlock, Vault};
use node::api::{self, ApiConfig, RunningApi};
use node::engine::{Clock, Effect, Engine, NetSink, Settings, SystemClock, spawn};
use node::handle::Node;
use node::net::NetCommand;
use node::store::{MemoryStore, SealedStore};
use reqwest::{Method, RequestBuilder, Response, StatusCode, header};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Takes what the node would send and lets it vanish: the node is offline.
struct Nowhere;

impl NetSink for Nowhere {
    fn offer(&self, _: NetCommand) -> Option<NetCommand> {
        None
    }
}

/// A running API.
pub(crate) struct Server {
    pub(crate) running: RunningApi,
    pub(crate) port: u16,
    pub(crate) token: String,
    pub(crate) folder: TempDir,
    http: reqwest::Client,
    shutdown: CancellationToken,
    // The engine stops when the network's end of this closes.
    _net: mpsc::Sender<node::net::NetEvent>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// What outlives a run of a node, in memory.
pub(crate) struct Profile {
    store: Arc<MemoryStore>,
    vault: Vault,
}

impl Profile {
    pub(crate) fn new() -> Self {
        let mut rng = rand::rng();
        let key = Secret::random(&mut rng);
        let vault = Vault::create(Unlock::DeviceKey(&key), KdfParams::default(), &mut rng);
        Self { store: Arc::default(), vault: vault.expect("a vault") }
    }

    /// A run of it.
    pub(crate) fn engine(&self) -> (Engine, Vec<Effect>) {
        let store = SealedStore::new(Arc::clone(&self.store) as _, &self.vault);
        let settings = Settings { profile: "test".into(), ..Settings::default() };
        Engine::start(store, settings, SystemClock.now(), &mut rand::rng()).expect("a store")
    }
}

/// A node in memory.
pub(crate) fn offline_node(
    profile: &Profile,
    shutdown: &CancellationToken,
) -> (Node, mpsc::Sender<node::net::NetEvent>) {
    let (engine, first) = profile.engine();
    let (sender, events) = mpsc::channel(8);
    let (handle, _task) =
        spawn(engine, first, Arc::new(SystemClock), (events, Nowhere), shutdown.clone());
    (Node::new(handle), sender)
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::of(&Profile::new()).await
    }

    pub(crate) async fn of(profile: &Profile) -> Self {
        let shutdown = CancellationToken::new();
        let (node, net) = offline_node(profile, &shutdown);
        let folder = tempfile::tempdir().expect("a folder");
        let config = ApiConfig {
            profile: "test".into(),
            port: 0,
            runtime_dir: folder.path().join("run"),
            ui_dir: None,
        };
        let running = api::serve(config, node, shutdown.clone()).await.expect("the API starts");
        let token =
            std::fs::read_to_string(folder.path().join("run/api-token")).expect("a token file");
        let port = running.address.port();
        // A connection each: the server ends the one whose body it refused, and to take that from
        // the pool again is a race.
        let http = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build();
        let http = http.expect("a client");
        Self { running, port, token, folder, http, shutdown, _net: net }
    }

    pub(crate) fn stop(&self) {
        self.shutdown.cancel();
    }

    /// A request without a token.
    pub(crate) fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("http://127.0.0.1:{}{path}", self.port))
    }

    /// A request with the command line's token.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.bare(method, &format!("/api/v1{path}")).bearer_auth(&self.token)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        Answer::of(self.request(Method::POST, path).json(&body)).await
    }

    /// Sends these bytes and reads until the server closes or has answered.
    pub(crate) async fn raw(&self, head: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.expect("connects");
        stream.write_all(head.as_bytes()).await.expect("writes");
        let mut answer = Vec::new();
        // A reset after the answer is as good as a close.
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// What stands behind `#login=` of a fresh link.
    pub(crate) fn login(&self) -> String {
        let url = self.running.login_link().url;
        url.split_once("#login=").expect("a login link").1.to_owned()
    }

    /// Signs a browser in.
    pub(crate) async fn sign_in(&self) -> String {
        let body = serde_json::json!({ "login": self.login() });
        let answer = Answer::of(self.bare(Method::POST, "/api/v1/session").json(&body)).await;
        answer.expect(StatusCode::CREATED)["token"].as_str().expect("a token").to_owned()
    }
}

/// An answer that was read whole.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: header::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) async fn of(request: RequestBuilder) -> Self {
        let response: Response = request.send().await.expect("an answer");
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = response.bytes().await.expect("a body");
        Self { status, headers, text: String::from_utf8_lossy(&bytes).into_owned() }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    /// The body of an answer with this status.
    pub(crate) fn expect(&self, status: StatusCode) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.json()
    }

    /// The code of a refusal; checks that it has the one shape.
    pub(crate) fn problem(&self) -> String {
        let kind = self.headers.get(header::CONTENT_TYPE).expect("a content type");
        assert_eq!(kind, "application/problem+json", "{}", self.text);
        let body = self.json();
        let code = body["code"].as_str().expect("a code").to_owned();
        assert_eq!(body["type"], format!("urn:kith:problem:{code}"));
        assert_eq!(body["status"], self.status.as_u16());
        assert_eq!(body["request_id"], self.header("x-request-id"));
        assert!(
            body["title"].is_string() && body["detail"].as_str().is_some_and(|d| d.len() > 10),
            "{body}"
        );
        code
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}
