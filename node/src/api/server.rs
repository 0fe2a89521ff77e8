//! The listeners, the connections and the order of the layers.
//!
//! 1. Binds 127.0.0.1 and, where there is one, `[::1]`, at one port; 2. hands every connection to
//!    HTTP/1.1 with a bounded head that has to arrive in time; 3. stops accepting when the node
//!    stops and lets open requests end.
//!
//! # Invariants
//! * Never listens anywhere but on loopback.
//! * A port of which only one half is free is a conflict: `localhost` could mean the other half.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::{Instrument, debug, info_span, warn};

use super::error::{ApiCode, ApiError};
use super::routes::node;
use super::state::Api;
use super::{ApiStartError, assets, auth, idempotency, limits, openapi, perimeter, respond};

/// Ports tried when any is good and the IPv6 half of one is taken.
const ATTEMPTS: usize = 8;
/// Before accepting again after the system refused to.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The listeners of a port, IPv4 first.
///
/// # Errors
/// When either half of the port is taken, or loopback cannot be bound.
pub(super) async fn bind(port: u16) -> Result<Vec<TcpListener>, ApiStartError> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        match bind_both(port).await {
            Err(error)
                if port == 0 && attempt < ATTEMPTS && error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                return Err(ApiStartError::PortTaken { port });
            }
            Err(error) => return Err(ApiStartError::Bind { port, source: error }),
            Ok(listeners) => return Ok(listeners),
        }
    }
}

async fn bind_both(port: u16) -> io::Result<Vec<TcpListener>> {
    let v4 = TcpListener::bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)).await?;
    let port = v4.local_addr()?.port();
    match TcpListener::bind(SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), port)).await {
        Ok(v6) => Ok(vec![v4, v6]),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(error),
        // No IPv6 on this machine.
        Err(_) => Ok(vec![v4]),
    }
}

/// All routes inside all layers, the outermost last.
pub(super) fn router(api: &Api) -> Router {
    openapi::router()
        .route("/healthz", get(node::get_health))
        .fallback(assets::serve)
        .layer(from_fn_with_state(api.clone(), idempotency::repeat))
        .layer(from_fn_with_state(api.clone(), auth::authenticate))
        .layer(DefaultBodyLimit::max(limits::JSON_BYTES))
        .layer(from_fn_with_state(api.clone(), bounded))
        .layer(from_fn_with_state(api.clone(), perimeter::guard))
        .layer(from_fn_with_state(api.clone(), respond::respond))
        .with_state(api.clone())
}

/// The layer that bounds how many requests are handled and for how long.
async fn bounded(
    State(api): State<Api>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let _permit = api
        .requests()
        .clone()
        .try_acquire_owned()
        .map_err(|_| ApiError::from(ApiCode::Busy).retry_after(1))?;
    let restores = request
        .uri()
        .path()
        .strip_prefix(perimeter::API)
        .is_some_and(|at| at.starts_with("/restore") || at == "/vault/recover");
    let limit = if restores { limits::RESTORING } else { limits::HANDLING };
    timeout(limit, next.run(request)).await.map_err(|_| ApiCode::Timeout.into())
}

/// Accepts until the node stops.
pub(super) fn start(api: &Api, listeners: Vec<TcpListener>) {
    let router = router(api);
    let connections = Arc::new(Semaphore::new(limits::CONNECTIONS));
    for listener in listeners {
        let accepting = accept(api.clone(), listener, router.clone(), connections.clone());
        api.tasks().spawn(accepting.instrument(info_span!("api")));
    }
}

async fn accept(api: Api, listener: TcpListener, router: Router, connections: Arc<Semaphore>) {
    loop {
        let accepted = tokio::select! {
            () = api.shutdown().cancelled() => return,
            accepted = accept_one(&listener, &connections) => accepted,
        };
        match accepted {
            Ok((stream, permit)) => {
                let connection = connection(api.clone(), stream, router.clone());
                api.tasks().spawn(
                    async move {
                        connection.await;
                        drop(permit);
                    }
                    .in_current_span(),
                );
            }
            Err(error) => {
                warn!(kind = ?error.kind(), "the local API cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn accept_one(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = connections.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, permit))
}

async fn connection(api: Api, stream: TcpStream, router: Router) {
    // Events are small and should not wait for company.
    let _ = stream.set_nodelay(true);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits::HEAD_READ)
        .max_buf_size(limits::HEAD_BYTES);
    let served = http
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .with_upgrades();
    let mut served = pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = api.shutdown().cancelled() => {
            served.as_mut().graceful_shutdown();
            match timeout(limits::DRAIN, served).await {
                Ok(ended) => ended,
                Err(_) => return,
            }
        }
    };
    if let Err(error) = ended {
        debug!(%error, "a connection to the local API ended early");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_listeners_are_on_loopback_alone_and_share_a_port() {
        let listeners = bind(0).await.expect("a free port");
        let addresses: Vec<_> = listeners.iter().map(|l| l.local_addr().expect("bound")).collect();
        assert!(addresses.iter().all(|address| address.ip().is_loopback()));
        assert!(addresses.iter().all(|address| address.port() == addresses[0].port()));
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_a_clear_error() {
        let held = bind(0).await.expect("a free port");
        let port = held[0].local_addr().expect("bound").port();
        let error = bind(port).await.expect_err("taken");
        assert!(error.to_string().contains(&port.to_string()), "{error}");
        assert!(matches!(error, ApiStartError::PortTaken { .. }));
    }
}
