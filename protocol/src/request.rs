//! A pending request between two people: at most one for the pair, whoever asked.
//!
//! Outgoing (Ben scanned Ada's code): `Looking → Asking → Held → Accepted | Rejected`, or
//! `Withdrawn`, `Expired`, `Gone`.
//! Incoming (at Ada): `Held → Accepted | Rejected | Withdrawn | Expired`.
//!
//! Both sides hold half of what the six authentication symbols are made from. The joiner
//! commits to its half before it sees the inviter's, so neither can grind for a collision.
//!
//! # Invariants
//! * The exact join request is stored before its first sending, and only those bytes are sent.
//! * A final state never changes, but for an acceptance that came too late
//!   ([`unaccept`](Request::unaccept)).
//! * The symbols are shown only when both halves are there and the commitment holds.
//!
//! Spec: `docs/protocol/invite.md` §7.

use crypto::session::{sas_commit, sas_reveal_matches};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use zeroize::Zeroize;

use crate::contact::ContactCard;
use crate::ids::{AccountId, InviteId};
use crate::invite::Kind;
use crate::time::{DAY, Timestamp};
use crate::wire::Wire;

/// How long an unanswered request is kept.
pub const LIFE: u64 = 7 * DAY;
/// How long a rejected or withdrawn person's next request is refused without a word.
pub const COOL_DOWN: u64 = DAY;

/// Who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    /// They scanned my code.
    Incoming,
    /// I scanned theirs.
    Outgoing,
}

/// Where a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Outgoing: looking for the inviter's bundle.
    Looking,
    /// Outgoing: the join request is on its way.
    Asking,
    /// The inviter's node holds it; their person decides.
    Held,
    /// A contact was made.
    Accepted,
    /// Turned away.
    Rejected,
    /// Taken back by who asked.
    Withdrawn,
    /// Nobody answered in time.
    Expired,
    /// The code is used, revoked or expired: the inviter's node does not say which.
    Gone,
}

impl State {
    /// Whether nothing will change it.
    #[must_use]
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Looking | Self::Asking | Self::Held)
    }
}

/// A request.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The other person.
    pub account: AccountId,
    /// Who asked.
    pub direction: Direction,
    /// The invite.
    pub invite: InviteId,
    /// How the code was handed over, where this side knows.
    pub via: Option<Kind>,
    /// The inviter's label for the code.
    pub label: String,
    /// The name that the other person claims.
    pub claimed_name: Option<String>,
    /// Where it stands.
    pub state: State,
    /// When it began.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// The session that the handshake made.
    pub session: Option<[u8; 16]>,
    /// What both people may compare.
    pub symbols: Option<[u8; 6]>,
    /// How the other node can be reached.
    pub card: Option<ContactCard>,
    /// Outgoing: the token, until the request is final.
    pub token: Option<ByteBuf>,
    /// Outgoing: the join request, until it is held.
    pub join_request: Option<ByteBuf>,
    my_nonce: [u8; 32],
    their_commitment: Option<[u8; 32]>,
    /// Incoming: they said that our acceptance reached them.
    confirmed: bool,
}

impl Wire for Request {
    const LIMIT: usize = 32 * 1024;
}

impl Drop for Request {
    /// The token is a secret while its invite lives, and so is this side's half of the symbols until it is told.
    fn drop(&mut self) {
        for bytes in [&mut self.token, &mut self.join_request].into_iter().flatten() {
            bytes.zeroize();
        }
        self.my_nonce.zeroize();
    }
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request")
            .field("account", &self.account)
            .field("direction", &self.direction)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// Why a step of the handshake was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StepError {
    /// Not in this state, or not in this direction.
    #[error("not now")]
    WrongState,
    /// The opened half is not what was committed to: somebody is in between.
    #[error("the commitment does not hold")]
    Commitment,
}

impl Request {
    /// A request of mine, for a token that was scanned.
    #[must_use]
    pub fn outgoing(
        account: AccountId,
        invite: InviteId,
        token: Vec<u8>,
        my_nonce: [u8; 32],
        now: Timestamp,
    ) -> Self {
        Self {
            account,
            direction: Direction::Outgoing,
            invite,
            via: None,
            label: String::new(),
            claimed_name: None,
            state: State::Looking,
            created_at: now,
            updated_at: now,
            session: None,
            symbols: None,
            card: None,
            token: Some(ByteBuf::from(token)),
            join_request: None,
            my_nonce,
            their_commitment: None,
            confirmed: false,
        }
    }

    /// A request of theirs, for an invite of mine that it claimed.
    #[must_use]
    pub fn incoming(
        account: AccountId,
        invite: (InviteId, Kind, String),
        session: [u8; 16],
        (commitment, card): ([u8; 32], ContactCard),
        my_nonce: [u8; 32],
        now: Timestamp,
    ) -> Self {
        Self {
            account,
            direction: Direction::Incoming,
            invite: invite.0,
            via: Some(invite.1),
            label: invite.2,
            claimed_name: Some(crate::contact::displayable_name(&card.name)),
            state: State::Held,
            created_at: now,
            updated_at: now,
            session: Some(session),
            symbols: None,
            card: Some(card),
            token: None,
            join_request: None,
            my_nonce,
            their_commitment: Some(commitment),
            confirmed: false,
        }
    }

    /// What the join request commits to.
    #[must_use]
    pub fn commitment(&self) -> [u8; 32] {
        sas_commit(&self.my_nonce)
    }

    /// My half, to be revealed (outgoing) or sent with Hold (incoming).
    #[must_use]
    pub fn my_nonce(&self) -> [u8; 32] {
        self.my_nonce
    }

    /// Outgoing: the bundle came, and these bytes are the request from now on.
    ///
    /// # Errors
    /// [`StepError::WrongState`] unless it was looking.
    pub fn on_joined(
        &mut self,
        request: Vec<u8>,
        session: [u8; 16],
        name: Option<String>,
        now: Timestamp,
    ) -> Result<(), StepError> {
        if (self.direction, self.state) != (Direction::Outgoing, State::Looking) {
            return Err(StepError::WrongState);
        }
        self.join_request = Some(ByteBuf::from(request));
        self.session = Some(session);
        self.claimed_name = name.map(|name| crate::contact::displayable_name(&name));
        self.enter(State::Asking, now);
        Ok(())
    }

    /// Outgoing: the inviter's node holds it. `symbols` makes them from (mine, theirs). Their
    /// person's acceptance may have come first: then only the symbols are new.
    ///
    /// # Errors
    /// [`StepError::WrongState`] unless it was asking.
    pub fn on_hold(
        &mut self,
        their_nonce: &[u8; 32],
        card: ContactCard,
        symbols: impl FnOnce(&[u8; 32], &[u8; 32]) -> [u8; 6],
        now: Timestamp,
    ) -> Result<(), StepError> {
        let accepted = self.state == State::Accepted && self.symbols.is_none();
        if self.direction != Direction::Outgoing || !(self.state == State::Asking || accepted) {
            return Err(StepError::WrongState);
        }
        self.symbols = Some(symbols(&self.my_nonce, their_nonce));
        if accepted {
            self.updated_at = now;
            return Ok(());
        }
        self.card = Some(card);
        self.join_request = None;
        self.enter(State::Held, now);
        Ok(())
    }

    /// Incoming: the joiner opened its commitment. `symbols` makes them from (theirs, mine).
    ///
    /// # Errors
    /// [`StepError::Commitment`] when it opens to something else.
    pub fn on_reveal(
        &mut self,
        their_nonce: &[u8; 32],
        symbols: impl FnOnce(&[u8; 32], &[u8; 32]) -> [u8; 6],
        now: Timestamp,
    ) -> Result<(), StepError> {
        let commitment = self.their_commitment.ok_or(StepError::WrongState)?;
        if !sas_reveal_matches(&commitment, their_nonce) {
            return Err(StepError::Commitment);
        }
        self.symbols = Some(symbols(their_nonce, &self.my_nonce));
        self.updated_at = now;
        Ok(())
    }

    /// Ends it. Returns whether it was still open.
    pub fn end(&mut self, state: State, now: Timestamp) -> bool {
        if self.state.is_final() || !state.is_final() {
            return false;
        }
        self.enter(state, now);
        true
    }

    /// Incoming: our acceptance reached them.
    pub fn confirm(&mut self) {
        self.confirmed |= (self.direction, self.state) == (Direction::Incoming, State::Accepted);
    }

    /// Incoming: who asked had taken it back before our acceptance reached them. Returns whether
    /// that may be so.
    pub fn unaccept(&mut self, now: Timestamp) -> bool {
        let accepted = (self.direction, self.state) == (Direction::Incoming, State::Accepted);
        if !accepted || self.confirmed {
            return false;
        }
        self.enter(State::Withdrawn, now);
        true
    }

    /// Ends it if nobody answered in time. Returns whether that changed it.
    pub fn expire(&mut self, now: Timestamp) -> bool {
        now.since(self.created_at) >= LIFE && self.end(State::Expired, now)
    }

    /// Whether a new request of this person is refused without a word.
    #[must_use]
    pub fn cools_down(&self, now: Timestamp) -> bool {
        self.direction == Direction::Incoming
            && self.state == State::Rejected
            && now.since(self.updated_at) < COOL_DOWN
    }

    fn enter(&mut self, state: State, now: Timestamp) {
        self.state = state;
        self.updated_at = now;
        if state.is_final() {
            self.token = None;
            self.join_request = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000_000);

    fn outgoing() -> Request {
        Request::outgoing(AccountId([2; 32]), InviteId([1; 16]), vec![1], [7; 32], NOW)
    }

    fn incoming(commitment: [u8; 32]) -> Request {
        let invite = (InviteId([1; 16]), Kind::InPerson, String::new());
        Request::incoming(
            AccountId([1; 32]),
            invite,
            [3; 16],
            (commitment, ContactCard::default()),
            [8; 32],
            NOW,
        )
    }

    fn symbols(a: &[u8; 32], b: &[u8; 32]) -> [u8; 6] {
        [a[0], b[0], 0, 0, 0, 0]
    }

    #[test]
    fn both_sides_compute_the_symbols_from_the_same_halves() {
        let mut asking = outgoing();
        asking.on_joined(vec![9], [3; 16], Some("Ada".into()), NOW).expect("looking");
        let mut held = incoming(asking.commitment());
        asking.on_hold(&held.my_nonce(), ContactCard::default(), symbols, NOW).expect("asking");
        held.on_reveal(&asking.my_nonce(), symbols, NOW).expect("commitment holds");
        assert_eq!(asking.symbols, held.symbols);
        assert_eq!(asking.join_request, None, "not needed any more");
    }

    #[test]
    fn an_acceptance_that_overtakes_the_hold_costs_no_symbols() {
        let mut asking = outgoing();
        asking.on_joined(vec![9], [3; 16], None, NOW).expect("looking");
        asking.end(State::Accepted, NOW);
        asking.on_hold(&[8; 32], ContactCard::default(), symbols, NOW).expect("once");
        assert_eq!((asking.state, asking.symbols), (State::Accepted, Some([7, 8, 0, 0, 0, 0])));
        let again = asking.on_hold(&[9; 32], ContactCard::default(), symbols, NOW);
        assert_eq!(again, Err(StepError::WrongState));
    }

    #[test]
    fn a_revealed_half_that_was_not_committed_to_shows_no_symbols() {
        let mut held = incoming([0; 32]);
        assert_eq!(held.on_reveal(&[7; 32], symbols, NOW), Err(StepError::Commitment));
        assert_eq!(held.symbols, None);
    }

    #[test]
    fn steps_out_of_order_are_refused() {
        let mut request = outgoing();
        assert_eq!(
            request.on_hold(&[0; 32], ContactCard::default(), symbols, NOW),
            Err(StepError::WrongState)
        );
        assert_eq!(request.on_reveal(&[0; 32], symbols, NOW), Err(StepError::WrongState));
        request.on_joined(vec![9], [3; 16], None, NOW).expect("looking");
        assert_eq!(request.on_joined(vec![9], [3; 16], None, NOW), Err(StepError::WrongState));
    }

    #[test]
    fn a_final_state_stays_and_holds_no_secret() {
        let mut request = outgoing();
        assert!(!request.end(State::Held, NOW));
        assert!(request.end(State::Withdrawn, NOW));
        assert!(!request.end(State::Accepted, NOW));
        assert!(!request.expire(NOW.plus(LIFE)));
        assert_eq!((request.state, request.token.take()), (State::Withdrawn, None));
    }

    #[test]
    fn only_an_acceptance_of_ours_is_undone() {
        let (mut theirs, mut mine) = (incoming([0; 32]), outgoing());
        assert!(!theirs.unaccept(NOW));
        assert_eq!(theirs.state, State::Held);
        theirs.end(State::Accepted, NOW);
        mine.end(State::Accepted, NOW);
        let mut reached = theirs.clone();
        reached.confirm();
        assert!(theirs.unaccept(NOW) && !mine.unaccept(NOW) && !reached.unaccept(NOW));
        assert_eq!((theirs.state, mine.state), (State::Withdrawn, State::Accepted));
        assert_eq!(reached.state, State::Accepted);
    }

    #[test]
    fn only_a_rejected_incoming_request_cools_down() {
        let mut request = incoming([0; 32]);
        assert!(!request.cools_down(NOW));
        request.end(State::Rejected, NOW);
        assert!(request.cools_down(NOW.plus(COOL_DOWN - 1)));
        assert!(!request.cools_down(NOW.plus(COOL_DOWN)));
    }
}
