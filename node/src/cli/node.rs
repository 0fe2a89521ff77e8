//! Starting, opening and looking at a node; registration and the profile.

use reqwest::Method;

use super::args::{Demo, Global, Open, Register, Up};
use super::client::Client;
use super::error::CliError;
use super::output::{Out, foreign_name, minute, table};
use super::{argument_or_input, browser};
use crate::api::dto::{
    Challenge, CheckState, Diagnostics, LoginLink, Me, NewChallenge, Registration,
    RegistrationState, Reservation, Status, VerificationCode, Version,
};
use crate::config::{self, DemoConfig, Places};

/// `kith up`: starts a node, or opens the one that runs.
pub(super) async fn up(up: Up, global: &Global, out: Out) -> Result<(), CliError> {
    let config = config::load(up.overrides(global))?;
    let places = Places::of(&global.overrides())?;
    if let Ok(client) = Client::of(&places)
        && client.get::<Version>("/version").await.is_ok()
        && client.get::<serde_json::Value>("/session").await.is_ok()
    {
        out.note("Kith is running already.");
        let print = !config.open_browser;
        return open(&client, &places, Open { print }, out).await;
    }
    crate::app::run_up(config).await.map_err(|error| CliError::Failed(format!("{error:#}")))
}

/// `kith demo`.
pub(super) async fn demo(demo: Demo, global: &Global) -> Result<(), CliError> {
    let log = global.log.clone().unwrap_or_else(|| "warn".to_owned());
    let options = DemoConfig {
        dir: demo.dir,
        connected: demo.connected,
        open_browser: !demo.no_open,
        ui_dir: demo.ui_dir,
        log,
    };
    crate::app::demo::run_demo(options)
        .await
        .map_err(|error| CliError::Failed(format!("{error:#}")))
}

/// `kith version`.
pub(super) fn version(out: Out) -> Result<(), CliError> {
    let version = Version {
        name: "kith".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        build: crate::api::build().to_owned(),
        api: "v1".to_owned(),
    };
    out.show(&version, |version| format!("kith {}", version.build))
}

/// `kith open`.
pub(super) async fn open(
    client: &Client,
    places: &Places,
    open: Open,
    out: Out,
) -> Result<(), CliError> {
    let link: LoginLink = client.post_empty("/session/login-links").await?;
    if open.print || out.json {
        return out.show(&link, |link| link.url.clone());
    }
    match browser::open(&places.runtime_dir, &link.url).await {
        Ok(()) => {
            out.note("Kith is open in your browser.");
            Ok(())
        }
        Err(error) => {
            out.note(&format!(
                "{error}, so this link is for you to open. It works once, for ten minutes."
            ));
            out.line(browser::instructions(&link.url))
        }
    }
}

/// `kith status`.
pub(super) async fn status(client: &Client, out: Out) -> Result<(), CliError> {
    let status: Status = client.get("/status").await?;
    out.show(&status, |status| {
        let network = &status.network;
        let mut rows = vec![
            row("profile", &status.profile),
            row("build", &status.build),
            row("up", &format!("{} s", status.uptime_seconds)),
            row("account", &status.account),
            row("vault", if status.locked { "locked" } else { "open" }),
            row("folder", &status.data_dir),
            row("network", if network.online { "online" } else { "offline" }),
            row("LAN", if network.lan { "looking for contacts" } else { "off" }),
        ];
        for relay in &network.relays {
            let reservation = match relay.reservation {
                Reservation::Active => "reachable through it",
                Reservation::Pending => "asking for a place",
                Reservation::None => "no place",
            };
            rows.push(row(
                "relay",
                &format!("{} · {} · {reservation}", relay.address, word(&relay.state)),
            ));
        }
        rows.extend(network.listening.iter().map(|address| row("listening", address)));
        table(&rows)
    })
}

fn row(name: &str, value: &str) -> Vec<String> {
    vec![name.to_owned(), foreign_name(value)]
}

/// The snake_case name of an enum's value.
pub(super) fn word<T: serde::Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => text.replace('_', " "),
        _ => String::new(),
    }
}

/// `kith whoami`.
pub(super) async fn whoami(client: &Client, out: Out) -> Result<(), CliError> {
    let me: Me = client.get("/me").await?;
    let registration: Registration = client.get("/registration").await?;
    if out.json {
        return out.object(&serde_json::json!({ "me": me, "registration": registration }));
    }
    let identifier = match (registration.state, registration.identifier.as_deref()) {
        (RegistrationState::Registered, Some(identifier)) => identifier.to_owned(),
        (RegistrationState::Expired, _) => {
            "not registered any more: it ran out, or the relay does not know it. Register again \
             with “kith register <identifier>”"
                .to_owned()
        }
        (RegistrationState::Suspended, _) => {
            "suspended by the relay's operator: ask them, or use another relay".to_owned()
        }
        (RegistrationState::Displaced, _) => {
            "not registered any more: another device registered with the same address. If it is \
             still yours, register again with “kith register <identifier>”"
                .to_owned()
        }
        (state, _) => format!("not registered ({})", word(&state)),
    };
    out.line(table(&[
        row("name", me.name.as_deref().unwrap_or("none yet")),
        row("about", &me.about),
        row("account", &me.account),
        row("identifier", &identifier),
    ]))
}

/// `kith register`.
pub(super) async fn register(
    client: &Client,
    register: Register,
    out: Out,
) -> Result<(), CliError> {
    let identifier = argument_or_input(&register.identifier)?;
    let asked = NewChallenge { relay: register.relay, identifier, kind: None };
    let challenge: Challenge = client.post("/registration/challenges", &asked).await?;
    out.show(&challenge, |challenge| {
        let mut text = format!(
            "A code is on its way to {} ({}). Answer with “kith verify <code>” before {}.",
            foreign_name(&challenge.identifier_masked),
            word(&challenge.sent_via),
            minute(&challenge.expires_at)
        );
        if let Some(code) = &challenge.development_code {
            text.push_str(&format!(
                "\nThis is a development relay; the code is {}.",
                foreign_name(code)
            ));
        }
        text
    })
}

/// `kith verify`.
pub(super) async fn verify(client: &Client, code: &str, out: Out) -> Result<(), CliError> {
    let code = argument_or_input(code)?;
    let registration: Registration = client.get("/registration").await?;
    let challenge = registration.challenge.ok_or_else(|| {
        CliError::NotFound(
            "No code is waited for. Ask for one with “kith register <identifier>”.".to_owned(),
        )
    })?;
    let path = format!("/registration/challenges/{}/verify", challenge.id);
    let registration: Registration = client.post(&path, &VerificationCode { code }).await?;
    out.show(&registration, |registration| {
        let identifier = registration.identifier.as_deref().unwrap_or("your identifier");
        format!("Registered as {}.", foreign_name(identifier))
    })
}

/// `kith doctor`: fails when a check does.
pub(super) async fn doctor(client: &Client, out: Out) -> Result<(), CliError> {
    let found: Diagnostics = client.get("/diagnostics").await?;
    out.show(&found, |found| {
        let line = |check: &crate::api::dto::Check| {
            let fix = check.fix.as_ref().map(|fix| format!("\n      → {fix}")).unwrap_or_default();
            format!(
                "{:<4}  {}: {}{fix}",
                word(&check.state),
                check.title,
                foreign_name(&check.detail)
            )
        };
        found.checks.iter().map(line).collect::<Vec<_>>().join("\n")
    })?;
    match found.checks.iter().filter(|check| check.state == CheckState::Fail).count() {
        0 => Ok(()),
        failed => {
            Err(CliError::Failed(format!("{failed} of {} checks failed.", found.checks.len())))
        }
    }
}

/// Used by commands whose answer says nothing.
pub(super) async fn act(
    client: &Client,
    method: Method,
    path: &str,
    done: &str,
    out: Out,
) -> Result<(), CliError> {
    client.act(method, path).await?;
    if out.json { out.object(&serde_json::json!({ "done": true })) } else { out.line(done) }
}
