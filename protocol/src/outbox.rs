//! The outbox lane of one contact: what to send next, over what, and when to try again.
//!
//! 1. A frame is sealed once and stored; the lane keeps a light [`Parcel`] of it.
//! 2. While the contact is connected, parcels go straight to it in batches, one at a time.
//! 3. While it is not, the lane asks for a connection and hedges: after [`HEDGE`] without one,
//!    or once the contact is known to be unreachable, frames are left at its relay. So are those
//!    of a batch that stays unanswered for [`UNANSWERED`], or failed: a connection can be dead for
//!    half a minute before anybody notices.
//! 4. A full mailbox has room left for what is not a person's words: that goes there at once, the rest when the
//!    contact signs for something that its relay held (it has fetched, so there is room again), or after a pause.
//! 5. The recipient's signed receipt ends a parcel. A relay's custody ends a receipt's parcel
//!    and quiets any other until the contact comes back, or the custody runs out.
//!
//! # Invariants
//! * The same bytes are sent on every attempt; a parcel is never sealed again.
//! * At most one batch goes straight at a time, and at most one to the relay, so frames arrive in
//!   the order of their sending. A frame that could not be opened waits alone.
//! * Only signed evidence removes a parcel. A failure to send is never taken for non-delivery.
//!
//! The lane is rebuilt from stored parcels at start; its retry state is not stored. Knows
//! nothing of sessions or sockets. Spec: `docs/protocol/wire.md` §8.

mod flight;
mod parcel;

use std::collections::VecDeque;

use self::flight::Flight;
pub use self::parcel::{Action, Class, DepositEnd, Hopeless, Parcel, Waiting};
use crate::Cx;
use crate::ids::{EnvelopeId, MessageId};
use crate::time::{DAY, HOUR, MINUTE, SECOND, Timestamp};

/// How long a frame waits for a connection before it is left at a relay as well.
pub const HEDGE: u64 = 2 * SECOND;
/// How long a direct batch may be unanswered before its frames are left at a relay as well.
pub const UNANSWERED: u64 = 4 * SECOND;
/// How long a contact that was unreachable is not dialled before the next frame goes to its
/// relay at once.
pub const DIAL_QUIET: u64 = 30 * SECOND;
/// First wait after a failure; doubles up to [`BACKOFF_MAX`], with full jitter.
pub const BACKOFF_MIN: u64 = SECOND;
/// Longest wait between attempts.
pub const BACKOFF_MAX: u64 = 5 * MINUTE;
/// After a contact comes back, how long its relay has to hand over what it holds before the
/// same frames are sent straight.
pub const CUSTODY_GRACE: u64 = 5 * SECOND;
/// How long before a custody runs out the frame is sent again.
pub const CUSTODY_MARGIN: u64 = 12 * HOUR;
/// How long a message is tried before it is given up.
pub const LIFE: u64 = 30 * DAY;
/// Keeping time asked of a relay for what a person says, seconds.
pub const TTL_SECONDS: u32 = 14 * 24 * 3600;
/// Keeping time asked for what keeps two people in touch, seconds: as long as it is tried.
pub const CONTROL_TTL_SECONDS: u32 = 30 * 24 * 3600;
/// Most frames in one batch: enough to share a commit and a round trip, and few enough that one side
/// works on the next while the other works on this.
pub const MAX_BATCH: usize = 32;
/// Most bytes in one batch.
pub const MAX_BATCH_BYTES: usize = 160 * 1024;
/// Most parcels waiting for one contact; sending more is refused.
pub const MAX_PARCELS: usize = 10_000;
/// How often a frame may stay out of the receipts of a node that answered before it is held
/// undeliverable.
pub const MAX_REFUSALS: u32 = 40;

/// The lane of one contact.
#[derive(Clone, Debug)]
pub struct Lane {
    parcels: VecDeque<Tracked>,
    delivering: Option<Flight>,
    depositing: Option<Flight>,
    connected: bool,
    has_mailbox: bool,
    connect_asked: Option<Timestamp>,
    unreachable_since: Option<Timestamp>,
    connected_since: Timestamp,
    direct_failures: u32,
    direct_after: Timestamp,
    mailbox_failures: u32,
    mailbox_after: Timestamp,
    /// The mailbox took no more when it was tried last.
    full: bool,
    /// Its reserved room is not tried before.
    reserve_after: Timestamp,
}

#[derive(Clone, Debug)]
struct Tracked {
    parcel: Parcel,
    refusals: u32,
    /// Not sent straight before: it could not be opened there last time.
    straight_after: Timestamp,
}

impl Tracked {
    fn new(parcel: Parcel) -> Self {
        Self { parcel, refusals: 0, straight_after: Timestamp(0) }
    }
}

impl Lane {
    /// A lane with what the store holds for this contact, in order.
    #[must_use]
    pub fn restore(parcels: impl IntoIterator<Item = Parcel>, has_mailbox: bool) -> Self {
        Self {
            parcels: parcels.into_iter().map(Tracked::new).collect(),
            delivering: None,
            depositing: None,
            connected: false,
            has_mailbox,
            connect_asked: None,
            unreachable_since: None,
            connected_since: Timestamp(0),
            direct_failures: 0,
            direct_after: Timestamp(0),
            mailbox_failures: 0,
            mailbox_after: Timestamp(0),
            full: false,
            reserve_after: Timestamp(0),
        }
    }

    /// Parcels that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.parcels.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parcels.is_empty()
    }

    /// The parcels, in order.
    pub fn parcels(&self) -> impl Iterator<Item = &Parcel> {
        self.parcels.iter().map(|tracked| &tracked.parcel)
    }

    /// The least order that the next parcel may have. The caller uses none twice, over all lanes
    /// and for as long as an answer may come: a late answer must not name a newer parcel.
    #[must_use]
    pub fn next_order(&self) -> u64 {
        self.parcels.back().map_or(1, |last| last.parcel.order + 1)
    }

    /// A new frame is stored.
    pub fn push(&mut self, parcel: Parcel) {
        self.parcels.push_back(Tracked::new(parcel));
    }

    /// The contact gave (or took back) a right to deposit.
    pub fn set_mailbox(&mut self, has_mailbox: bool) {
        if has_mailbox && !self.has_mailbox {
            self.room_again();
        }
        self.has_mailbox = has_mailbox;
    }

    /// A connection to the contact is open.
    pub fn on_connected(&mut self, now: Timestamp) {
        if !self.connected {
            self.connected_since = now;
        }
        self.connected = true;
        self.connect_asked = None;
        self.unreachable_since = None;
        self.direct_failures = 0;
        self.try_straight();
    }

    /// The last connection closed.
    pub fn on_disconnected(&mut self) {
        self.connected = false;
        self.connect_asked = None;
    }

    /// No address of the contact answered.
    pub fn on_unreachable(&mut self, now: Timestamp) {
        self.connected = false;
        self.connect_asked = None;
        self.unreachable_since = Some(now);
    }

    /// The person asked to try now: no wait that is running counts any more.
    pub fn try_now(&mut self) {
        self.unreachable_since = None;
        self.mailbox_after = Timestamp(0);
        self.reserve_after = Timestamp(0);
        self.try_straight();
    }

    /// There is room in the contact's mailbox again, or it is another one: what it refused before says nothing.
    pub fn room_again(&mut self) {
        self.full = false;
        self.mailbox_failures = 0;
        self.mailbox_after = Timestamp(0);
        self.reserve_after = Timestamp(0);
    }

    fn try_straight(&mut self) {
        self.direct_after = Timestamp(0);
        self.parcels.iter_mut().for_each(|tracked| tracked.straight_after = Timestamp(0));
    }

    /// Whether a connection is open.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.connected
    }

    /// The recipient signed for these, over whatever path. Returns the parcels that are done.
    pub fn on_delivered(&mut self, envelopes: &[EnvelopeId]) -> Vec<Parcel> {
        let done = self.remove(|parcel| envelopes.contains(&parcel.envelope));
        if self.full && done.iter().any(|parcel| parcel.custody_until.is_some()) {
            // It was fetched from there.
            self.room_again();
        }
        done
    }

    /// A direct batch was answered: those of `sent` that were signed for are gone already (the
    /// caller gave them to [`on_delivered`](Self::on_delivered)); the rest could not be opened
    /// there, and each waits by itself.
    pub fn on_deliver_answered(&mut self, sent: &[u64], cx: &mut Cx<'_>) {
        Flight::land(&mut self.delivering, sent);
        self.direct_failures = 0;
        self.direct_after = Timestamp(0);
        for tracked in &mut self.parcels {
            if sent.contains(&tracked.parcel.order) {
                tracked.refusals += 1;
                tracked.straight_after = cx.now.plus(backoff(tracked.refusals, cx));
            }
        }
    }

    /// A direct batch failed; whether the other node has it is unknown.
    pub fn on_deliver_failed(&mut self, sent: &[u64], cx: &mut Cx<'_>) {
        Flight::land(&mut self.delivering, sent);
        self.direct_failures += 1;
        self.direct_after = cx.now.plus(backoff(self.direct_failures, cx));
    }

    /// The relay keeps this one until `until`. Returns the parcel as it should be stored, and
    /// whether it is done with (a receipt's).
    pub fn on_custody(&mut self, order: u64, until: Timestamp) -> Option<(Parcel, bool)> {
        let index = self.parcels.iter().position(|tracked| tracked.parcel.order == order)?;
        let parcel = &mut self.parcels[index].parcel;
        parcel.custody_until = Some(until);
        let parcel = parcel.clone();
        let done = parcel.class == Class::Receipt;
        if done {
            self.parcels.remove(index);
        }
        Some((parcel, done))
    }

    /// A deposit ended.
    pub fn on_deposit_ended(&mut self, sent: &[u64], end: DepositEnd, cx: &mut Cx<'_>) {
        Flight::land(&mut self.depositing, sent);
        match end {
            DepositEnd::Taken => self.room_again(),
            DepositEnd::Full | DepositEnd::Failed => {
                self.full = end == DepositEnd::Full;
                self.mailbox_failures += 1;
                self.mailbox_after = cx.now.plus(backoff(self.mailbox_failures, cx));
            }
        }
    }

    /// A deposit into reserved room ended: of the ordinary room it says nothing.
    pub fn on_reserved_ended(&mut self, sent: &[u64], end: DepositEnd, cx: &mut Cx<'_>) {
        Flight::land(&mut self.depositing, sent);
        if end != DepositEnd::Taken {
            self.reserve_after = cx.now.plus(backoff(self.mailbox_failures, cx));
        }
    }

    /// A newer card is about to be queued: removes and returns older ones that nobody has yet.
    pub fn supersede_cards(&mut self) -> Vec<Parcel> {
        if self.delivering.is_some() || self.depositing.is_some() {
            return Vec::new();
        }
        self.remove(|parcel| parcel.class == Class::Card && parcel.custody_until.is_none())
    }

    /// Removes a parcel that a person deleted.
    pub fn forget(&mut self, message: MessageId) -> Vec<Parcel> {
        self.remove(|parcel| parcel.class == Class::Message(message))
    }

    /// Removes and returns what was tried for longer than its life, or refused too often, and
    /// which of the two it was.
    pub fn give_up(&mut self, now: Timestamp) -> Vec<(Parcel, Hopeless)> {
        let mut given_up = Vec::new();
        self.parcels.retain(|tracked| {
            let why = if tracked.refusals >= MAX_REFUSALS {
                Some(Hopeless::NeverOpened)
            } else {
                (now.since(tracked.parcel.sealed_at) >= LIFE).then_some(Hopeless::TooOld)
            };
            given_up.extend(why.map(|why| (tracked.parcel.clone(), why)));
            why.is_none()
        });
        given_up
    }

    /// What to do now, if anything. Call until it answers `None`.
    pub fn next_action(&mut self, now: Timestamp) -> Option<Action> {
        if self.parcels.is_empty() {
            return None;
        }
        self.next_delivery(now)
            .or_else(|| self.next_connect(now))
            .or_else(|| self.next_deposit(now))
    }

    fn next_delivery(&mut self, now: Timestamp) -> Option<Action> {
        if !self.connected || self.delivering.is_some() || now < self.direct_after {
            return None;
        }
        let batch = self.batch(|tracked| self.due_direct(tracked, now));
        self.delivering = Flight::of(&batch, now);
        self.delivering.map(|_| Action::Deliver(batch))
    }

    fn next_connect(&mut self, now: Timestamp) -> Option<Action> {
        let quiet = self.unreachable_since.is_some_and(|since| now.since(since) < DIAL_QUIET);
        if self.connected || self.delivering.is_some() || quiet || self.connect_asked.is_some() {
            return None;
        }
        let wants = self.parcels.iter().any(|tracked| needs_custody(tracked, now));
        (wants || self.unreachable_since.is_none()).then(|| {
            self.connect_asked = Some(now);
            Action::Connect
        })
    }

    fn next_deposit(&mut self, now: Timestamp) -> Option<Action> {
        let free = self.has_mailbox && self.depositing.is_none();
        if !free || !self.hedge_over(now) {
            return None;
        }
        let reserved = match (now >= self.mailbox_after, self.full && now >= self.reserve_after) {
            (true, _) => false,
            (false, true) => true,
            (false, false) => return None,
        };
        let batch = self.batch(|tracked| {
            needs_custody(tracked, now) && (!reserved || tracked.parcel.class.is_control())
        });
        self.depositing = Flight::of(&batch, now);
        self.depositing.map(|_| match reserved {
            true => Action::DepositReserved(batch),
            false => Action::Deposit(batch),
        })
    }

    /// When [`next_action`](Self::next_action) should be asked again without any other event.
    #[must_use]
    pub fn next_deadline(&self, now: Timestamp) -> Option<Timestamp> {
        if self.parcels.is_empty() {
            return None;
        }
        let mut deadlines = Vec::new();
        if let Some(flight) = self.delivering {
            deadlines.push(flight.since.plus(UNANSWERED));
        } else if self.connected {
            deadlines.push(self.direct_after);
            deadlines.extend(self.parcels.iter().map(|tracked| tracked.straight_after));
            if self.parcels.iter().any(|tracked| tracked.parcel.custody_until.is_some()) {
                deadlines.push(self.connected_since.plus(CUSTODY_GRACE));
            }
        } else {
            deadlines.extend(self.connect_asked.map(|asked| asked.plus(HEDGE)));
            deadlines.extend(self.unreachable_since.map(|since| since.plus(DIAL_QUIET)));
        }
        if self.has_mailbox && self.depositing.is_none() {
            deadlines.push(self.mailbox_after);
            deadlines.extend(self.full.then_some(self.reserve_after));
            let ends = self.parcels.iter().filter_map(|tracked| tracked.parcel.custody_until);
            deadlines.extend(ends.map(|until| until.minus(CUSTODY_MARGIN)));
        }
        deadlines.into_iter().filter(|&deadline| deadline > now).min()
    }

    /// Why the frame with this order waits, and when it is tried again.
    #[must_use]
    pub fn why(&self, order: u64, now: Timestamp) -> (Waiting, Option<Timestamp>) {
        let tracked = self.parcels.iter().find(|tracked| tracked.parcel.order == order);
        let waiting = match tracked {
            Some(tracked) if tracked.refusals > 0 => Waiting::NotOpened,
            Some(tracked) if !needs_custody(tracked, now) => Waiting::Custody,
            _ if self.delivering.is_some() || self.depositing.is_some() => Waiting::Sending,
            _ if self.connected && self.direct_failures == 0 => Waiting::Sending,
            _ if !self.has_mailbox => Waiting::NoMailbox,
            _ if self.full => Waiting::MailboxFull,
            _ if self.mailbox_failures > 0 => Waiting::MailboxFailed,
            _ => Waiting::Sending,
        };
        (waiting, self.next_deadline(now))
    }

    /// Whether the direct way has had its time.
    fn hedge_over(&self, now: Timestamp) -> bool {
        if let Some(flight) = self.delivering {
            return now.since(flight.since) >= UNANSWERED;
        }
        if self.connected {
            return self.direct_failures > 0;
        }
        match self.connect_asked {
            Some(asked) => now.since(asked) >= HEDGE,
            None => self.unreachable_since.is_some(),
        }
    }

    fn due_direct(&self, tracked: &Tracked, now: Timestamp) -> bool {
        let unkept =
            needs_custody(tracked, now) || now.since(self.connected_since) >= CUSTODY_GRACE;
        unkept && now >= tracked.straight_after
    }

    fn batch(&self, due: impl Fn(&Tracked) -> bool) -> Vec<u64> {
        let mut bytes = 0usize;
        self.parcels
            .iter()
            .filter(|tracked| due(tracked))
            .take(MAX_BATCH)
            .take_while(|tracked| {
                bytes += tracked.parcel.size as usize;
                bytes <= MAX_BATCH_BYTES
            })
            .map(|tracked| tracked.parcel.order)
            .collect()
    }

    fn remove(&mut self, done: impl Fn(&Parcel) -> bool) -> Vec<Parcel> {
        let mut removed = Vec::new();
        self.parcels.retain(|tracked| {
            let gone = done(&tracked.parcel);
            if gone {
                removed.push(tracked.parcel.clone());
            }
            !gone
        });
        removed
    }
}

fn needs_custody(tracked: &Tracked, now: Timestamp) -> bool {
    tracked.parcel.custody_until.is_none_or(|until| now >= until.minus(CUSTODY_MARGIN))
}

fn backoff(failures: u32, cx: &mut Cx<'_>) -> u64 {
    let ceiling = BACKOFF_MIN.saturating_mul(1 << failures.min(16)).min(BACKOFF_MAX);
    // Full jitter, but never less than a quarter of a second: a failing peer is not hammered.
    250 + cx.rng.next_u64() % ceiling
}

#[cfg(test)]
#[path = "outbox/tests.rs"]
mod tests;
