//! What people do: register, meet, write, read.

use std::path::Path;

use anyhow::{Context, ensure};
use node::api::dto::{
    Challenge, Chat, Contact, DeliveryState, Invite, InviteKind, Items, Message, MessagePage,
    NewChallenge, NewInvite, NewMessage, ReadUpTo, Registration, RegistrationState, Request,
    RequestState, VerificationCode,
};
use reqwest::Method;
use serde_json::json;

use super::{NodeOptions, NodeProcess, RelayOptions, RelayProcess, Rest};

impl Rest {
    /// Registers by the code that a development relay puts into its answer, and takes a name.
    ///
    /// # Errors
    /// When a step is refused.
    pub async fn register(&self, relay: &str, identifier: &str, name: &str) -> anyhow::Result<()> {
        let asked = NewChallenge {
            relay: Some(relay.to_owned()),
            identifier: identifier.to_owned(),
            kind: None,
        };
        let challenge: Challenge = self.post("/registration/challenges", &asked).await?;
        let code = challenge.development_code.context("a development relay shows its codes")?;
        let path = format!("/registration/challenges/{}/verify", challenge.id);
        let done: Registration = self.post(&path, &VerificationCode { code }).await?;
        ensure!(done.state == RegistrationState::Registered, "{done:?}");
        self.tell(Method::PATCH, "/me", &json!({ "name": name })).await
    }

    /// Makes an invite.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn invite(&self, label: &str) -> anyhow::Result<Invite> {
        let asked =
            NewInvite { kind: InviteKind::InPerson, label: label.to_owned(), expires_in: None };
        self.post("/invites", &asked).await
    }

    /// Redeems a code.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn redeem(&self, text: &str) -> anyhow::Result<Request> {
        self.post("/invites/redeem", &json!({ "text": text })).await
    }

    /// Waits for a request to decide on.
    ///
    /// # Errors
    /// When none comes.
    pub async fn held(&self) -> anyhow::Result<Request> {
        self.until("a request", async |rest: &Self| {
            let requests: Items<Request> = rest.get("/requests").await?;
            Ok(requests.items.into_iter().find(|request| request.state == RequestState::Held))
        })
        .await
    }

    /// Accepts a request.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn accept(&self, request: &Request) -> anyhow::Result<Contact> {
        self.post(&format!("/requests/{}/accept", request.id), &json!({})).await
    }

    /// Waits for the first contact.
    ///
    /// # Errors
    /// When there comes none.
    pub async fn contact(&self) -> anyhow::Result<Contact> {
        self.until("a contact", async |rest: &Self| {
            let contacts: Items<Contact> = rest.get("/contacts").await?;
            Ok(contacts.items.into_iter().next())
        })
        .await
    }

    /// The one conversation.
    ///
    /// # Errors
    /// When there is none.
    pub async fn chat(&self) -> anyhow::Result<Chat> {
        let chats: Items<Chat> = self.get("/chats").await?;
        chats.items.into_iter().next().context("no conversation")
    }

    /// Sends a message; it is durable when this returns.
    ///
    /// # Errors
    /// When it is refused, or nobody answers: then nothing is known.
    pub async fn say(&self, chat: &str, text: &str) -> anyhow::Result<Message> {
        let message = NewMessage { text: text.to_owned() };
        self.post(&format!("/chats/{chat}/messages"), &message).await
    }

    /// Everything in a conversation, in its order.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn messages(&self, chat: &str) -> anyhow::Result<Vec<Message>> {
        let mut all: Vec<Message> = Vec::new();
        loop {
            let before = match all.first() {
                Some(oldest) => format!("&before={}", oldest.position),
                None => String::new(),
            };
            let path = format!("/chats/{chat}/messages?limit=200{before}");
            let page: MessagePage = self.get(&path).await?;
            let (more, nothing) = (page.has_before, page.items.is_empty());
            all.splice(0..0, page.items);
            if !more || nothing {
                return Ok(all);
            }
        }
    }

    /// Waits until the last `count` messages of a conversation are `wanted`.
    ///
    /// # Errors
    /// When they never are.
    pub async fn until_last(
        &self,
        chat: &str,
        count: usize,
        what: &str,
        wanted: impl Fn(&Message) -> bool,
    ) -> anyhow::Result<Vec<Message>> {
        self.until(what, async |rest: &Self| {
            let path = format!("/chats/{chat}/messages?limit={count}");
            let page: MessagePage = rest.get(&path).await?;
            let all = page.items.len() == count && page.items.iter().all(&wanted);
            Ok(all.then_some(page.items))
        })
        .await
    }

    /// The person saw everything up to `message`.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn read(&self, chat: &str, message: &Message) -> anyhow::Result<()> {
        let up_to = ReadUpTo { up_to: message.id.clone() };
        self.tell(Method::PUT, &format!("/chats/{chat}/read"), &up_to).await
    }
}

/// How far a message got; theirs are none.
#[must_use]
pub fn state(message: &Message) -> Option<DeliveryState> {
    message.delivery.as_ref().map(|delivery| delivery.state)
}

/// Whether the other node has signed for it.
#[must_use]
pub fn arrived(message: &Message) -> bool {
    matches!(state(message), Some(DeliveryState::Delivered | DeliveryState::Read))
}

/// A relay, Ada and Ben, who are contacts.
#[derive(Debug)]
pub struct Pair {
    /// The relay.
    pub relay: RelayProcess,
    /// She made the code.
    pub ada: NodeProcess,
    /// He scanned it.
    pub ben: NodeProcess,
    /// Their conversation at Ada's.
    pub at_ada: String,
    /// Their conversation at Ben's.
    pub at_ben: String,
}

impl Pair {
    /// Starts three processes in `folder` and lets the two meet.
    ///
    /// # Errors
    /// When any of it fails.
    pub async fn meet(folder: &Path) -> anyhow::Result<Self> {
        let relay = RelayProcess::start(folder, RelayOptions::default()).await?;
        let options = NodeOptions::new(relay.address());
        let ada = NodeProcess::start(folder, "ada", options.clone()).await?;
        let ben = NodeProcess::start(folder, "ben", options).await?;
        ada.rest().register(relay.address(), "ada@example.org", "Ada").await?;
        ben.rest().register(relay.address(), "ben@example.org", "Ben").await?;
        let (at_ada, at_ben) = introduce(ada.rest(), ben.rest()).await?;
        Ok(Self { relay, ada, ben, at_ada, at_ben })
    }
}

/// One makes a code, the other redeems it, the first accepts. Returns the conversation's id at
/// each of them.
///
/// # Errors
/// When any of it fails.
pub async fn introduce(ada: &Rest, ben: &Rest) -> anyhow::Result<(String, String)> {
    let text = ada.invite("").await?.text.context("a new invite has a code")?;
    ben.redeem(&text).await?;
    let request = ada.held().await?;
    ada.accept(&request).await?;
    ben.contact().await?;
    Ok((ada.chat().await?.id, ben.chat().await?.id))
}
