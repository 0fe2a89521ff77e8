//! `/healthz`, `/readyz` and `/metrics`, for a supervisor, a load balancer and Prometheus: counts, never names.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::admission::Admission;
use crate::error::RelayError;
use crate::metrics::Metrics;

/// OpenMetrics, which Prometheus asks for.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What is looked at.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) admission: Admission,
    /// Cancelled when the relay stops taking requests.
    pub(crate) shutdown: CancellationToken,
}

/// What `/healthz` says.
#[derive(Debug, Serialize)]
pub(crate) struct Health {
    status: &'static str,
    connections: i64,
    requests: u64,
    refused: u64,
    reservations: u64,
    circuits: u64,
}

impl Watched {
    pub(crate) fn health(&self) -> Health {
        let (requests, refused) = self.metrics.asked();
        Health {
            status: "ok",
            connections: self.metrics.connections.get(),
            requests,
            refused,
            reservations: self.metrics.reservations.get(),
            circuits: self.metrics.circuits.get(),
        }
    }
}

/// Listens; serves only when the returned future is polled.
pub(crate) async fn listen(
    address: SocketAddr,
    watched: Watched,
) -> Result<(SocketAddr, impl Future<Output = ()> + Send), RelayError> {
    let failed = |source| RelayError::Health { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    let stop = watched.shutdown.clone();
    let router = Router::new()
        .route(
            "/healthz",
            get(|State(watched): State<Watched>| async move { Json(watched.health()) }),
        )
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(watched);
    let serve = async move {
        let served = axum::serve(listener, router)
            .with_graceful_shutdown(async move { stop.cancelled().await });
        if let Err(error) = served.await {
            tracing::warn!(%error, "health checks ended");
        }
    };
    Ok((bound, serve))
}

async fn ready(State(watched): State<Watched>) -> impl IntoResponse {
    match watched.shutdown.is_cancelled() {
        false => (StatusCode::OK, "ready\n"),
        true => (StatusCode::SERVICE_UNAVAILABLE, "stopping\n"),
    }
}

async fn metrics(State(watched): State<Watched>) -> impl IntoResponse {
    let admitted = i64::try_from(watched.admission.len()).unwrap_or(i64::MAX);
    watched.metrics.admitted.set(admitted);
    ([(header::CONTENT_TYPE, OPEN_METRICS)], watched.metrics.text())
}
