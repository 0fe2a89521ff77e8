//! One side of a conversation: session, chat and outbox, as a node drives them.

use std::collections::{BTreeMap, BTreeSet};

use crypto::{Bundle, FIRST_AGREEMENT_VERSION, Identity, Secret, Seed, join};
use protocol::Cx;
use protocol::chat::{Author, Chat, Claimed, Delivered, DeliveryState, Message, Position};
use protocol::contact::ContactCard;
use protocol::envelope::{Content, Envelope, ReadUpTo, Text};
use protocol::ids::{AccountId, EnvelopeId, MessageId};
use protocol::invite::{Arrival, Attempt, Invite, Kind, MintSpec, join_payload};
use protocol::outbox::{Action, Class, Lane, Parcel};
use protocol::receipt::DeliveryReceipt;
use protocol::session::Sessions;
use protocol::time::{SECOND, Timestamp};
use protocol::wire::{Wire, decode, encode};
use rand::rngs::StdRng;

/// How long an answer is waited for.
const TIMEOUT: u64 = 5 * SECOND;

/// What travels.
#[derive(Clone, Debug)]
pub(crate) enum Packet {
    /// A batch of frames, under a number.
    Deliver(u64, Vec<Vec<u8>>),
    /// The answer to that number.
    Durable(u64, DeliveryReceipt),
}

/// A batch that was not answered yet.
#[derive(Debug)]
struct Flight {
    number: u64,
    orders: Vec<u64>,
    until: Timestamp,
}

/// One side.
#[derive(Debug)]
pub(crate) struct Peer {
    identity: Identity,
    pub(crate) me: AccountId,
    them: AccountId,
    sessions: Sessions,
    chat: Chat,
    pub(crate) lane: Lane,
    frames: BTreeMap<u64, Vec<u8>>,
    messages: BTreeMap<Position, Message>,
    seen: BTreeSet<EnvelopeId>,
    flight: Option<Flight>,
    numbers: u64,
    /// Parcels that were ever queued, and those that evidence has ended.
    queued: BTreeSet<EnvelopeId>,
    proved: BTreeSet<EnvelopeId>,
    furthest: BTreeMap<MessageId, DeliveryState>,
}

pub(crate) fn identity(byte: u8) -> Identity {
    Identity::from_seed(&Seed::from_secret(Secret::from_bytes([byte; 32])))
}

/// The sessions of two people who have met through the real handshake, the inviter's first.
pub(crate) fn met(now: Timestamp, rng: &mut StdRng) -> [Sessions; 2] {
    let (ada, ben) = (identity(1), identity(2));
    let cert = |of: &Identity| of.primary_cert(FIRST_AGREEMENT_VERSION, now.seconds(), 0);
    let spec = MintSpec {
        kind: Kind::InPerson,
        label: String::new(),
        life: None,
        relays: Vec::new(),
        name: None,
    };
    let (mut invite, token) = Invite::mint(&ada, &cert(&ada), spec, &mut Cx { now, rng }).unwrap();
    let bundle = Bundle::open(&token, invite.bundle().unwrap()).unwrap();
    let card = ContactCard { version: 1, ..ContactCard::default() };
    let payload = join_payload([0; 32], card).unwrap();
    let joined = join(&ben, &cert(&ben), &token, &bundle, &payload, rng).unwrap();
    let opened = invite.open(&ada, &joined.request, Arrival::Direct, now).unwrap();
    let Attempt::New(opened) = opened else { panic!("the first request") };
    let (mut adas, mut bens) = (Sessions::default(), Sessions::default());
    adas.add(opened.session, now);
    bens.add(joined.session, now);
    [adas, bens]
}

/// Two people who have met.
pub(crate) fn pair(now: Timestamp, rng: &mut StdRng) -> [Peer; 2] {
    let [adas, bens] = met(now, rng);
    let (ada, ben) = (identity(1), identity(2));
    let ids: (AccountId, AccountId) = (ada.account().into(), ben.account().into());
    // The inviter speaks first: its answer confirms the handshake.
    let mut ada = Peer::new(ada, ids.1, adas, now);
    let ben = Peer::new(ben, ids.0, bens, now);
    ada.push(Content::Reject, Class::Control, None, &mut Cx { now, rng });
    [ada, ben]
}

impl Peer {
    fn new(identity: Identity, them: AccountId, sessions: Sessions, now: Timestamp) -> Self {
        let me = identity.account().into();
        Self {
            identity,
            me,
            them,
            sessions,
            chat: Chat::new(me, them, now),
            lane: Lane::restore([], false),
            frames: BTreeMap::new(),
            messages: BTreeMap::new(),
            seen: BTreeSet::new(),
            flight: None,
            numbers: 0,
            queued: BTreeSet::new(),
            proved: BTreeSet::new(),
            furthest: BTreeMap::new(),
        }
    }

    /// Writes a message.
    pub(crate) fn say(&mut self, text: &str, cx: &mut Cx<'_>) {
        let id = MessageId::random(cx.rng);
        let message = self.chat.compose(id, text.to_owned(), None, cx.now);
        let content = Content::Text(Text { text: text.to_owned() });
        self.push(content, Class::Message(id), Some(&message), cx);
        self.messages.insert(message.position, message);
    }

    /// Reads everything that is there.
    pub(crate) fn read(&mut self, cx: &mut Cx<'_>) {
        let theirs = self.messages.values().filter(|message| message.author == Author::Them);
        let Some((position, id)) = theirs.map(|message| (message.position, message.id)).next_back()
        else {
            return;
        };
        if self.chat.read(position, self.chat.unread) {
            let read = Content::Read(ReadUpTo { message: id, at: cx.now });
            self.push(read, Class::Receipt, None, cx);
        }
    }

    /// Starts again from what was stored. Nothing that was in flight is remembered.
    pub(crate) fn restart(&mut self, connected: bool, now: Timestamp) {
        self.sessions = Sessions::from_bytes(&self.sessions.to_bytes().unwrap()).unwrap();
        self.chat = stored(&self.chat);
        self.messages =
            self.messages.iter().map(|(position, message)| (*position, stored(message))).collect();
        let parcels: Vec<Parcel> = self.lane.parcels().map(stored).collect();
        self.lane = Lane::restore(parcels, false);
        self.flight = None;
        if connected {
            self.lane.on_connected(now);
        }
    }

    /// What this side wants sent now.
    pub(crate) fn step(&mut self, cx: &mut Cx<'_>) -> Vec<Packet> {
        if let Some(flight) = self.flight.take_if(|flight| flight.until <= cx.now) {
            self.lane.on_deliver_failed(&flight.orders, cx);
        }
        let mut packets = Vec::new();
        while let Some(action) = self.lane.next_action(cx.now) {
            let Action::Deliver(orders) = action else { continue };
            self.numbers += 1;
            let frames = orders.iter().map(|order| self.frames[order].clone()).collect();
            packets.push(Packet::Deliver(self.numbers, frames));
            let until = cx.now.plus(TIMEOUT);
            self.flight = Some(Flight { number: self.numbers, orders, until });
        }
        self.check();
        packets
    }

    /// When this side wants to be stepped again.
    pub(crate) fn next_deadline(&self, now: Timestamp) -> Option<Timestamp> {
        let flight = self.flight.as_ref().map(|flight| flight.until);
        [flight, self.lane.next_deadline(now)].into_iter().flatten().min()
    }

    /// Something arrived. Returns the answer to it.
    pub(crate) fn receive(&mut self, packet: Packet, cx: &mut Cx<'_>) -> Option<Packet> {
        match packet {
            Packet::Deliver(number, frames) => {
                let durable = frames.iter().filter_map(|frame| self.take(frame, cx.now)).collect();
                let receipt = DeliveryReceipt::sign(&self.identity, self.them, durable, cx.now);
                Some(Packet::Durable(number, receipt))
            }
            Packet::Durable(number, receipt) => {
                receipt.verify(self.them, self.me).unwrap();
                for parcel in self.lane.on_delivered(&receipt.envelopes) {
                    self.frames.remove(&parcel.order);
                    self.proved.insert(parcel.envelope);
                    if let Class::Message(id) = parcel.class {
                        let delivered = Delivered { at: cx.now, route: None };
                        self.delivery(id, |delivery| delivery.on_delivered(delivered));
                    }
                }
                let answered = self.flight.take_if(|flight| flight.number == number);
                if let Some(flight) = answered {
                    self.lane.on_deliver_answered(&flight.orders, cx);
                }
                None
            }
        }
    }

    /// Ids in reading order.
    pub(crate) fn conversation(&self) -> Vec<MessageId> {
        self.messages.values().map(|message| message.id).collect()
    }

    /// What this author's messages say, in reading order.
    pub(crate) fn texts(&self, author: Author) -> Vec<String> {
        let by_author = self.messages.values().filter(|message| message.author == author);
        by_author.map(|message| message.text.clone().unwrap()).collect()
    }

    /// The states of this side's own messages.
    pub(crate) fn states(&self) -> Vec<DeliveryState> {
        let ledgers = self.messages.values().filter_map(|message| message.delivery.as_ref());
        ledgers.map(protocol::chat::Delivery::state).collect()
    }

    fn push(&mut self, content: Content, class: Class, at: Option<&Message>, cx: &mut Cx<'_>) {
        let envelope = Envelope {
            message: at.map_or_else(|| MessageId::random(cx.rng), |message| message.id),
            chat: self.chat.id,
            seq: at.map_or(0, |message| message.seq),
            lamport: at.map_or(0, |message| Chat::lamport_of(message.position)),
            at: cx.now,
            expiry_seconds: 0,
            content,
        };
        let frame = self.sessions.seal(&envelope, cx).unwrap();
        let parcel = Parcel {
            order: self.lane.next_order(),
            envelope: EnvelopeId::of(&frame),
            size: u32::try_from(frame.len()).unwrap(),
            class,
            sealed_at: cx.now,
            custody_until: None,
        };
        self.queued.insert(parcel.envelope);
        self.frames.insert(parcel.order, frame);
        self.lane.push(parcel);
    }

    fn take(&mut self, frame: &[u8], now: Timestamp) -> Option<EnvelopeId> {
        let id = EnvelopeId::of(frame);
        if self.seen.contains(&id) {
            return Some(id);
        }
        let (_, envelope) = self.sessions.open(frame, now).ok()?;
        self.seen.insert(id);
        match &envelope.content {
            Content::Text(text) => {
                let claimed = Claimed {
                    message: envelope.message,
                    seq: envelope.seq,
                    lamport: envelope.lamport,
                    at: envelope.at,
                };
                let message = self.chat.receive(claimed, Some(text.text.clone()), now).unwrap();
                let earlier = self.messages.insert(message.position, message);
                assert!(earlier.is_none(), "two messages in one place");
            }
            Content::Read(read) => {
                let position =
                    self.messages.values().find(|message| message.id == read.message).unwrap();
                if let Some(from) = self.chat.they_read(position.position) {
                    let to = self.chat.they_read_up_to;
                    let span = self.messages.range(from..=to);
                    let ids: Vec<_> = span.map(|(_, message)| message.id).collect();
                    for id in ids {
                        self.delivery(id, |delivery| delivery.on_read(now));
                    }
                }
            }
            _ => {}
        }
        Some(id)
    }

    fn delivery(
        &mut self,
        id: MessageId,
        change: impl FnOnce(&mut protocol::chat::Delivery) -> bool,
    ) {
        let found = self.messages.values_mut().find(|message| message.id == id).unwrap();
        if let Some(delivery) = &mut found.delivery {
            change(delivery);
        }
    }

    /// What must hold at every moment.
    fn check(&mut self) {
        let waiting: BTreeSet<_> = self.lane.parcels().map(|parcel| parcel.envelope).collect();
        for envelope in &self.queued {
            let lost = !waiting.contains(envelope) && !self.proved.contains(envelope);
            assert!(!lost, "a parcel left the lane without a receipt");
        }
        for message in self.messages.values() {
            let Some(delivery) = &message.delivery else { continue };
            let before = self.furthest.insert(message.id, delivery.state());
            assert!(before.is_none_or(|before| before <= delivery.state()), "went back");
        }
    }
}

fn stored<T: Wire>(value: &T) -> T {
    decode(&encode(value).unwrap()).unwrap()
}
