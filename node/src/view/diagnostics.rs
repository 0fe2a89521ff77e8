//! The doctor: what works, what does not, and what to do about it.

use protocol::time::SECOND;

use crate::api::dto::{Check, CheckState, Diagnostics, RegistrationState, RelayState, Reservation};
use crate::engine::Ctx;
use crate::service::registration;
use crate::store::StoreError;

use super::network_status;

pub(crate) fn diagnostics(ctx: &Ctx<'_>) -> Result<Diagnostics, StoreError> {
    let network = network_status(ctx)?;
    let registered = super::registration(ctx)?.state;
    let mut checks = vec![check(
        "registration",
        "Registered at a relay",
        match registered {
            RegistrationState::Registered => {
                (CheckState::Ok, "A relay keeps messages for you while this computer is off.", None)
            }
            RegistrationState::Expired => (
                CheckState::Warn,
                "Your registration has ended: it ran out, or the relay does not know it any more.",
                Some("Register again: Settings, or “kith register”."),
            ),
            RegistrationState::Suspended => (
                CheckState::Fail,
                "The relay's operator has suspended this account: it takes no new messages for you.",
                Some("Ask the operator, or register at another relay."),
            ),
            RegistrationState::Displaced => (
                CheckState::Warn,
                "Another device registered at the relay with the same address, and took its place.",
                Some(
                    "If the address is still yours, register again: Settings, or “kith register”.",
                ),
            ),
            RegistrationState::None | RegistrationState::Challenged => (
                CheckState::Warn,
                "No relay keeps messages for you while this computer is off.",
                Some("Register at a relay: Settings, or “kith register”."),
            ),
        },
    )];
    for relay in &network.relays {
        checks.push(check(
            "relay",
            "Relay",
            match relay.state {
                RelayState::Connected => (CheckState::Ok, "Connected.", None),
                RelayState::Connecting => (CheckState::Warn, "Connecting.", None),
                RelayState::Unreachable => (
                    CheckState::Fail,
                    "The relay does not answer.",
                    Some(
                        "Check this computer's connection. If it works, ask the relay's operator.",
                    ),
                ),
            },
        ));
        checks.push(forwarding(relay.reservation, registered));
    }
    checks.push(check(
        "listening",
        "Open to connections",
        match network.listening.is_empty() {
            false => (CheckState::Ok, "This computer accepts connections.", None),
            true => (
                CheckState::Warn,
                "This computer has no address that others could use.",
                Some("Check that it is connected to a network."),
            ),
        },
    ));
    checks.push(clock(ctx));
    checks.push(outbox(ctx));
    Ok(Diagnostics { checks })
}

fn clock(ctx: &Ctx<'_>) -> Check {
    let offset = ctx.state.relays.values().find_map(|view| view.clock_offset_ms);
    let (state, detail, fix) = match offset {
        None => (CheckState::Ok, "Not compared yet: no relay has told its time.".to_owned(), None),
        Some(millis) if millis.unsigned_abs() <= registration::CLOCK_TOLERANCE => {
            (CheckState::Ok, "Agrees with the relay's.".to_owned(), None)
        }
        Some(millis) => (
            CheckState::Warn,
            format!("Differs from the relay's by {} s.", millis.unsigned_abs() / SECOND),
            Some("Let this computer set its clock from the network.".to_owned()),
        ),
    };
    Check { id: "clock".into(), title: "Clock".into(), state, detail, fix }
}

fn outbox(ctx: &Ctx<'_>) -> Check {
    let waiting: usize = ctx.state.lanes.values().map(protocol::outbox::Lane::len).sum();
    Check {
        id: "outbox".into(),
        title: "Waiting to be delivered".into(),
        state: CheckState::Ok,
        detail: match waiting {
            0 => "Nothing.".into(),
            one_or_more => format!("{one_or_more} sealed items. Each message says why it waits."),
        },
        fix: None,
    }
}

/// Whether others can be led here by the relay.
fn forwarding(reservation: Reservation, registered: RegistrationState) -> Check {
    let found = match reservation {
        Reservation::Active => (CheckState::Ok, "People behind other routers can connect.", None),
        _ if registered == RegistrationState::Registered => (
            CheckState::Warn,
            "The relay does not forward connections yet.",
            Some("Messages still arrive, through the relay's mailbox."),
        ),
        _ => (
            CheckState::Warn,
            "The relay forwards connections for those only who are registered there.",
            None,
        ),
    };
    check("reservation", "Reachable through the relay", found)
}

fn check(id: &str, title: &str, (state, detail, fix): (CheckState, &str, Option<&str>)) -> Check {
    Check {
        id: id.to_owned(),
        title: title.to_owned(),
        state,
        detail: detail.to_owned(),
        fix: fix.map(str::to_owned),
    }
}
