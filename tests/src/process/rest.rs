//! A client of the local API: what a browser's tab does, without the tab.

use std::time::Duration;

use anyhow::{Context, bail};
use node::api::dto::Problem;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout_at};

use super::PATIENCE;

/// Longest time that one request may take.
const REQUEST: Duration = Duration::from_secs(30);

/// Longest time between two looks at something that is awaited.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// The API said no.
#[derive(Debug, thiserror::Error)]
#[error("{status}: {code}: {detail}")]
pub struct Refused {
    /// The status.
    pub status: StatusCode,
    /// The problem's name.
    pub code: String,
    /// Its sentence.
    pub detail: String,
}

/// Speaks to one node.
#[derive(Clone, Debug)]
pub struct Rest {
    http: reqwest::Client,
    base: String,
    token: String,
}

impl Rest {
    /// A client of the node at `address`, signed in by `token`.
    ///
    /// # Errors
    /// When there can be no client.
    pub fn new(address: &str, token: &str) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().no_proxy().build()?;
        Ok(Self { http, base: format!("{address}/api/v1"), token: token.to_owned() })
    }

    /// The same node under another token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: token.to_owned(), ..self.clone() }
    }

    /// The token.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// `GET`.
    ///
    /// # Errors
    /// [`Refused`], or that nobody answers.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        parsed(self.send(self.request(Method::GET, path)).await?).await
    }

    /// `POST`, answered with JSON.
    ///
    /// # Errors
    /// [`Refused`], or that nobody answers.
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        parsed(self.send(self.request(Method::POST, path).json(body)).await?).await
    }

    /// Any method with a body, whose answer is not looked at.
    ///
    /// # Errors
    /// [`Refused`], or that nobody answers.
    pub async fn tell(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<()> {
        self.send(self.request(method, path).json(body)).await.map(drop)
    }

    /// `PUT` of bytes, whose answer is not looked at.
    ///
    /// # Errors
    /// [`Refused`], or that nobody answers.
    pub async fn put_bytes(&self, path: &str, bytes: Vec<u8>) -> anyhow::Result<()> {
        let request = self.request(Method::PUT, path);
        let request = request.header("content-type", "application/octet-stream").body(bytes);
        self.send(request).await.map(drop)
    }

    /// Follows what happens from now on.
    ///
    /// # Errors
    /// [`Refused`], or that nobody answers.
    pub async fn events(&self) -> anyhow::Result<Feed> {
        let request = self.http.get(format!("{}/events", self.base)).bearer_auth(&self.token);
        let mut feed = Feed { response: accepted(request.send().await?).await?, lines: Vec::new() };
        // `hello`: from here on nothing is missed.
        feed.next().await?.context("the event stream ended before it began")?;
        Ok(feed)
    }

    /// Asks now, and again after whatever happens, until `found` finds something.
    ///
    /// # Errors
    /// What `found` fails with, or that it found nothing in [`PATIENCE`].
    pub async fn until<T>(
        &self,
        what: &str,
        mut found: impl AsyncFnMut(&Self) -> anyhow::Result<Option<T>>,
    ) -> anyhow::Result<T> {
        let deadline = Instant::now() + PATIENCE;
        let mut feed = self.events().await?;
        loop {
            if let Some(found) = found(self).await? {
                return Ok(found);
            }
            // Not all that is asked for is announced.
            let again = Instant::now() + ASK_AGAIN;
            match timeout_at(again.min(deadline), feed.burst()).await {
                Ok(heard) => heard.with_context(|| format!("waiting for {what}"))?,
                Err(_) if again < deadline => {}
                Err(_) => bail!("{what} did not happen in {PATIENCE:?}"),
            }
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        request.bearer_auth(&self.token).timeout(REQUEST)
    }

    /// Sends, and waits where the node asks for patience.
    async fn send(&self, request: RequestBuilder) -> anyhow::Result<Response> {
        loop {
            let again = request.try_clone().context("a body that can be sent again")?;
            let response = again.send().await?;
            let wait = (response.status() == StatusCode::TOO_MANY_REQUESTS)
                .then(|| response.headers().get("retry-after")?.to_str().ok()?.parse().ok())
                .flatten()
                .filter(|seconds| *seconds <= 2);
            match wait {
                Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
                None => return accepted(response).await,
            }
        }
    }
}

async fn accepted(response: Response) -> anyhow::Result<Response> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let problem: Problem = response.json().await?;
    Err(Refused { status, code: problem.code, detail: problem.detail }.into())
}

async fn parsed<T: DeserializeOwned>(response: Response) -> anyhow::Result<T> {
    let body = response.bytes().await?;
    serde_json::from_slice(&body)
        .with_context(|| format!("not what was asked for: {}", String::from_utf8_lossy(&body)))
}

/// The event stream.
#[derive(Debug)]
pub struct Feed {
    response: Response,
    lines: Vec<u8>,
}

impl Feed {
    /// The next event; `None` when the node has stopped.
    ///
    /// # Errors
    /// When it is no JSON.
    pub async fn next(&mut self) -> anyhow::Result<Option<serde_json::Value>> {
        loop {
            if let Some(line) = self.line() {
                match line.strip_prefix("data:") {
                    Some(data) => return Ok(Some(serde_json::from_str(data)?)),
                    None => continue,
                }
            }
            match self.response.chunk().await {
                Ok(Some(chunk)) => self.lines.extend_from_slice(&chunk),
                Ok(None) | Err(_) => return Ok(None),
            }
        }
    }

    /// Waits for an event, and takes what came with it.
    async fn burst(&mut self) -> anyhow::Result<()> {
        self.next().await?.context("the node stopped")?;
        // What is in hand already says nothing more about now.
        while self.line().is_some() {}
        Ok(())
    }

    fn line(&mut self) -> Option<String> {
        let end = self.lines.iter().position(|byte| *byte == b'\n')?;
        let line: Vec<u8> = self.lines.drain(..=end).collect();
        Some(String::from_utf8_lossy(&line).trim_end().to_owned())
    }
}
