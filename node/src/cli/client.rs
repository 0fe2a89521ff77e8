//! The command line's side of the local API.
//!
//! It finds its node by the token file in the profile's runtime folder, and speaks the API that
//! the browser speaks.

use std::fmt;
use std::time::Duration;

use bootstrap::token_file;
use futures::StreamExt;
use reqwest::{Method, RequestBuilder, Response, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::error::CliError;
use super::picture::Picture;
use crate::api::TOKEN_FILES;
use crate::api::dto::Problem;
use crate::config::Places;

/// For a whole answer; longer than the node's own bound.
const ANSWER: Duration = Duration::from_secs(70);
/// For loopback to accept.
const CONNECT: Duration = Duration::from_secs(3);
/// The longest line of an event stream, in bytes.
const LINE_BYTES: usize = 1024 * 1024;

/// A running node.
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    token: Zeroizing<String>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("base", &self.base).finish_non_exhaustive()
    }
}

impl Client {
    /// The node of a profile.
    ///
    /// # Errors
    /// `Unreachable` when none has left its token file.
    pub(super) fn of(places: &Places) -> Result<Self, CliError> {
        let (base, token) = token_file::read(&places.runtime_dir, TOKEN_FILES).ok_or_else(|| {
            let (profile, folder) = (&places.profile, places.data_dir.display());
            CliError::Unreachable(format!(
                "Kith is not running for the profile “{profile}” in {folder}. Start it with “kith up”."
            ))
        })?;
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(|error| CliError::Failed(error.to_string()))?;
        Ok(Self { http, base, token })
    }

    /// What a GET answers.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CliError> {
        read(self.send(self.request(Method::GET, path)).await?).await
    }

    /// What a POST without a body answers.
    pub(super) async fn post_empty<T: DeserializeOwned>(&self, path: &str) -> Result<T, CliError> {
        read(self.send(self.request(Method::POST, path)).await?).await
    }

    /// What a POST answers. It carries a fresh `Idempotency-Key`.
    pub(super) async fn post<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, CliError> {
        let key = Uuid::now_v7().to_string();
        let request = self.request(Method::POST, path).header("idempotency-key", key).json(body);
        read(self.send(request).await?).await
    }

    /// What a POST of a picture answers.
    pub(super) async fn send_picture<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        picture: Picture,
    ) -> Result<T, CliError> {
        let Picture { kind, bytes } = picture;
        let request = self.request(method, path).header(header::CONTENT_TYPE, kind).body(bytes);
        read(self.send(request).await?).await
    }

    /// What a change answers that may be repeated as it is: a PUT or a DELETE.
    pub(super) async fn change<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&B>,
    ) -> Result<T, CliError> {
        let request = self.request(method, path);
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        read(self.send(request).await?).await
    }

    /// A request whose answer says nothing.
    pub(super) async fn act(&self, method: Method, path: &str) -> Result<(), CliError> {
        self.send(self.request(method, path)).await.map(drop)
    }

    /// A request with a body, whose answer says nothing.
    pub(super) async fn tell<B: Serialize + Sync>(
        &self,
        method: Method,
        path: &str,
        body: &B,
    ) -> Result<(), CliError> {
        self.send(self.request(method, path).json(body)).await.map(drop)
    }

    /// The data of every event after `since`, as JSON texts, given to `each` until it says stop
    /// (false) or the node ends the stream.
    pub(super) async fn events(
        &self,
        since: Option<u64>,
        mut each: impl FnMut(&str) -> Result<bool, CliError>,
    ) -> Result<(), CliError> {
        let query = since.map(|seq| format!("?since={seq}")).unwrap_or_default();
        let request = self
            .http
            .get(format!("{}/api/v1/events{query}", self.base))
            .bearer_auth(self.token.as_str())
            .header(header::ACCEPT, "text/event-stream");
        let mut stream = self.send(request).await?.bytes_stream();
        let mut lines = Lines::default();
        while let Some(chunk) = stream.next().await {
            lines.push(&chunk.map_err(|_| gone())?)?;
            while let Some(line) = lines.next() {
                let data = line.strip_prefix("data:").map(str::trim_start);
                if let Some(data) = data
                    && !each(data)?
                {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// What a GET answers, piece by piece, however long it takes.
    pub(super) async fn download(
        &self,
        path: &str,
        mut each: impl FnMut(&[u8]) -> std::io::Result<()>,
    ) -> Result<(), CliError> {
        let url = format!("{}/api/v1{path}", self.base);
        let request = self.http.get(url).bearer_auth(self.token.as_str());
        let mut stream = self.send(request).await?.bytes_stream();
        while let Some(piece) = stream.next().await {
            let piece = piece.map_err(|_| gone())?;
            each(&piece).map_err(|error| {
                CliError::Failed(format!("The backup cannot be written: {error}."))
            })?;
        }
        Ok(())
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}/api/v1{path}", self.base))
            .bearer_auth(self.token.as_str())
            .timeout(ANSWER)
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, CliError> {
        let response = request.send().await.map_err(|error| match error {
            error if error.is_timeout() && !error.is_connect() => CliError::TimedOut,
            _ => gone(),
        })?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        match response.json::<Problem>().await {
            Ok(problem) => Err(CliError::Refused(Box::new(problem))),
            Err(_) => Err(CliError::Failed(format!(
                "What answers at {} is not Kith: it said {status}.",
                self.base
            ))),
        }
    }
}

async fn read<T: DeserializeOwned>(response: Response) -> Result<T, CliError> {
    response.json().await.map_err(|error| match error {
        error if error.is_timeout() => CliError::TimedOut,
        error if error.is_decode() => CliError::Failed(
            "The node runs another version of Kith. Restart it, then try again.".to_owned(),
        ),
        _ => gone(),
    })
}

fn gone() -> CliError {
    CliError::Unreachable(
        "The node does not answer. If it stopped, start it with “kith up”.".to_owned(),
    )
}

/// Bytes of a stream, cut into lines of bounded length. Without `Debug`: events are in them.
#[derive(Default)]
struct Lines {
    buffer: Vec<u8>,
}

impl Lines {
    fn push(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        if self.buffer.len() + bytes.len() > LINE_BYTES {
            return Err(CliError::Failed("An event is longer than any should be.".to_owned()));
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    fn next(&mut self) -> Option<String> {
        let end = self.buffer.iter().position(|byte| *byte == b'\n')?;
        let line: Vec<u8> = self.buffer.drain(..=end).collect();
        Some(String::from_utf8_lossy(&line).trim_end().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_cut_into_lines_wherever_its_chunks_end() {
        let mut lines = Lines::default();
        lines.push(b"id: 1\nda").expect("short");
        assert_eq!(lines.next().as_deref(), Some("id: 1"));
        assert_eq!(lines.next(), None);
        lines.push(b"ta: {}\n\n").expect("short");
        assert_eq!(lines.next().as_deref(), Some("data: {}"));
        assert_eq!(lines.next().as_deref(), Some(""));
        assert_eq!(lines.next(), None);
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let mut lines = Lines::default();
        assert!(lines.push(&vec![b'x'; LINE_BYTES]).is_ok());
        assert!(lines.push(b"x").is_err());
    }
}
