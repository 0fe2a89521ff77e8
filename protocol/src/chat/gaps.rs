//! What one side of a conversation has not got, and how it comes back from the other.
//!
//! 1. After a session was renewed, and when an answer is overdue, a node [asks](super::Chat::ask): up to
//!    where it has everything of theirs, what beyond, and its own last message. It asks the
//!    [same](super::Chat::missing) about a gap that stands.
//! 2. The other [owes](Owed) what is missing of its own, and what it has of the asker's own words; it
//!    sends both again, newest first, and says when that is [all](Resent).
//! 3. One's own words that come back after a renewal are marked: nobody but the contact says that they are
//!    one's own. After a mere gap they are not taken: a contact can make one.

use serde::{Deserialize, Serialize};

use super::{Author, Chat, Claimed, Delivered, Delivery, MAX_LAMPORT_JUMP, Message, Position};
use crate::envelope::shown_time;
use crate::ids::ChatId;
use crate::time::{HOUR, Timestamp};
use crate::wire::Wire;

/// Most runs of sequence numbers that are remembered beyond the first gap.
pub const MAX_RUNS: usize = 32;
/// Most messages that are looked at, and perhaps sent again, for one question.
pub const MAX_RESENT: u32 = 10_000;
/// After so long an unanswered question is asked again.
pub const ASK_AGAIN: u64 = HOUR;
/// So many numbers each second of a life has: a later life begins above all that an earlier one gave.
pub const NUMBERS_A_SECOND: u64 = 256;

/// The first and the last of a run of sequence numbers.
pub type Run = (u64, u64);

/// What is missing on either side.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gaps {
    /// What is here of theirs beyond the first gap, rising.
    pub ahead: Vec<Run>,
    /// When it was asked for, if they have not said yet that they sent it all.
    pub asked: Option<Timestamp>,
    /// What they asked for.
    pub owed: Option<Owed>,
}

/// That words of mine may be missing. Held from the first question on until the other has said that it sent them all:
/// they come newest first, so that the highest number here says nothing of those below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Behind {
    /// Of which conversation.
    pub chat: ChatId,
    /// Up to this number all of mine are here.
    pub mine: u64,
}

impl Wire for Behind {
    const LIMIT: usize = 48;
}

/// Body of [`Content::Missing`](crate::envelope::Content::Missing): the asker's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// Nothing of the reader's is missing up to this sequence number.
    pub yours: u64,
    /// And these runs are there; at most [`MAX_RUNS`].
    pub ahead: Vec<Run>,
    /// The asker's own last message that the reader may have.
    pub mine: u64,
}

/// Body of [`Content::Resent`](crate::envelope::Content::Resent): all that there was has been sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resent {
    /// The author's last sequence number: whatever is missing below it is no more.
    pub mine: u64,
    /// The highest of the reader's that the author has seen.
    pub yours: u64,
}

impl Wire for Missing {
    const LIMIT: usize = 32 + MAX_RUNS * 20;
}

impl Wire for Resent {
    const LIMIT: usize = 32;
}

/// What the other side is still to be sent again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owed {
    /// What they asked.
    pub missing: Missing,
    /// Everything from here on was looked at.
    pub before: Position,
    /// So many were looked at.
    pub looked_at: u32,
    /// Everything was.
    pub looked_through: bool,
    /// Some of it was given up on its way: to say that this was all would end a question that stands.
    pub broken: bool,
}

impl Owed {
    /// The beginning of an answer.
    #[must_use]
    pub fn new(missing: Missing) -> Self {
        let before = Position::LAST;
        Self { missing, before, looked_at: 0, looked_through: false, broken: false }
    }

    /// They ask again. What was looked at is on its way to them, unless they lack more than they said.
    #[must_use]
    pub fn asked_again(self, missing: Missing) -> Self {
        if missing.mine == self.missing.mine && missing.yours >= self.missing.yours {
            Self { missing, ..self }
        } else {
            Self::new(missing)
        }
    }

    /// Looks at one more message, from the newest on. Returns whether it is to be sent again.
    pub fn look(&mut self, position: Position, seq: u64, mine: bool) -> bool {
        self.before = position;
        self.looked_at = self.looked_at.saturating_add(1);
        // Numbers do not rise with positions: a life that began from a backup speaks early, under late ones.
        match mine {
            true => {
                let has = |run: &Run| (run.0..=run.1).contains(&seq);
                seq > self.missing.yours && !self.missing.ahead.iter().any(has)
            }
            false => seq > self.missing.mine,
        }
    }

    /// There is nothing more to be looked at.
    #[must_use]
    pub fn all_looked_at(self) -> Self {
        Self { looked_through: true, ..self }
    }

    /// Whether there is nothing more to be looked at.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.looked_through || self.looked_at >= MAX_RESENT
    }
}

impl Gaps {
    /// Number `seq` of theirs is here; `whole` is up to where nothing is missing, and what that is
    /// now is returned.
    pub(super) fn on_seq(&mut self, whole: u64, seq: u64) -> u64 {
        if seq <= whole {
            return whole;
        }
        let at = self.ahead.partition_point(|run| run.1 < seq);
        if self.ahead.get(at).is_none_or(|run| seq < run.0) {
            self.ahead.insert(at, (seq, seq));
        }
        self.join(whole)
    }

    /// Joins what touches, and cuts what is too much: to be sent again does no harm.
    fn join(&mut self, mut whole: u64) -> u64 {
        let mut joined: Vec<Run> = Vec::with_capacity(self.ahead.len());
        for run in self.ahead.drain(..) {
            if run.0 <= whole.saturating_add(1) {
                whole = whole.max(run.1);
            } else if let Some(last) =
                joined.last_mut().filter(|last| run.0 <= last.1.saturating_add(1))
            {
                last.1 = last.1.max(run.1);
            } else {
                joined.push(run);
            }
        }
        joined.truncate(MAX_RUNS);
        self.ahead = joined;
        whole
    }

    /// Whatever was missing up to `seq` will not come any more.
    pub(super) fn on_resent(&mut self, whole: u64, seq: u64) -> u64 {
        self.asked = None;
        self.join(whole.max(seq))
    }
}

impl Chat {
    /// Asks for what is missing. `waiting` is the first of my messages that they cannot have, `behind` what is still
    /// out from questions before.
    pub fn ask(&mut self, waiting: Option<u64>, behind: Option<Behind>, now: Timestamp) -> Missing {
        self.gaps.asked = Some(now);
        let whole = behind.map_or(self.my_seq, |behind| behind.mine.min(self.my_seq));
        let mine = waiting.map_or(whole, |seq| seq.saturating_sub(1).min(whole));
        Missing { yours: self.their_seq, ahead: self.gaps.ahead.clone(), mine }
    }

    /// Whether a message of theirs has not come though a later one has.
    #[must_use]
    pub fn has_gap(&self) -> bool {
        self.their_seq < self.their_highest_seq
    }

    /// What is missing of theirs, without a word about mine.
    #[must_use]
    pub fn missing(&self) -> Missing {
        Missing { yours: self.their_seq, ahead: self.gaps.ahead.clone(), mine: self.my_seq }
    }

    /// They sent all that they had, and I had not asked for mine: what was missing of a gap is no more. Beyond what is
    /// known of theirs it has no effect.
    pub fn on_gap_resent(&mut self, resent: Resent) {
        let known = resent.mine.min(self.their_highest_seq);
        self.their_seq = self.gaps.join(self.their_seq.max(known));
    }

    /// The conversation is one of a backup, and the account's life of this generation (Unix seconds) begins: nothing was
    /// asked in it, what those before said beyond the backup is missing, and the numbers that they gave are left out.
    pub fn begin_anew(&mut self, generation: u64) -> Behind {
        (self.gaps.asked, self.gaps.owed) = (None, None);
        let behind = Behind { chat: self.id, mine: self.my_seq };
        self.my_seq = self.my_seq.saturating_add(NUMBERS_A_SECOND);
        self.number_from(generation);
        behind
    }

    /// Numbers what is said from now on above all that earlier lives than this one gave.
    pub fn number_from(&mut self, generation: u64) {
        self.my_seq = self.my_seq.max(generation.saturating_mul(NUMBERS_A_SECOND));
    }

    /// A message of a backup is here: what comes next is numbered after it.
    pub fn on_restored(&mut self, message: &Message) {
        match message.author {
            Author::Me => self.my_seq = self.my_seq.max(message.seq),
            Author::Them => {
                self.their_highest_seq = self.their_highest_seq.max(message.seq);
                self.their_seq = self.gaps.on_seq(self.their_seq, message.seq);
            }
        }
        self.lamport = self.lamport.max(Self::lamport_of(message.position));
        self.note(message.position, message.received_at);
    }

    /// Whether a question has been unanswered for long.
    #[must_use]
    pub fn asks_again(&self, now: Timestamp) -> bool {
        self.gaps.asked.is_some_and(|asked| now < asked || now.since(asked) >= ASK_AGAIN)
    }

    /// They sent all that they had, if I asked. A number far beyond mine is no reason to leave mine.
    pub fn on_resent(&mut self, resent: Resent) {
        if self.gaps.asked.is_none() {
            return;
        }
        self.their_highest_seq = self.their_highest_seq.max(resent.mine);
        self.their_seq = self.gaps.on_resent(self.their_seq, resent.mine);
        if resent.yours <= self.my_seq.saturating_add(MAX_LAMPORT_JUMP) {
            self.my_seq = self.my_seq.max(resent.yours);
        }
    }

    /// Places a message of mine that they sent back, if I asked. The caller has checked that its id is
    /// not stored.
    pub fn recover(&mut self, claimed: Claimed, text: String, now: Timestamp) -> Option<Message> {
        let in_reach = |number: u64, own: u64| number <= own.saturating_add(MAX_LAMPORT_JUMP);
        let asked = self.gaps.asked.is_some();
        if !asked || claimed.seq == 0 || !in_reach(claimed.seq, self.my_seq) {
            return None;
        }
        if !in_reach(claimed.lamport, self.lamport) {
            return None;
        }
        self.my_seq = self.my_seq.max(claimed.seq);
        self.lamport = self.lamport.max(claimed.lamport);
        let position = Position::new(claimed.lamport, self.me, claimed.message);
        self.note(position, now);
        let at = shown_time(claimed.at, now);
        let mut delivery = Delivery::queued(at);
        delivery.on_delivered(Delivered { at, route: None });
        Some(Message {
            id: claimed.message,
            chat: self.id,
            author: Author::Me,
            seq: claimed.seq,
            position,
            at,
            received_at: now,
            text: Some(text),
            delivery: Some(delivery),
            client_key: None,
            recovered: true,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn whatever_the_order_what_is_whole_and_what_is_ahead_is_known(
            seqs in proptest::collection::vec(1u64..60, 0..80),
        ) {
            let (mut gaps, mut whole, mut seen) = (Gaps::default(), 0, BTreeSet::new());
            for seq in seqs {
                whole = gaps.on_seq(whole, seq);
                seen.insert(seq);
                let expected = (1..).take_while(|seq| seen.contains(seq)).count() as u64;
                prop_assert_eq!(whole, expected);
                for seq in whole + 1..60 {
                    let ahead = gaps.ahead.iter().any(|run| (run.0..=run.1).contains(&seq));
                    prop_assert_eq!(ahead, seen.contains(&seq));
                }
                prop_assert!(gaps.ahead.windows(2).all(|two| two[0].1 + 1 < two[1].0));
            }
        }
    }

    #[test]
    fn runs_are_bounded_and_the_nearest_are_kept() {
        let (mut gaps, mut whole) = (Gaps::default(), 0);
        for seq in (3..1_000).step_by(2) {
            whole = gaps.on_seq(whole, seq);
        }
        assert_eq!((whole, gaps.ahead.len(), gaps.ahead[0]), (0, MAX_RUNS, (3, 3)));
        whole = gaps.on_seq(whole, u64::MAX);
        assert_eq!(whole, 0);
        assert_eq!(gaps.on_resent(whole, 999), 999);
        assert_eq!(gaps, Gaps::default());
    }

    #[test]
    fn who_is_asked_again_goes_on_unless_more_is_missing() {
        let asked = |yours, mine| Missing { yours, ahead: Vec::new(), mine };
        let mut owed = Owed::new(asked(3, 2));
        owed.look(Position::FIRST, 9, true);
        let again = |missing| owed.clone().asked_again(missing);
        for same in [asked(3, 2), asked(9, 2)] {
            assert_eq!(again(same.clone()), Owed { missing: same, ..owed.clone() });
        }
        for more in [asked(2, 2), asked(3, 1), asked(3, 3)] {
            assert_eq!(again(more.clone()), Owed::new(more));
        }
        assert!(owed.clone().all_looked_at().is_done());
    }

    #[test]
    fn what_is_owed_is_what_they_have_not_got() {
        let missing = Missing { yours: 3, ahead: vec![(5, 6)], mine: 2 };
        let mut owed = Owed::new(missing);
        let mut look = |seq, mine| owed.look(Position::FIRST, seq, mine);
        assert!(look(8, true) && look(7, true));
        assert!(!look(6, true) && !look(5, true));
        assert!(look(4, false) && look(3, false) && look(4, true));
        assert!(!look(2, false) && !look(3, true));
        assert!(look(9, false) && look(9, true), "a late number may stand early");
        assert_eq!((owed.looked_at, owed.is_done()), (11, false));
    }
}
