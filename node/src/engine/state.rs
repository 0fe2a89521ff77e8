//! What the engine knows and does not store: it can all be learnt again.

use std::collections::{BTreeMap, BTreeSet};

use protocol::ids::{AccountId, InviteId, QueueId, RelayId};
use protocol::outbox::Lane;
use protocol::presence::{Focus, Seen};
use protocol::registration::wire::RegisterResponse;
use protocol::rekey::Doubts;
use protocol::session::Sessions;
use protocol::time::Timestamp;

use super::{Ctx, Settings};
use crate::net::{NetFailure, Path, RelayPhase, Ticket};
use crate::service::chat::Gap;
use crate::service::queue::Place;
use crate::store::StoreError;

/// Most accounts whose sessions are kept open at once.
const MAX_OPEN_SESSIONS: usize = 256;

/// Handles a relay's answer to a registration request.
pub(crate) type OnRegister = Box<
    dyn FnOnce(&mut Ctx<'_>, Result<RegisterResponse, NetFailure>) -> Result<(), StoreError> + Send,
>;

/// Who handles the answer to a network command.
pub enum Answer {
    /// Frames that went straight to a contact, by their orders.
    Envelope(AccountId, Vec<u64>),
    /// Presence: nobody waits for it.
    Ephemeral,
    /// Frames that were left at a contact's relay, by their orders, and whether in reserved room.
    Deposit(AccountId, RelayId, (Vec<u64>, bool)),
    /// A bundle asked of the inviter's node.
    DirectBundle(AccountId),
    /// A bundle asked of the inviter's relay.
    RelayBundle(AccountId),
    /// A join request sent to the inviter's node.
    DirectJoin(AccountId),
    /// A join request left in the invite's drop.
    DropJoin(AccountId),
    /// A queue that was opened.
    QueueOpened(QueueId),
    /// A queue that was closed.
    QueueClosed(QueueId),
    /// A registration step.
    Register(OnRegister),
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Envelope(..) => "Envelope",
            Self::Ephemeral => "Ephemeral",
            Self::Deposit(..) => "Deposit",
            Self::DirectBundle(_) => "DirectBundle",
            Self::RelayBundle(_) => "RelayBundle",
            Self::DirectJoin(_) => "DirectJoin",
            Self::DropJoin(_) => "DropJoin",
            Self::QueueOpened(_) => "QueueOpened",
            Self::QueueClosed(_) => "QueueClosed",
            Self::Register(_) => "Register",
        })
    }
}

/// A relay that this node homes on.
#[derive(Clone, Copy, Debug)]
pub struct RelayView {
    /// How it stands.
    pub phase: RelayPhase,
    /// Since when.
    pub since: Timestamp,
    /// Its clock minus ours, milliseconds.
    pub clock_offset_ms: Option<i64>,
}

/// A scan that is under way.
#[derive(Clone, Debug, Default)]
pub struct Scan {
    /// Failed rounds so far.
    pub failures: u32,
    /// When the next round is due; `None` while one is under way.
    pub next_try: Option<Timestamp>,
}

/// Queues of ours, by their receive address.
#[derive(Debug, Default)]
pub struct Queues {
    /// All of them.
    pub known: BTreeMap<QueueId, Place>,
    /// Whose opening is not answered yet.
    pub opening: BTreeSet<QueueId>,
    /// Whose opening or closing failed: how often, and when it is tried again.
    pub retries: BTreeMap<QueueId, (u32, Timestamp)>,
    /// Which are left, and when it is looked whether they are done with.
    pub draining: BTreeMap<QueueId, Timestamp>,
    /// Since when, in this run, each relay hands over what it has.
    pub collected: BTreeMap<RelayId, Timestamp>,
}

/// What the engine knows and does not store.
#[derive(Debug)]
pub struct State {
    /// What the node was told at its start.
    pub settings: Settings,
    /// When it started.
    pub started_at: Timestamp,
    /// The number of the last event.
    pub seq: u64,
    /// Whether anybody follows what happens.
    pub followed: bool,
    /// Open sessions.
    pub sessions: SessionCache,
    /// Outbox lanes, by contact.
    pub lanes: BTreeMap<AccountId, Lane>,
    /// Orders of parcels below this one may be in answers that are still to come.
    pub next_order: u64,
    /// Open connections to contacts, and their best path.
    pub paths: BTreeMap<AccountId, Path>,
    /// Presence of contacts.
    pub seen: BTreeMap<AccountId, Seen>,
    /// This person's own tabs.
    pub focus: Focus,
    /// What contacts were last told of our presence, and when it must be renewed.
    pub told: Told,
    /// Whom we are writing to, and until when that holds.
    pub typing: BTreeMap<AccountId, Timestamp>,
    /// Relays that we home on.
    pub relays: BTreeMap<RelayId, RelayView>,
    /// When what a relay says of its processes was taken last.
    pub relay_news_at: Option<Timestamp>,
    /// Where this node listens.
    pub listening: Vec<protocol::contact::Address>,
    /// Scans under way, by inviter.
    pub scans: BTreeMap<AccountId, Scan>,
    /// Queues of ours.
    pub queues: Queues,
    /// Read receipts that are being gathered, and when they are sent.
    pub reads_due: BTreeMap<AccountId, Timestamp>,
    /// Delivered receipts that are being gathered, per contact.
    pub receipts_due: BTreeMap<AccountId, Vec<protocol::ids::EnvelopeId>>,
    /// To whom messages are sent again that they lost, and when the next of them are.
    pub owing: BTreeMap<AccountId, Timestamp>,
    /// When contacts asked for what they lost, in the last day.
    pub asked_by: BTreeMap<AccountId, Vec<Timestamp>>,
    /// Contacts of whom a message has not come though a later one has.
    pub gaps: BTreeMap<AccountId, Gap>,
    /// Frames of contacts that do not open.
    pub doubts: BTreeMap<AccountId, Doubts>,
    /// Whether strangers may connect.
    pub admits_strangers: bool,
    /// When invites, requests and old rows are looked through again.
    pub sweep_at: Timestamp,
    /// When offers of new keys are looked through for those that are over.
    pub forget_offers_at: Timestamp,
    /// When the credential is renewed.
    pub renew_at: Option<Timestamp>,
    /// When that was tried last.
    pub renewed_at: Option<Timestamp>,
    /// Invites whose number of failed tries was reported, so that a flood is one event a minute.
    pub failed_try_told: BTreeMap<InviteId, Timestamp>,
    answers: BTreeMap<Ticket, Answer>,
    next_ticket: u64,
}

/// What contacts were last told of our presence.
#[derive(Clone, Copy, Debug, Default)]
pub struct Told {
    /// What.
    pub here: bool,
    /// When.
    pub at: Option<Timestamp>,
}

impl State {
    pub(super) fn new(settings: Settings, now: Timestamp, seq: u64) -> Self {
        Self {
            settings,
            started_at: now,
            seq,
            followed: false,
            sessions: SessionCache::default(),
            lanes: BTreeMap::new(),
            next_order: 1,
            paths: BTreeMap::new(),
            seen: BTreeMap::new(),
            focus: Focus::default(),
            told: Told::default(),
            typing: BTreeMap::new(),
            relays: BTreeMap::new(),
            relay_news_at: None,
            listening: Vec::new(),
            scans: BTreeMap::new(),
            queues: Queues::default(),
            reads_due: BTreeMap::new(),
            receipts_due: BTreeMap::new(),
            owing: BTreeMap::new(),
            asked_by: BTreeMap::new(),
            gaps: BTreeMap::new(),
            doubts: BTreeMap::new(),
            admits_strangers: false,
            sweep_at: now,
            forget_offers_at: now,
            renew_at: None,
            renewed_at: None,
            failed_try_told: BTreeMap::new(),
            answers: BTreeMap::new(),
            next_ticket: 0,
        }
    }

    pub(super) fn await_answer(&mut self, answer: Answer) -> Ticket {
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        self.answers.insert(ticket, answer);
        ticket
    }

    /// Who handles the answer with this ticket.
    pub fn answer(&mut self, ticket: Ticket) -> Option<Answer> {
        self.answers.remove(&ticket)
    }

    pub(super) fn next_deadline(&self, now: Timestamp) -> Option<Timestamp> {
        let lanes = self.lanes.values().filter_map(|lane| lane.next_deadline(now));
        let seen = self.seen.values().filter_map(|seen| seen.next_deadline(now));
        let scans = self.scans.values().filter_map(|scan| scan.next_try);
        let queues = self.queues.retries.values().map(|(_, at)| *at);
        let doubts = self.doubts.values().filter_map(Doubts::due_at);
        let told = self.told.at.map(|at| at.plus(protocol::presence::RENEWAL));
        lanes
            .chain(seen)
            .chain(scans)
            .chain(queues)
            .chain(doubts)
            .chain(self.owing.values().copied())
            .chain(self.reads_due.values().copied())
            .chain(self.typing.values().copied())
            .chain(self.focus.next_deadline(now))
            .chain(told.filter(|_| self.told.here))
            .chain(self.renew_at)
            .chain([self.sweep_at])
            .min()
    }
}

/// Sessions kept open between steps, so that a message does not cost reading and parsing them.
#[derive(Debug, Default)]
pub struct SessionCache {
    open: BTreeMap<AccountId, Sessions>,
    dirty: BTreeSet<AccountId>,
}

impl SessionCache {
    pub(super) fn contains(&self, account: AccountId) -> bool {
        self.open.contains_key(&account)
    }

    /// Marks the sessions with `account` as used, opening them from `stored` if need be.
    pub(super) fn open(
        &mut self,
        account: AccountId,
        stored: Option<&[u8]>,
    ) -> Result<&mut Sessions, StoreError> {
        if !self.open.contains_key(&account) {
            self.make_room();
            let sessions = match stored {
                Some(bytes) => {
                    Sessions::from_bytes(bytes).map_err(|_| StoreError::Unreadable("session"))?
                }
                None => Sessions::default(),
            };
            self.open.insert(account, sessions);
        }
        self.dirty.insert(account);
        Ok(self.open.entry(account).or_default())
    }

    pub(super) fn forget(&mut self, account: AccountId) {
        self.open.remove(&account);
        self.dirty.remove(&account);
    }

    pub(super) fn take_dirty(&mut self) -> BTreeSet<AccountId> {
        std::mem::take(&mut self.dirty)
    }

    /// The bytes to store; `None` when there is no session any more.
    pub(super) fn to_bytes(
        &self,
        account: AccountId,
    ) -> Result<Option<zeroize::Zeroizing<Vec<u8>>>, StoreError> {
        let Some(sessions) = self.open.get(&account).filter(|sessions| !sessions.is_empty()) else {
            return Ok(None);
        };
        sessions.to_bytes().map(Some).map_err(|_| StoreError::Unreadable("session"))
    }

    /// Closes one that this step has not touched; all others can be read again.
    fn make_room(&mut self) {
        if self.open.len() < MAX_OPEN_SESSIONS {
            return;
        }
        let idle = self.open.keys().copied().find(|account| !self.dirty.contains(account));
        if let Some(account) = idle {
            self.open.remove(&account);
        }
    }
}
