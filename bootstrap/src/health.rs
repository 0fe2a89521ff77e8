//! `/healthz`, `/readyz` and `/metrics`, for a supervisor, a load balancer and Prometheus: counts, never names.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::admission::Admission;
use crate::drain::Drain;
use crate::error::RelayError;
use crate::metrics::Metrics;

/// How long answers that are on their way have when the relay stops.
const GRACE: Duration = Duration::from_secs(2);
/// OpenMetrics, which Prometheus asks for.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What is looked at.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) admission: Admission,
    pub(crate) drain: Drain,
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
    let stop = watched.drain.shutdown();
    let router = Router::new()
        .route(
            "/healthz",
            get(|State(watched): State<Watched>| async move { Json(watched.health()) }),
        )
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(watched);
    Ok((bound, serve(listener, router, stop)))
}

/// Serves until it is told to stop, and then for [`GRACE`] at most: half a request would be waited for for ever.
pub(crate) async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let graceful = stop.clone();
    let served = axum::serve(listener, router)
        .with_graceful_shutdown(async move { graceful.cancelled().await });
    tokio::select! {
        ended = served => {
            if let Err(error) = ended {
                tracing::warn!(%error, "a listener for the operator ended");
            }
        }
        () = async {
            stop.cancelled().await;
            tokio::time::sleep(GRACE).await;
        } => {}
    }
}

async fn ready(State(watched): State<Watched>) -> impl IntoResponse {
    match watched.drain.is_asked() {
        false => (StatusCode::OK, "ready\n"),
        true => (StatusCode::SERVICE_UNAVAILABLE, "stopping\n"),
    }
}

async fn metrics(State(watched): State<Watched>) -> impl IntoResponse {
    let admitted = i64::try_from(watched.admission.len()).unwrap_or(i64::MAX);
    watched.metrics.admitted.set(admitted);
    ([(header::CONTENT_TYPE, OPEN_METRICS)], watched.metrics.text())
}
