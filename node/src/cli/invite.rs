//! `kith invite`.

use reqwest::Method;

use super::args::{self, Drawing};
use super::argument_or_input;
use super::client::Client;
use super::drawing::draw;
use super::error::CliError;
use super::node::{act, word};
use super::output::{Out, foreign_name, minute, short, table};
use super::{picture, who};
use crate::api::dto::{
    DecodedInvite, Invite, InviteKind, InviteText, InviteVerdict, Items, NewInvite, Request,
};
use crate::api::qr::Matrix;

/// Runs one.
pub(super) async fn run(client: &Client, action: args::Invite, out: Out) -> Result<(), CliError> {
    match action {
        args::Invite::New(new) => create(client, new, out).await,
        args::Invite::List => list(client, out).await,
        args::Invite::Show { id, drawing } => {
            let invite = who::invite(all(client).await?, &id)?;
            show(&invite, drawing, out)
        }
        args::Invite::Revoke { id } => {
            let invite = who::invite(all(client).await?, &id)?;
            act(client, Method::DELETE, &format!("/invites/{}", invite.id), "Taken back.", out)
                .await
        }
        args::Invite::Redeem { code } => redeem(client, &code, out).await,
    }
}

async fn all(client: &Client) -> Result<Vec<Invite>, CliError> {
    Ok(client.get::<Items<Invite>>("/invites").await?.items)
}

async fn create(client: &Client, new: args::NewInvite, out: Out) -> Result<(), CliError> {
    let body = NewInvite {
        kind: if new.link { InviteKind::Link } else { InviteKind::InPerson },
        label: new.label,
        expires_in: new.expires_in.map(|time| time.as_secs()),
    };
    let invite: Invite = client.post("/invites", &body).await?;
    show(&invite, new.drawing, out)
}

fn show(invite: &Invite, drawing: Drawing, out: Out) -> Result<(), CliError> {
    if out.json {
        return out.object(invite);
    }
    let Some(text) = &invite.text else {
        let state = word(&invite.state);
        return Err(CliError::Failed(format!(
            "This invite is {state}, so it has no code. “kith invite new” makes one."
        )));
    };
    // A text too long to draw can still be sent.
    if let Ok(matrix) = Matrix::of(text) {
        out.line(draw(&matrix, drawing, out.colour))?;
    }
    out.line(text)?;
    out.note(&format!(
        "Works once, until {}. {}",
        minute(&invite.expires_at),
        invite.reachable.detail
    ));
    Ok(())
}

async fn list(client: &Client, out: Out) -> Result<(), CliError> {
    let invites: Items<Invite> = client.get("/invites").await?;
    out.show(&invites, |invites| {
        if invites.items.is_empty() {
            return "No invites yet. “kith invite new” makes one.".to_owned();
        }
        let row = |invite: &Invite| {
            let by = invite
                .claimed_by
                .as_ref()
                .map(|by| by.name.clone().unwrap_or_else(|| short(&by.account).to_owned()));
            let tries = match invite.failed_tries {
                0 => String::new(),
                tries => format!("{tries} tries by someone else"),
            };
            vec![
                short(&invite.id).to_owned(),
                word(&invite.kind),
                word(&invite.state),
                minute(&invite.expires_at),
                foreign_name(&by.unwrap_or_default()),
                foreign_name(&invite.label),
                tries,
            ]
        };
        table(&invites.items.iter().map(row).collect::<Vec<_>>())
    })
}

async fn redeem(client: &Client, code: &str, out: Out) -> Result<(), CliError> {
    let decoded: DecodedInvite = match picture::read(code)? {
        Some(picture) => client.send_picture(Method::POST, "/invites/decode", picture).await?,
        None => {
            client.post("/invites/decode", &InviteText { text: argument_or_input(code)? }).await?
        }
    };
    if decoded.verdict != InviteVerdict::Ok {
        out.note(&foreign_name(&decoded.detail));
    }
    let request: Request =
        client.post("/invites/redeem", &InviteText { text: decoded.text }).await?;
    out.show(&request, |request| {
        let why = request.why.as_ref().map(|why| format!(" {}", why.text)).unwrap_or_default();
        format!("Asked {} to connect: {}.{why}", short(&request.account), word(&request.state))
    })
}
