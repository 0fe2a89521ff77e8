//! `kith requests` and `kith contacts`.

use reqwest::Method;

use super::args::RequestAction;
use super::client::Client;
use super::error::CliError;
use super::node::{act, word};
use super::output::{Out, foreign_name, short, table};
use super::who;
use crate::api::dto::{Contact, Items, Request};

/// Everyone this person is connected with.
pub(super) async fn contacts(client: &Client, out: Out) -> Result<(), CliError> {
    let contacts: Items<Contact> = client.get("/contacts").await?;
    out.show(&contacts, |contacts| {
        if contacts.items.is_empty() {
            return "No contacts yet. “kith invite new” makes a code to show to someone."
                .to_owned();
        }
        let row = |contact: &Contact| {
            let alias =
                contact.alias.as_ref().map(|_| format!("({})", foreign_name(&contact.name)));
            vec![
                short(&contact.id).to_owned(),
                foreign_name(contact.alias.as_ref().unwrap_or(&contact.name)),
                alias.unwrap_or_default(),
                word(&contact.presence.state),
                word(&contact.reach.path),
            ]
        };
        table(&contacts.items.iter().map(row).collect::<Vec<_>>())
    })
}

/// Everyone who asked, or was asked.
pub(super) async fn requests(client: &Client, out: Out) -> Result<(), CliError> {
    let requests: Items<Request> = client.get("/requests").await?;
    out.show(&requests, |requests| {
        if requests.items.is_empty() {
            return "Nobody asked, and nobody was asked.".to_owned();
        }
        let row = |request: &Request| {
            let symbols = request.symbols.map(|six| six.map(|n| n.to_string()).join("-"));
            vec![
                short(&request.id).to_owned(),
                word(&request.direction),
                word(&request.state),
                foreign_name(request.name.as_deref().unwrap_or("no name yet")),
                symbols.unwrap_or_default(),
                request.why.as_ref().map(|why| foreign_name(&why.text)).unwrap_or_default(),
            ]
        };
        table(&requests.items.iter().map(row).collect::<Vec<_>>())
    })
}

/// Accepts, turns down or takes back.
pub(super) async fn decide(
    client: &Client,
    action: RequestAction,
    out: Out,
) -> Result<(), CliError> {
    let all = |direction: &'static str| async move {
        let path = format!("/requests?direction={direction}");
        client.get::<Items<Request>>(&path).await.map(|requests| requests.items)
    };
    match action {
        RequestAction::Accept { who } => {
            let request = who::request(all("incoming").await?, &who)?;
            let contact: Contact =
                client.post_empty(&format!("/requests/{}/accept", request.id)).await?;
            out.show(&contact, |contact| {
                format!("You and {} are contacts.", foreign_name(&contact.name))
            })
        }
        RequestAction::Reject { who } => {
            let request = who::request(all("incoming").await?, &who)?;
            act(
                client,
                Method::POST,
                &format!("/requests/{}/reject", request.id),
                "Turned down.",
                out,
            )
            .await
        }
        RequestAction::Withdraw { who } => {
            let request = who::request(all("outgoing").await?, &who)?;
            act(client, Method::DELETE, &format!("/requests/{}", request.id), "Taken back.", out)
                .await
        }
    }
}
