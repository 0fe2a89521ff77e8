//! How this node stands with the world.

use protocol::ids::RelayId;

use crate::api::dto::{self, RelayState, Reservation, rfc3339};
use crate::engine::Ctx;
use crate::net::{self, RelayPhase};
use crate::service::registration;
use crate::store::StoreError;

/// A relay as a person may have to name it to its operator.
pub(crate) fn relay_name(relay: RelayId) -> String {
    net::relay_text(relay)
}

pub(crate) fn network_status(ctx: &Ctx<'_>) -> Result<dto::NetworkStatus, StoreError> {
    let record = registration::get(ctx)?;
    let relays: Vec<dto::RelayStatus> = record
        .iter()
        .map(|record| {
            let view = ctx.state.relays.get(&record.relay.relay);
            let phase = view.map_or(RelayPhase::Connecting, |view| view.phase);
            dto::RelayStatus {
                id: relay_name(record.relay.relay),
                address: record.address.clone(),
                state: match phase {
                    RelayPhase::Connecting => RelayState::Connecting,
                    RelayPhase::Connected | RelayPhase::Reserved => RelayState::Connected,
                    RelayPhase::Unreachable => RelayState::Unreachable,
                },
                reservation: match phase {
                    RelayPhase::Reserved => Reservation::Active,
                    RelayPhase::Connected => Reservation::Pending,
                    RelayPhase::Connecting | RelayPhase::Unreachable => Reservation::None,
                },
                since: view.map(|view| rfc3339(view.since)),
                detail: match phase {
                    RelayPhase::Unreachable => {
                        Some("The relay does not answer. Kith keeps trying.".to_owned())
                    }
                    _ => None,
                },
            }
        })
        .collect();
    let relay_up = relays.iter().any(|relay| relay.state == RelayState::Connected);
    let offset = ctx.state.relays.values().find_map(|view| view.clock_offset_ms);
    Ok(dto::NetworkStatus {
        online: relay_up || !ctx.state.paths.is_empty(),
        relays,
        listening: ctx.state.listening.iter().filter_map(net::text_of).collect(),
        lan: ctx.state.settings.lan,
        clock_offset_seconds: offset.map(|millis| millis / 1_000),
    })
}

pub(crate) fn status(ctx: &Ctx<'_>) -> Result<dto::Status, StoreError> {
    let settings = &ctx.state.settings;
    Ok(dto::Status {
        profile: settings.profile.clone(),
        build: crate::api::build().to_owned(),
        uptime_seconds: ctx.now.since(ctx.state.started_at) / 1_000,
        account: ctx.account.id.to_string(),
        locked: false,
        data_dir: settings.data_dir.clone(),
        network: network_status(ctx)?,
    })
}
