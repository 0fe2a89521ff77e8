//! `/healthz`, for a supervisor or a load balancer: counts, never names.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::error::RelayError;

/// What is counted while a relay runs.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Established connections.
    pub(crate) connections: AtomicU64,
    /// Requests handed to a service.
    pub(crate) requests: AtomicU64,
    /// Requests refused by a rate or for want of room.
    pub(crate) refused: AtomicU64,
    /// Reservations granted or renewed.
    pub(crate) reservations: AtomicU64,
    /// Circuits granted.
    pub(crate) circuits: AtomicU64,
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
    connections: u64,
    requests: u64,
    refused: u64,
    reservations: u64,
    circuits: u64,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn health(&self) -> Health {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Health {
            status: "ok",
            connections: read(&self.connections),
            requests: read(&self.requests),
            refused: read(&self.refused),
            reservations: read(&self.reservations),
            circuits: read(&self.circuits),
        }
    }
}

/// Listens; serves only when the returned future is polled.
pub(crate) async fn listen(
    address: SocketAddr,
    counters: Arc<Counters>,
    shutdown: CancellationToken,
) -> Result<(SocketAddr, impl Future<Output = ()> + Send), RelayError> {
    let failed = |source| RelayError::Health { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    let router = Router::new()
        .route(
            "/healthz",
            get(|State(counters): State<Arc<Counters>>| async move { Json(counters.health()) }),
        )
        .with_state(counters);
    let serve = async move {
        let served = axum::serve(listener, router)
            .with_graceful_shutdown(async move { shutdown.cancelled().await });
        if let Err(error) = served.await {
            tracing::warn!(%error, "health checks ended");
        }
    };
    Ok((bound, serve))
}
