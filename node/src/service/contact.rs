//! Contacts: people who were accepted, and how to reach them.

use protocol::contact::{Address, ContactCard, MAX_NAME, RelayHome, displayable_name};
use protocol::envelope::Content;
use protocol::ids::{AccountId, ChatId};
use protocol::invite::Kind;
use protocol::outbox::{Class, Lane, Parcel};
use protocol::presence::Seen;
use protocol::time::Timestamp;
use protocol::wire::Wire;
use serde::{Deserialize, Serialize};

use super::error::{ErrorKind, NotFound, Refusal};
use super::{
    chat, life, outbox, pin, presence, profile, queue, registration, rekey, request, session,
    verification,
};
use crate::engine::{Ctx, Event, Failure};
use crate::net::{NetCommand, Path};
use crate::store::{Order, StoreError, Tree};

/// Most contacts.
pub const MAX_CONTACTS: usize = 5_000;

/// A contact.
#[derive(Clone, Serialize, Deserialize)]
pub struct ContactRecord {
    /// Who.
    pub account: AccountId,
    /// What they last said of themselves and their node.
    pub card: ContactCard,
    /// Their name, fit to be shown.
    pub name: String,
    /// This person's own name for them.
    pub alias: Option<String>,
    /// Since when.
    pub since: Timestamp,
    /// How the code was handed over, where this side knows.
    pub via: Option<Kind>,
    /// The symbols that both could compare.
    pub symbols: Option<[u8; 6]>,
    /// When they were last here.
    pub last_seen: Option<Timestamp>,
}

impl Wire for ContactRecord {
    const LIMIT: usize = 16 * 1024;
}

impl std::fmt::Debug for ContactRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ContactRecord").field("account", &self.account).finish_non_exhaustive()
    }
}

impl ContactRecord {
    /// What they are called here.
    #[must_use]
    pub fn shown_name(&self) -> String {
        match &self.alias {
            Some(alias) => alias.clone(),
            None if self.name.is_empty() => self.account.short(),
            None => self.name.clone(),
        }
    }
}

/// Why a contact was not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ContactError {
    /// Nothing is left of the alias once it is made fit to be shown.
    #[error("That name has no visible character. Leave it empty to use their own.")]
    EmptyAlias,
    /// Too long.
    #[error("That name is too long: {MAX_NAME} bytes at most.")]
    AliasTooLong,
}

impl Refusal for ContactError {
    fn code(&self) -> &'static str {
        match self {
            Self::EmptyAlias => "empty_alias",
            Self::AliasTooLong => "alias_too_long",
        }
    }

    fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

pub(super) fn start(ctx: &mut Ctx<'_>) -> Result<(), StoreError> {
    for record in all(ctx)? {
        restore_lane(ctx, record.account, has_mailbox(&record.card))?;
        ctx.state.seen.insert(record.account, Seen::restore(record.last_seen));
        know(ctx, record.account, &record.card)?;
        ctx.net(NetCommand::Connect(record.account));
    }
    Ok(())
}

/// A contact.
///
/// # Errors
/// [`StoreError`] when it cannot be read.
pub fn get(ctx: &Ctx<'_>, account: AccountId) -> Result<Option<ContactRecord>, StoreError> {
    ctx.get(&ctx.key(Tree::Contact, &account.0, &[]))
}

/// A contact, or the refusal that there is none.
///
/// # Errors
/// [`Failure`] when there is none.
pub fn expect(ctx: &Ctx<'_>, account: AccountId) -> Result<ContactRecord, Failure> {
    Ok(get(ctx, account)?.ok_or(NotFound("contact"))?)
}

/// All contacts.
///
/// # Errors
/// [`StoreError`] when they cannot be read.
pub fn all(ctx: &Ctx<'_>) -> Result<Vec<ContactRecord>, StoreError> {
    let rows = ctx.all(Tree::Contact, MAX_CONTACTS)?;
    Ok(rows.into_iter().map(|(_, record)| record).collect())
}

/// What a new contact begins with.
pub struct Origin {
    /// Their card.
    pub card: ContactCard,
    /// How the code was handed over.
    pub via: Option<Kind>,
    /// The symbols of the handshake.
    pub symbols: Option<[u8; 6]>,
}

impl std::fmt::Debug for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { card, via, symbols: _ } = self;
        f.debug_struct("Origin").field("card", card).field("via", via).finish_non_exhaustive()
    }
}

/// Makes a contact and its conversation, or updates the card of one that is there.
///
/// # Errors
/// [`StoreError`] when it cannot be stored.
pub fn add(ctx: &mut Ctx<'_>, account: AccountId, origin: Origin) -> Result<(), StoreError> {
    if let Some(mut record) = get(ctx, account)? {
        record.symbols = record.symbols.or(origin.symbols);
        put(ctx, &record)?;
        pin::on_met(ctx, account)?;
        rekey::learn(ctx, account)?;
        return on_card(ctx, account, origin.card);
    }
    let record = ContactRecord {
        account,
        name: displayable_name(&origin.card.name),
        card: origin.card,
        alias: None,
        since: ctx.now,
        via: origin.via,
        symbols: origin.symbols,
        last_seen: None,
    };
    put(ctx, &record)?;
    let chat = ChatId::of_pair(ctx.account.id, account);
    // Whoever was removed and met again goes on where the conversation ended: what is new must
    // not sort before what is old.
    if chat::get(ctx, chat)?.is_none() {
        let generation = life::generation(ctx)?;
        chat::begin(ctx, account, generation)?;
    }
    pin::on_met(ctx, account)?;
    rekey::learn(ctx, account)?;
    reach(ctx, account, &record.card)?;
    presence::greet(ctx, account)?;
    ctx.emit(Event::ContactChanged(account));
    ctx.emit(Event::ChatChanged(chat));
    Ok(())
}

/// They say that something about them has changed.
pub(super) fn on_card(
    ctx: &mut Ctx<'_>,
    account: AccountId,
    card: ContactCard,
) -> Result<(), StoreError> {
    let Some(mut record) = get(ctx, account)? else { return Ok(()) };
    if card.accept(record.card.version).is_err() {
        return Ok(());
    }
    record.name = match displayable_name(&card.name) {
        name if name.is_empty() => record.name,
        name => name,
    };
    let mailbox = |card: &ContactCard| card.mailboxes.first().map(|mailbox| mailbox.send);
    let moved = mailbox(&card) != mailbox(&record.card);
    record.card = card;
    put(ctx, &record)?;
    reach(ctx, account, &record.card)?;
    if let Some(lane) = ctx.state.lanes.get_mut(&account).filter(|_| moved) {
        lane.room_again();
    }
    ctx.emit(Event::ContactChanged(account));
    ctx.emit(Event::ChatChanged(ChatId::of_pair(ctx.account.id, account)));
    Ok(())
}

/// Gives a contact another name here; `None` for their own.
///
/// # Errors
/// [`Failure`] when there is no such contact, or the name is not fit.
pub fn rename(ctx: &mut Ctx<'_>, account: AccountId, alias: Option<&str>) -> Result<(), Failure> {
    let mut record = expect(ctx, account)?;
    record.alias = match alias.map(str::trim).filter(|alias| !alias.is_empty()) {
        None => None,
        Some(alias) if alias.len() > MAX_NAME => return Err(ContactError::AliasTooLong.into()),
        Some(alias) => match displayable_name(alias) {
            name if name.is_empty() => return Err(ContactError::EmptyAlias.into()),
            name => Some(name),
        },
    };
    put(ctx, &record)?;
    ctx.emit(Event::ContactChanged(account));
    ctx.emit(Event::ChatChanged(ChatId::of_pair(ctx.account.id, account)));
    Ok(())
}

/// Removes a contact: the sessions, what waits, the queue they may deposit in. The messages
/// stay until the person deletes the conversation.
///
/// # Errors
/// [`Failure`] when there is no such contact.
pub fn remove(ctx: &mut Ctx<'_>, account: AccountId) -> Result<(), Failure> {
    expect(ctx, account)?;
    outbox::drop_lane(ctx, account)?;
    let key = ctx.key(Tree::Contact, &account.0, &[]);
    ctx.delete(key);
    request::forget(ctx, account);
    ctx.delete_sessions(account);
    rekey::forget(ctx, account);
    verification::forget(ctx, account);
    pin::forget(ctx, account);
    queue::close(ctx, queue::Purpose::Contact(account))?;
    ctx.state.seen.remove(&account);
    ctx.state.paths.remove(&account);
    ctx.net(NetCommand::Forget(account));
    ctx.emit(Event::ContactRemoved(account));
    Ok(())
}

/// Tells every contact where we are now and who we say we are.
pub(super) fn send_cards(ctx: &mut Ctx<'_>) -> Result<(), StoreError> {
    for record in all(ctx)? {
        send_card(ctx, record.account)?;
    }
    Ok(())
}

/// Tells one contact.
pub(super) fn send_card(ctx: &mut Ctx<'_>, account: AccountId) -> Result<(), StoreError> {
    let card = profile::card_for(ctx, account, true)?;
    outbox::supersede_cards(ctx, account);
    session::send_unasked(ctx, account, Content::Card(card), Class::Card)
}

pub(super) fn on_listening(ctx: &mut Ctx<'_>, addresses: Vec<Address>) -> Result<(), StoreError> {
    if ctx.state.listening == addresses {
        return Ok(());
    }
    ctx.state.listening = addresses;
    let network = crate::view::network_status(ctx)?;
    ctx.emit_volatile(crate::api::dto::EventBody::Network(network));
    send_cards(ctx)
}

pub(super) fn on_connected(
    ctx: &mut Ctx<'_>,
    account: AccountId,
    path: Path,
) -> Result<(), StoreError> {
    let now = ctx.now;
    if let Some(lane) = ctx.state.lanes.get_mut(&account) {
        lane.on_connected(now);
    }
    let first = ctx.state.paths.insert(account, path).is_none();
    if first {
        presence::greet(ctx, account)?;
        chat::ask_again(ctx, account)?;
    }
    tell_reach(ctx, account)
}

pub(super) fn on_disconnected(ctx: &mut Ctx<'_>, account: AccountId) -> Result<(), StoreError> {
    ctx.state.paths.remove(&account);
    if let Some(lane) = ctx.state.lanes.get_mut(&account) {
        lane.on_disconnected();
    }
    presence::on_disconnected(ctx, account)?;
    tell_reach(ctx, account)
}

pub(super) fn on_unreachable(ctx: &mut Ctx<'_>, account: AccountId) -> Result<(), StoreError> {
    let now = ctx.now;
    ctx.state.paths.remove(&account);
    if let Some(lane) = ctx.state.lanes.get_mut(&account) {
        lane.on_unreachable(now);
    }
    outbox::explain(ctx, account)
}

/// Makes the lane of an account that has none, and tells the network who may connect.
///
/// # Errors
/// [`StoreError`] when stored parcels cannot be read.
pub fn reach(ctx: &mut Ctx<'_>, account: AccountId, card: &ContactCard) -> Result<(), StoreError> {
    match ctx.state.lanes.get_mut(&account) {
        Some(lane) => lane.set_mailbox(has_mailbox(card)),
        None => restore_lane(ctx, account, has_mailbox(card))?,
    }
    know(ctx, account, card)
}

/// Stores a contact.
///
/// # Errors
/// [`StoreError`] when it exceeds its bound.
pub fn put(ctx: &mut Ctx<'_>, record: &ContactRecord) -> Result<(), StoreError> {
    let key = ctx.key(Tree::Contact, &record.account.0, &[]);
    ctx.put(key, record)
}

pub(super) fn restore_lane(
    ctx: &mut Ctx<'_>,
    account: AccountId,
    has_mailbox: bool,
) -> Result<(), StoreError> {
    let all = (&0u64.to_be_bytes()[..], &u64::MAX.to_be_bytes()[..]);
    let rows: Vec<(_, Parcel)> =
        ctx.range((Tree::Outbox, &account.0), all, Order::Rising, protocol::outbox::MAX_PARCELS)?;
    let mut lane = Lane::restore(rows.into_iter().map(|(_, parcel)| parcel), has_mailbox);
    if ctx.state.paths.contains_key(&account) {
        lane.on_connected(ctx.now);
    }
    ctx.state.lanes.insert(account, lane);
    Ok(())
}

fn know(ctx: &mut Ctx<'_>, account: AccountId, card: &ContactCard) -> Result<(), StoreError> {
    let homes = card.homes.iter().map(|home| told_home(ctx, home)).collect::<Result<_, _>>()?;
    ctx.net(NetCommand::Know { account, addresses: card.addresses.clone(), homes });
    Ok(())
}

/// A relay as somebody else names it. Of our own relay we know better; of another, an address on
/// this machine would only make us poke at local services.
///
/// # Errors
/// [`StoreError`] when our own relay cannot be read.
pub fn told_home(ctx: &Ctx<'_>, home: &RelayHome) -> Result<RelayHome, StoreError> {
    if let Some(ours) = registration::relay(ctx)?.filter(|ours| ours.relay == home.relay) {
        return Ok(ours);
    }
    let mut told = home.clone();
    if !ctx.state.settings.confined {
        told.addresses.retain(|address| !crate::net::is_local(address));
    }
    Ok(told)
}

fn has_mailbox(card: &ContactCard) -> bool {
    !card.mailboxes.is_empty()
}

fn tell_reach(ctx: &mut Ctx<'_>, account: AccountId) -> Result<(), StoreError> {
    if let Some(record) = get(ctx, account)? {
        let contact = crate::view::contact(ctx, &record)?;
        ctx.emit_volatile(crate::api::dto::EventBody::ContactChanged(contact));
    }
    outbox::explain(ctx, account)
}
