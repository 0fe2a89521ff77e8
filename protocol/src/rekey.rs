//! Re-keying with one contact: when a session was lost, on which side ever, a new one comes without
//! anybody doing anything.
//!
//! 1. A frame of theirs that no session opens is a [doubt](Doubts). Doubts that stay become an offer.
//! 2. Whoever [offers](Rekey::offer) keeps the offer's prekeys until it is answered.
//! 3. Whoever [hears](Rekey::hear) an offer answers it and seals on the new session from then on; what
//!    waits is sealed anew.
//! 4. Whoever hears the answer has the session too, and does the same.
//!
//! Offers and answers are frames in the lane like any other: stored, repeated until they are signed for,
//! left at the relay. When both offer at once, both are answered.
//!
//! # Invariants
//! * The counters of offers rise, across restores too: with the clock, and never below the last.
//! * An offer is answered once, and none that is not newer than the last one answered.
//! * At most [`MAX_A_DAY`] offers a day, as many answers and as many lives of theirs, with pauses that double from
//!   [`FIRST_PAUSE`] on: two nodes that do not understand each other do not keep each other busy.
//!
//! Spec: `docs/protocol/rekey.md`.

use std::collections::BTreeMap;

use crypto::Responded;
use crypto::rekey::{Offer, RekeyPrekeys, answer, complete};
use crypto::session::Session;
use crypto::{AccountKey, DeviceCert, Identity, Secret};
use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, ByteBuf};
use zeroize::Zeroize;

use crate::Cx;
use crate::ids::EnvelopeId;
use crate::invite::CERT_DOUBT;
use crate::pin::{Pin, Standing};
use crate::time::{DAY, HOUR, MINUTE, Timestamp};
use crate::wire::Wire;

/// Most keys that are shared with one contact, of the last meetings.
pub const MAX_SHARED: usize = 4;
/// Most offers of ours that may still be answered.
pub const MAX_PENDING: usize = 2;
/// Most offers, and most answers, in a day.
pub const MAX_A_DAY: usize = 5;
/// How long after an offer the next one may follow; doubles with each one of the same day.
pub const FIRST_PAUSE: u64 = 10 * MINUTE;
/// How long after an answer the next one to the same life may follow: less than [`FIRST_PAUSE`], for clocks differ.
pub const ANSWER_PAUSE: u64 = 5 * MINUTE;
/// How long an offer can be answered.
pub const OFFER_LIFE: u64 = 45 * DAY;
/// How far a relay's clock may be off when it says when it took a frame.
pub const RELAY_CLOCK: u64 = 2 * MINUTE;
/// How far ahead of our clock a counter may be, seconds: a clock that is far off must not make every
/// later offer an old one.
pub const COUNTER_AHEAD: u64 = 24 * 3600;
/// So many frames that do not open are no accident.
pub const DOUBTS_DUE: usize = 3;
/// How long they are given: what opens them may have been overtaken.
pub const GRACE: u64 = MINUTE;
/// How long a single one is given.
pub const LONE_GRACE: u64 = 15 * MINUTE;
/// After which time a frame that has not come again is not waited for any more.
pub const DOUBT_LIFE: u64 = HOUR;
/// Most frames that are doubted at a time.
pub const MAX_DOUBTS: usize = 64;

#[cfg(test)]
mod tests;

/// What is stored about re-keying with one contact.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Rekey {
    /// Newest first.
    shared: Vec<ByteArray<32>>,
    /// The counter of the last offer of theirs that was answered.
    answered: u64,
    /// When offers were answered lately.
    answers: Vec<Timestamp>,
    /// The counter of our last offer.
    offered: u64,
    /// When we offered lately.
    offers: Vec<Timestamp>,
    /// Offers that may still be answered, the newest last.
    pending: Vec<Pending>,
    /// The sessions are known to be lost: offer at the next opportunity.
    lost: bool,
    /// The last answer of ours: what makes a session theirs is not taken back.
    answer: Option<EnvelopeId>,
    /// When there was a new session last.
    renewed_at: Option<Timestamp>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Pending {
    prekeys: ByteBuf,
    offer: EnvelopeId,
    at: Timestamp,
}

impl Wire for Rekey {
    const LIMIT: usize = 1024;
}

impl Drop for Rekey {
    fn drop(&mut self) {
        self.shared.iter_mut().for_each(|key| key.zeroize());
        self.pending.iter_mut().for_each(|pending| pending.prekeys.zeroize());
    }
}

impl std::fmt::Debug for Rekey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rekey")
            .field("shared", &self.shared.len())
            .field("answered", &self.answered)
            .field("offered", &self.offered)
            .field("pending", &self.pending.len())
            .field("lost", &self.lost)
            .finish_non_exhaustive()
    }
}

/// Who re-keys: this account's keys and its device.
#[derive(Clone, Copy, Debug)]
pub struct Me<'a> {
    /// The keys.
    pub identity: &'a Identity,
    /// The device.
    pub cert: &'a DeviceCert,
}

/// What a frame that no session opens turned out to be.
#[derive(Debug)]
pub enum Heard {
    /// Neither an offer nor an answer.
    Nothing,
    /// An offer that comes too soon after others: it is left alone, and comes again.
    TooSoon,
    /// An offer that cannot be answered any more, or by whoever's clock is wrong: done with. Should
    /// its author need a session, an offer of ours gives them one.
    Stale,
    /// An offer or an answer of a life of theirs that is over: a copy that should not run. Done with.
    Past,
    /// An offer. The session seals from now on, and this goes out before anything sealed on it.
    Offered {
        /// The answer to be sent.
        answer: Vec<u8>,
        /// The new session.
        session: Session,
        /// Their device.
        cert: DeviceCert,
    },
    /// The answer to an offer of ours.
    Answered {
        /// The new session.
        session: Session,
        /// When the offer was made, by our clock.
        offered_at: Timestamp,
        /// Their device.
        cert: DeviceCert,
    },
}

impl Rekey {
    /// Keeps a key that a meeting made, for offers to come.
    pub fn share(&mut self, key: &Secret<32>) {
        let known = |shared: &ByteArray<32>| Secret::from_bytes(**shared).ct_eq(key);
        if !self.shared.iter().any(known) {
            self.shared.insert(0, ByteArray::new(*key.expose()));
            self.shared.iter_mut().skip(MAX_SHARED).for_each(|key| key.zeroize());
            self.shared.truncate(MAX_SHARED);
        }
    }

    /// Whether nothing is shared yet, so that no offer could be read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shared.is_empty()
    }

    /// What of it is to be in a backup: nothing that could be used twice.
    #[must_use]
    pub fn for_backup(&self) -> Self {
        let mut kept = Self::default();
        kept.shared.clone_from(&self.shared);
        (kept.answered, kept.offered) = (self.answered, self.offered);
        kept
    }

    /// Our sessions are gone, and so is all that was under way.
    pub fn lose(&mut self, counter: u64) {
        self.lost = true;
        (self.answer, self.renewed_at) = (None, None);
        self.forget_offers(self.pending.len());
        self.offered = self.offered.max(counter);
    }

    /// Whether an offer is to be made though no frame was doubted.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.lost
    }

    /// The last answer of ours.
    #[must_use]
    pub fn answer(&self) -> Option<EnvelopeId> {
        self.answer
    }

    /// Whether a frame that a relay took at this time was sealed before the last renewal, and so is
    /// sealed anew by its author.
    #[must_use]
    pub fn is_past(&self, deposited_at: Timestamp, now: Timestamp) -> bool {
        let renewed_at = self.renewed_at.filter(|at| *at <= now);
        renewed_at.is_some_and(|at| deposited_at < at.plus(RELAY_CLOCK))
    }

    /// When there was a new session last.
    #[must_use]
    pub fn renewed_at(&self) -> Option<Timestamp> {
        self.renewed_at
    }

    /// The two met again: there is a session. Returns whether that was needed.
    pub fn on_met(&mut self) -> bool {
        std::mem::take(&mut self.lost)
    }

    /// The newest offer that may still be answered.
    #[must_use]
    pub fn pending(&self) -> Option<EnvelopeId> {
        self.pending.last().map(|pending| pending.offer)
    }

    /// Makes an offer. The caller stores this state and the frame before it sends the frame.
    ///
    /// # Errors
    /// When to try again; `None` if never, for nothing is shared.
    pub fn offer(
        &mut self,
        me: Me<'_>,
        to: AccountKey,
        cx: &mut Cx<'_>,
    ) -> Result<Vec<u8>, Option<Timestamp>> {
        let psk = Secret::from_bytes(self.shared.first().ok_or(None)?.into_array());
        self.forget_over(cx.now);
        if let Some(at) = next_offer(&mut self.offers, cx.now) {
            return Err(Some(at));
        }
        let counter = cx.now.seconds().max(self.offered.saturating_add(1));
        let prekeys = RekeyPrekeys::generate(me.cert, counter, &mut *cx.rng);
        let frame = Offer::seal((me.identity, me.cert), &prekeys, to, &psk, &mut *cx.rng);
        self.offered = counter;
        self.offers.push(cx.now);
        if self.pending.len() == MAX_PENDING {
            self.forget_offers(1);
        }
        self.pending.push(Pending {
            prekeys: ByteBuf::from(prekeys.export().to_vec()),
            offer: EnvelopeId::of(&frame),
            at: cx.now,
        });
        Ok(frame)
    }

    /// Looks whether a frame of `from`, of whom `pin` is held, and that no session opens, is an offer or an
    /// answer.
    pub fn hear(
        &mut self,
        me: Me<'_>,
        (from, pin): (AccountKey, &Pin),
        frame: &[u8],
        cx: &mut Cx<'_>,
    ) -> Heard {
        if frame.len() != crypto::rekey::REKEY_LEN {
            return Heard::Nothing;
        }
        self.forget_over(cx.now);
        for index in 0..self.shared.len() {
            let psk = Secret::from_bytes(self.shared[index].into_array());
            if let Ok(offer) = Offer::open(frame, from, me.identity.account(), &psk) {
                return match pin.judge(offer.cert()) {
                    _ if pin.is_ahead(offer.cert(), ahead(cx.now)) => Heard::Stale,
                    Standing::Past => Heard::Past,
                    Standing::Known => self.on_offer(me, &offer, &psk, cx),
                    Standing::Anew if !may_begin_anew(pin, cx.now) => Heard::TooSoon,
                    Standing::Anew => self.answer_offer(me, &offer, &psk, cx),
                };
            }
            if let Some(heard) = self.on_answer(me, (from, pin), &psk, frame, cx.now) {
                return heard;
            }
        }
        Heard::Nothing
    }

    fn on_offer(&mut self, me: Me<'_>, offer: &Offer, psk: &Secret<32>, cx: &mut Cx<'_>) -> Heard {
        if self.is_new(offer, cx.now) && next_answer(&mut self.answers, cx.now).is_some() {
            return Heard::TooSoon;
        }
        let heard = self.answer_offer(me, offer, psk, cx);
        if matches!(heard, Heard::Offered { .. }) {
            self.answers.push(cx.now);
        }
        heard
    }

    /// Whether an offer is none that was answered, nor of whoever's clock is wrong.
    fn is_new(&self, offer: &Offer, now: Timestamp) -> bool {
        offer.counter() > self.answered
            && offer.counter() <= ahead(now)
            && offer.cert().is_current(judged(now))
    }

    fn answer_offer(
        &mut self,
        me: Me<'_>,
        offer: &Offer,
        psk: &Secret<32>,
        cx: &mut Cx<'_>,
    ) -> Heard {
        if !self.is_new(offer, cx.now) {
            return Heard::Stale;
        }
        let Ok(answered) = answer(me.identity, me.cert, offer, psk, &mut *cx.rng) else {
            // Keys of low order: its author did not make it with this program.
            return Heard::Stale;
        };
        self.answered = offer.counter();
        self.answer = Some(EnvelopeId::of(&answered.answer));
        self.on_renewed(cx.now);
        Heard::Offered {
            answer: answered.answer,
            session: answered.session,
            cert: offer.cert().clone(),
        }
    }

    fn on_answer(
        &mut self,
        me: Me<'_>,
        (from, pin): (AccountKey, &Pin),
        psk: &Secret<32>,
        frame: &[u8],
        now: Timestamp,
    ) -> Option<Heard> {
        let answered = |(index, pending): (usize, &Pending)| {
            let prekeys = RekeyPrekeys::import(&pending.prekeys).ok()?;
            let responded = complete(me.identity, &prekeys, from, psk, frame).ok()?;
            let current = responded.cert.is_current(judged(now));
            current.then_some((index, pending.at, responded))
        };
        let (index, offered_at, responded) = self.pending.iter().enumerate().find_map(answered)?;
        if pin.judge(&responded.cert) == Standing::Past || pin.is_ahead(&responded.cert, ahead(now))
        {
            return Some(Heard::Past);
        }
        // A newer one may be answered as well: it may be on its way already.
        self.forget_offers(index + 1);
        self.on_renewed(now);
        let Responded { session, cert, .. } = responded;
        Some(Heard::Answered { session, offered_at, cert })
    }
}

/// The latest time at which something can have been made: clocks may differ.
fn ahead(now: Timestamp) -> u64 {
    now.seconds().saturating_add(COUNTER_AHEAD)
}

/// The time by which a certificate is judged: clocks may differ.
fn judged(now: Timestamp) -> u64 {
    now.minus(CERT_DOUBT).seconds()
}

impl Rekey {
    fn on_renewed(&mut self, now: Timestamp) {
        self.lost = false;
        self.renewed_at = Some(now);
    }

    /// Forgets offers that are over, and the keys that would answer them. Returns whether there were any.
    pub fn forget_over(&mut self, now: Timestamp) -> bool {
        let before = self.pending.len();
        self.pending.retain_mut(|made| {
            // Of now, if the clock was put back.
            made.at = made.at.min(now);
            let over = now.since(made.at) >= OFFER_LIFE;
            if over {
                made.prekeys.zeroize();
            }
            !over
        });
        self.pending.len() != before
    }

    /// Forgets the oldest offers.
    fn forget_offers(&mut self, count: usize) {
        for mut pending in self.pending.drain(..count) {
            pending.prekeys.zeroize();
        }
    }
}

/// When the next offer may be made, if not now.
fn next_offer(offers: &mut Vec<Timestamp>, now: Timestamp) -> Option<Timestamp> {
    of_today(offers, now);
    let doubled = offers.len().saturating_sub(1).min(MAX_A_DAY);
    after(offers, FIRST_PAUSE << doubled).filter(|at| *at > now)
}

/// Whether another life may begin now. It waits for nothing but the bound of a day, and has that for itself: nobody but
/// its owner can make one, while a relay can make two nodes doubt each other.
fn may_begin_anew(pin: &Pin, now: Timestamp) -> bool {
    let mut begun = pin.changes().to_vec();
    of_today(&mut begun, now);
    begun.len() < MAX_A_DAY
}

/// When the next offer may be answered, if not now.
fn next_answer(answers: &mut Vec<Timestamp>, now: Timestamp) -> Option<Timestamp> {
    of_today(answers, now);
    after(answers, ANSWER_PAUSE).filter(|at| *at > now)
}

/// Forgets what is older than a day, and what a clock noted that has been put right since.
fn of_today(times: &mut Vec<Timestamp>, now: Timestamp) {
    times.retain(|at| *at <= now && now.since(*at) < DAY);
}

fn after(times: &[Timestamp], pause: u64) -> Option<Timestamp> {
    match times {
        [first, .., _] if times.len() >= MAX_A_DAY => Some(first.plus(DAY)),
        [.., last] => Some(last.plus(pause)),
        [] => None,
    }
}

/// Frames of one contact that no session opens. Forgotten at a restart: they come again.
#[derive(Clone, Debug, Default)]
pub struct Doubts {
    /// When each was there first and last.
    frames: BTreeMap<EnvelopeId, (Timestamp, Timestamp)>,
    /// It is certain: a session was lost, or its other side broke its rules.
    certain: Option<Timestamp>,
    /// Not before.
    paused_until: Timestamp,
}

impl Doubts {
    /// A frame did not open.
    pub fn on_unopened(&mut self, frame: EnvelopeId, now: Timestamp) {
        if let Some((first, last)) = self.frames.get_mut(&frame) {
            // Now, if the clock was put back.
            (*first, *last) = ((*first).min(now), now);
        } else if self.frames.len() < MAX_DOUBTS {
            self.frames.insert(frame, (now, now));
        }
    }

    /// A frame opened after all.
    pub fn on_opened(&mut self, frame: EnvelopeId) {
        self.frames.remove(&frame);
    }

    /// There is no doubt that the session is gone; an offer is due at `at`.
    pub fn be_certain(&mut self, at: Timestamp) {
        self.certain = Some(self.certain.map_or(at, |earlier| earlier.min(at)));
    }

    /// An offer was made, or cannot be made before `until`.
    pub fn pause(&mut self, until: Timestamp) {
        self.paused_until = until;
    }

    /// There is a new session: what did not open is sealed anew by its author.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Whether there is nothing to remember.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty() && self.certain.is_none()
    }

    /// When an offer is due, if nothing opens until then.
    #[must_use]
    pub fn due_at(&self) -> Option<Timestamp> {
        let first = self.frames.values().map(|(first, _)| *first).min();
        let grace = if self.frames.len() >= DOUBTS_DUE { GRACE } else { LONE_GRACE };
        let due = first.map(|first| first.plus(grace)).into_iter().chain(self.certain).min()?;
        Some(due.max(self.paused_until))
    }

    /// Forgets frames that have not come again for [`DOUBT_LIFE`]. Returns whether anything is left.
    pub fn last_for(&mut self, now: Timestamp) -> bool {
        // A clock that was ahead must not silence us until it is right.
        for (first, last) in self.frames.values_mut() {
            (*first, *last) = ((*first).min(now), (*last).min(now));
        }
        self.frames.retain(|_, (_, last)| now.since(*last) < DOUBT_LIFE);
        if self.paused_until > now.plus(2 * DAY) {
            self.paused_until = now;
        }
        self.certain = self.certain.map(|at| at.min(now.plus(2 * DAY)));
        !self.is_empty()
    }
}
