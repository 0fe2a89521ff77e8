//! What people do, and what they see.

use std::sync::{Arc, Mutex, PoisonError};

use node::engine::{Ctx, Failure, Input};
use node::service::registration::RegistrationRecord;
use node::service::{self, ServiceError, erasure};
use protocol::chat::{Author, Message, Position};
use protocol::contact::RelayHome;
use protocol::ids::{AccountId, ChatId, InviteId, MessageId};
use protocol::invite::{Invite, Kind};
use protocol::request::Request;
use protocol::time::MINUTE;

use super::{Who, World};

impl World {
    /// A person's account.
    #[must_use]
    pub fn account(&self, who: Who) -> AccountId {
        self.people[who.0].account
    }

    /// A person does something. `None` when their node crashed before it could answer.
    pub fn act<T: Send + 'static>(
        &mut self,
        who: Who,
        act: impl FnOnce(&mut Ctx<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> Option<Result<T, ServiceError>> {
        let answer = Arc::new(Mutex::new(None));
        let slot = Arc::clone(&answer);
        let command = move |ctx: &mut Ctx<'_>| {
            let outcome = match act(ctx) {
                Err(Failure::Store(error)) => return Err(error),
                Err(Failure::Refused(refusal)) => Err(refusal),
                Ok(value) => Ok(value),
            };
            ctx.after(move || *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome));
            Ok(())
        };
        self.step(who, vec![Input::Command(Box::new(command))]);
        self.drain();
        answer.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// A person does something that works; once more if their node crashed before it could answer.
    ///
    /// # Panics
    /// When it is refused, or their node does not run.
    pub fn done<T: Send + 'static>(
        &mut self,
        who: Who,
        act: impl FnOnce(&mut Ctx<'_>) -> Result<T, Failure> + Clone + Send + 'static,
    ) -> T {
        let first = self.act(who, act.clone());
        first.or_else(|| self.act(who, act)).expect("the node runs").expect("it works")
    }

    /// Looks at something, without a crash that was asked for.
    ///
    /// # Panics
    /// When the store cannot be read, or their node does not run.
    pub fn look<T: Send + 'static>(
        &mut self,
        who: Who,
        look: impl FnOnce(&mut Ctx<'_>) -> Result<T, Failure> + Clone + Send + 'static,
    ) -> T {
        let (steps, crash_at) = (self.steps, self.crash_at.take());
        let seen = self.done(who, look);
        (self.steps, self.crash_at) = (steps, crash_at);
        seen
    }

    /// A person's node begins another generation of erasable keys, or goes on with one that a crash broke off.
    /// Whether it came to its end: false when the node crashed.
    ///
    /// # Panics
    /// When their node does not run.
    pub fn erase(&mut self, who: Who) -> bool {
        let person = &mut self.people[who.0];
        if !person.vault.has_previous_generation() {
            person.vault.rotate_generation(self.network.rng()).expect("none is under way");
            person.sealed.as_ref().expect("the node runs").renew(&person.vault);
        }
        let mut next = Some(erasure::first());
        while let Some(place) = next {
            match self.act(who, move |ctx| Ok(erasure::page(ctx, &place)?)) {
                Some(went_on) => next = went_on.expect("it is never refused"),
                None => return false,
            }
        }
        let person = &mut self.people[who.0];
        person.vault.forget_previous_generation();
        person.sealed.as_ref().expect("the node runs").renew(&person.vault);
        true
    }

    /// Registers a person at the relay, with the code that it gives.
    ///
    /// # Panics
    /// When the relay does not admit them.
    pub fn register(&mut self, who: Who) {
        let address = self.relay.address.clone();
        self.register_at(who, address);
    }

    /// Registers a person at the other relay.
    ///
    /// # Panics
    /// When it does not admit them.
    pub fn move_to_other(&mut self, who: Who) {
        let address = self.other.address.clone();
        self.register_at(who, address);
    }

    fn register_at(&mut self, who: Who, address: String) {
        let identifier = format!("{}@example.org", self.people[who.0].name);
        let registered = self.run_until(10 * MINUTE, move |world| {
            let (record, next) = world.look(who, |ctx| {
                Ok((service::registration::get(ctx)?, service::registration::next(ctx)?))
            });
            let here = |record: &RegistrationRecord| record.address == address;
            if record.is_some_and(|record| record.is_admitted() && here(&record)) {
                return true;
            }
            let (reply, _answer) = tokio::sync::oneshot::channel();
            match next.filter(here).and_then(|record| record.challenge) {
                Some(pending) => {
                    let code = pending.challenged.development_code.unwrap_or_default();
                    let challenge = pending.challenged.challenge;
                    world.act(who, move |ctx| {
                        Ok(service::registration::verify(ctx, challenge, &code, reply)?)
                    });
                }
                None => {
                    let (address, identifier) = (address.clone(), identifier.clone());
                    world.act(who, move |ctx| {
                        let relay = Some(address.as_str());
                        Ok(service::registration::challenge(ctx, relay, &identifier, None, reply)?)
                    });
                }
            }
            false
        });
        assert!(registered, "the relay admits nobody");
    }

    /// A person with a node that is registered.
    pub fn registered(&mut self, name: &str) -> Who {
        let who = self.node(name);
        self.register(who);
        who
    }

    /// Two people, registered, who are contacts.
    pub fn contacts(&mut self, one: &str, other: &str) -> (Who, Who) {
        let (one, other) = (self.registered(one), self.registered(other));
        self.meet(one, other);
        (one, other)
    }

    /// `scanner` scans a code of `inviter`, who accepts.
    ///
    /// # Panics
    /// When they are no contacts in the end.
    pub fn meet(&mut self, inviter: Who, scanner: Who) {
        let (_, text) = self.invite(inviter);
        self.scan(scanner, &text).expect("a fresh code");
        self.settle();
        self.accept(inviter, scanner).expect("a request that waits");
        self.settle();
        assert!(self.are_contacts(inviter, scanner), "they met, and are no contacts");
    }

    /// Gives a person a name.
    pub fn name(&mut self, who: Who, name: &str) {
        let name = name.to_owned();
        self.done(who, move |ctx| service::profile::update(ctx, Some(&name), None));
    }

    /// Makes an invite for somebody present. Returns its code.
    pub fn invite(&mut self, who: Who) -> (InviteId, String) {
        self.invite_for(who, Kind::InPerson, None)
    }

    /// Makes an invite that lives for so many seconds. Returns its code.
    ///
    /// # Panics
    /// When the mint refuses.
    pub fn invite_for(&mut self, who: Who, kind: Kind, life: Option<u64>) -> (InviteId, String) {
        let invite =
            self.done(who, move |ctx| service::invite::create(ctx, kind, String::new(), life));
        (invite.id, invite.token().expect("a fresh invite has its token").to_text())
    }

    /// Scans a code.
    ///
    /// # Errors
    /// What the person is told when it cannot be redeemed.
    ///
    /// # Panics
    /// When their node does not run.
    pub fn scan(&mut self, who: Who, text: &str) -> Result<Request, ServiceError> {
        let text = text.to_owned();
        self.act(who, move |ctx| service::scan::redeem(ctx, &text)).expect("the node runs")
    }

    /// Accepts somebody's request.
    ///
    /// # Errors
    /// What the person is told when there is nothing to accept.
    ///
    /// # Panics
    /// When their node does not run.
    pub fn accept(&mut self, who: Who, asker: Who) -> Result<(), ServiceError> {
        let account = self.account(asker);
        self.act(who, move |ctx| service::request::accept(ctx, account)).expect("the node runs")
    }

    /// The request between a person and another, as the first sees it.
    pub fn request(&mut self, who: Who, other: Who) -> Option<Request> {
        let account = self.account(other);
        self.look(who, move |ctx| Ok(service::request::get(ctx, account)?))
    }

    /// An invite in a person's ledger.
    ///
    /// # Panics
    /// When there is none.
    pub fn ledger(&mut self, who: Who, invite: InviteId) -> Invite {
        self.look(who, move |ctx| Ok(service::invite::get(ctx, invite)?)).expect("in the ledger")
    }

    /// The relays over which a node would reach another's, as it told its network.
    #[must_use]
    pub fn homes(&self, who: Who, other: Who) -> Vec<RelayHome> {
        let known = self.people[who.0].net.known.get(&self.account(other));
        known.cloned().unwrap_or_default()
    }

    /// Whether each has the other as a contact.
    pub fn are_contacts(&mut self, one: Who, other: Who) -> bool {
        self.has_contact(one, other) && self.has_contact(other, one)
    }

    /// Whether a person has another as a contact.
    pub fn has_contact(&mut self, who: Who, other: Who) -> bool {
        let account = self.account(other);
        self.look(who, move |ctx| Ok(service::contact::get(ctx, account)?.is_some()))
    }

    /// Whether a person's node lets another's in.
    #[must_use]
    pub fn may_connect(&self, who: Who, to: Who) -> bool {
        self.people[to.0].net.known.contains_key(&self.account(who))
    }

    /// The name of the conversation of two people.
    #[must_use]
    pub fn chat(&self, one: Who, other: Who) -> ChatId {
        ChatId::of_pair(self.account(one), self.account(other))
    }

    /// Writes a message. The text is its idempotency key as well, so saying it again after a
    /// crash says it once.
    pub fn say(&mut self, who: Who, to: Who, text: &str) -> Option<MessageId> {
        let (chat, text) = (self.chat(who, to), text.to_owned());
        let key = Some(text.clone());
        let sent = self.act(who, move |ctx| service::chat::send(ctx, chat, text, key))?;
        Some(sent.expect("it can be said").id)
    }

    /// Writes messages that reach the engine at the same time.
    pub fn say_at_once(&mut self, who: Who, to: Who, texts: impl IntoIterator<Item = String>) {
        let chat = self.chat(who, to);
        let say = |text: String| {
            let command = move |ctx: &mut Ctx<'_>| match service::chat::send(ctx, chat, text, None)
            {
                Err(Failure::Store(error)) => Err(error),
                _ => Ok(()),
            };
            Input::Command(Box::new(command))
        };
        self.step(who, texts.into_iter().map(say).collect());
        self.drain();
    }

    /// Reads everything in a conversation.
    pub fn read(&mut self, who: Who, other: Who) {
        let chat = self.chat(who, other);
        if let Some(last) = self.messages(who, other).last().map(|message| message.id) {
            self.act(who, move |ctx| service::chat::read(ctx, chat, last));
        }
    }

    /// The conversation as a person sees it.
    pub fn messages(&mut self, who: Who, other: Who) -> Vec<Message> {
        let chat = self.chat(who, other);
        let span = (Position::FIRST, Position::LAST);
        let order = node::store::Order::Rising;
        self.look(who, move |ctx| Ok(service::chat::page(ctx, chat, span, order, 10_000)?))
    }

    /// What was said in a conversation, as a person reads it.
    ///
    /// # Panics
    /// When a message has no words.
    pub fn texts(&mut self, who: Who, other: Who) -> Vec<String> {
        let messages = self.messages(who, other);
        messages.into_iter().map(|message| message.text.expect("words")).collect()
    }

    /// How far each of a person's own messages provably got.
    pub fn deliveries(&mut self, who: Who, other: Who) -> Vec<protocol::chat::DeliveryState> {
        let messages = self.messages(who, other).into_iter();
        messages
            .filter(|message| message.author == Author::Me)
            .filter_map(|message| message.delivery.map(|delivery| delivery.state()))
            .collect()
    }

    /// How many messages a person has not read.
    ///
    /// # Panics
    /// When there is no such conversation.
    pub fn unread(&mut self, who: Who, other: Who) -> u32 {
        let chat = self.chat(who, other);
        self.look(who, move |ctx| Ok(service::chat::get(ctx, chat)?)).expect("a chat").unread
    }

    /// Parcels that wait in a person's lane to another.
    pub fn waiting(&mut self, who: Who, other: Who) -> usize {
        let account = self.account(other);
        self.look(who, move |ctx| {
            Ok(ctx.state.lanes.get(&account).map_or(0, protocol::outbox::Lane::len))
        })
    }
}
