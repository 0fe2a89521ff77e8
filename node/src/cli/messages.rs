//! `kith chats`, `send`, `read` and `tail`.

use std::collections::BTreeMap;

use reqwest::Method;

use super::args;
use super::client::Client;
use super::error::CliError;
use super::node::word;
use super::output::{Out, foreign, foreign_name, minute, short, table};
use super::{read_input, who};
use crate::api::dto::{
    Author, Chat, Contact, Event, EventBody, Items, Message, MessagePage, NewMessage, ReadUpTo,
};

/// Conversations, the latest first.
pub(super) async fn chats(client: &Client, out: Out) -> Result<(), CliError> {
    let chats: Items<Chat> = client.get("/chats").await?;
    out.show(&chats, |chats| {
        if chats.items.is_empty() {
            return "No conversations yet.".to_owned();
        }
        let row = |chat: &Chat| {
            let last = chat.last_message.as_ref();
            vec![
                foreign_name(&chat.name),
                match chat.unread {
                    0 => String::new(),
                    unread => format!("{unread} new"),
                },
                last.map(|message| minute(&message.sent_at)).unwrap_or_default(),
                last.and_then(|message| message.delivery_state)
                    .map(|state| word(&state))
                    .unwrap_or_default(),
                last.map(|message| foreign_name(&message.text)).unwrap_or_default(),
            ]
        };
        table(&chats.items.iter().map(row).collect::<Vec<_>>())
    })
}

/// Sends a message; done once the node holds it durably.
pub(super) async fn send(
    client: &Client,
    to: &str,
    text: Option<String>,
    out: Out,
) -> Result<(), CliError> {
    let contact = find(client, to).await?;
    let text = match text.as_deref() {
        None | Some("-") => read_input()?,
        Some(text) => text.to_owned(),
    };
    let path = format!("/chats/{}/messages", contact.chat_id);
    let message: Message = client.post(&path, &NewMessage { text }).await?;
    out.show(&message, |message| {
        let delivery = message.delivery.as_ref();
        let why = delivery
            .and_then(|delivery| delivery.why.as_ref())
            .map(|why| format!(" {}", foreign_name(&why.text)));
        let state = delivery.map(|delivery| word(&delivery.state)).unwrap_or_default();
        format!("To {}: {state}.{}", foreign_name(contact_name(&contact)), why.unwrap_or_default())
    })
}

/// The latest messages of a conversation.
pub(super) async fn read(client: &Client, read: args::Read, out: Out) -> Result<(), CliError> {
    let contact = find(client, &read.who).await?;
    let chat = &contact.chat_id;
    let page: MessagePage =
        client.get(&format!("/chats/{chat}/messages?limit={}", read.limit)).await?;
    for message in &page.items {
        out.show(message, |message| line(message, contact_name(&contact)))?;
    }
    let latest = page.items.iter().rev().find(|message| message.author == Author::Them);
    if let Some(latest) = latest.filter(|_| !read.keep_unread) {
        client
            .tell(
                Method::PUT,
                &format!("/chats/{chat}/read"),
                &ReadUpTo { up_to: latest.id.clone() },
            )
            .await?;
    }
    Ok(())
}

/// Messages as they come; with `--json` every event.
pub(super) async fn tail(client: &Client, since: Option<u64>, out: Out) -> Result<(), CliError> {
    let contacts: Items<Contact> = client.get("/contacts").await?;
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    names.extend(
        contacts
            .items
            .iter()
            .map(|contact| (contact.chat_id.clone(), contact_name(contact).to_owned())),
    );
    let mut since = since;
    loop {
        let mut again = false;
        let from = since;
        let each = |data: &str| {
            if out.json {
                out.line(data)?;
            }
            // Kinds of a newer node are passed over.
            let Ok(event) = serde_json::from_str::<Event>(data) else { return Ok(true) };
            since = event.seq.or(since);
            match event.body {
                EventBody::Reset => again = true,
                EventBody::ContactChanged(contact) => {
                    names.insert(contact.chat_id.clone(), contact_name(&contact).to_owned());
                }
                EventBody::MessageAdded(message) if !out.json => {
                    let name = names
                        .get(&message.chat_id)
                        .map_or_else(|| short(&message.chat_id), String::as_str);
                    out.line(line(&message, name))?;
                }
                _ => {}
            }
            Ok(!again)
        };
        client.events(from, each).await?;
        if !again {
            return Err(CliError::Unreachable("The node stopped.".to_owned()));
        }
        // What was missed is no longer in the journal: go on from now.
        since = None;
        out.note("Some messages were missed. “kith chats” shows where.");
    }
}

async fn find(client: &Client, who: &str) -> Result<Contact, CliError> {
    let contacts: Items<Contact> = client.get("/contacts").await?;
    who::contact(contacts.items, who)
}

fn contact_name(contact: &Contact) -> &str {
    contact.alias.as_ref().unwrap_or(&contact.name)
}

fn line(message: &Message, name: &str) -> String {
    let (author, state) = match (message.author, &message.delivery) {
        (Author::Me, Some(delivery)) => ("you".to_owned(), format!(" [{}]", word(&delivery.state))),
        (Author::Me, None) => ("you".to_owned(), String::new()),
        (Author::Them, _) => (foreign_name(name), String::new()),
    };
    format!("{}  {author}: {}{state}", minute(&message.sent_at), foreign(&message.text))
}
