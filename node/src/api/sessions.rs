//! Login links and bearer tokens.
//!
//! 1. The node mints a link and shows it on its own terminal; 2. a browser exchanges what stands
//!    behind `#login=` for a token, once; 3. every request carries the token; 4. a session ends
//!    when it is revoked, when it idles too long, or when the node stops.
//!
//! # Invariants
//! * Secrets are 256 random bits; only their SHA-256 stays in memory.
//! * A link is exchanged at most once and never after its ten minutes.
//! * All comparisons run over all entries in constant time.
//! * What ends a session ends its event streams.
//!
//! Knows nothing of HTTP. `now` is an argument. Spec: `docs/THREAT_MODEL.md`.

use std::collections::VecDeque;
use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use protocol::time::{DAY, MINUTE, Timestamp};
use rand::CryptoRng;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::error::ApiCode;
use super::limits::{GUESS_RATE, SESSION_RATE, TokenBucket};

/// How long a login link works, in milliseconds.
pub(super) const LINK_LIFE: u64 = 10 * MINUTE;
/// How long an unused session lasts, in milliseconds: a long weekend.
pub(super) const IDLE: u64 = 4 * DAY;
/// Sessions that are kept; the one idle for longest makes way.
const MAX_SESSIONS: usize = 64;
/// Links that are remembered, used ones included; the oldest makes way.
const MAX_LINKS: usize = 64;

type Hash = [u8; 32];

/// A secret in its text form, wiped when dropped.
pub(super) type SecretText = Zeroizing<String>;

/// What a session may be told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SessionKind {
    /// A browser that came by a link.
    Browser,
    /// The command line and programs, by the token file. Never idles out: the file is new at each start.
    TokenFile,
}

impl SessionKind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Browser => "browser",
            Self::TokenFile => "token_file",
        }
    }
}

/// The session that asks, as handlers see it.
#[derive(Clone, Debug)]
pub(super) struct SessionRef {
    pub(super) id: u64,
    pub(super) created_at: Timestamp,
    /// Cancelled when the session ends or the vault locks: streams listen to it.
    pub(super) ended: CancellationToken,
}

/// One line of the list of sessions.
#[derive(Clone, Debug)]
pub(super) struct SessionLine {
    pub(super) id: u64,
    pub(super) kind: SessionKind,
    pub(super) created_at: Timestamp,
    pub(super) used_at: Timestamp,
}

struct Session {
    id: u64,
    kind: SessionKind,
    hash: Hash,
    created_at: Timestamp,
    used_at: Timestamp,
    rate: TokenBucket,
    ended: CancellationToken,
}

impl Session {
    fn is_idle(&self, now: Timestamp) -> bool {
        self.kind == SessionKind::Browser && now.since(self.used_at) > IDLE
    }
}

struct Link {
    hash: Hash,
    expires_at: Timestamp,
    used: bool,
}

/// Why a token is not let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// Not one of ours, or no longer.
    Unknown,
    /// Too many requests; seconds to wait.
    TooMany(u64),
}

/// All links and sessions of a running node.
pub(super) struct Sessions {
    sessions: Vec<Session>,
    links: VecDeque<Link>,
    guesses: TokenBucket,
    last_id: u64,
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions")
            .field("sessions", &self.sessions.len())
            .field("links", &self.links.len())
            .finish_non_exhaustive()
    }
}

impl Sessions {
    /// None yet.
    #[must_use]
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            sessions: Vec::new(),
            links: VecDeque::new(),
            guesses: TokenBucket::new(GUESS_RATE, now),
            last_id: 0,
        }
    }

    /// Makes a link's secret.
    pub(super) fn mint_link<R: CryptoRng + ?Sized>(
        &mut self,
        now: Timestamp,
        rng: &mut R,
    ) -> (SecretText, Timestamp) {
        let (text, hash) = secret(rng);
        let expires_at = now.plus(LINK_LIFE);
        if self.links.len() == MAX_LINKS {
            self.links.pop_front();
        }
        self.links.push_back(Link { hash, expires_at, used: false });
        (text, expires_at)
    }

    /// Exchanges a link's secret for a session's token.
    ///
    /// # Errors
    /// `login_used`, `login_expired` or `login_invalid`.
    pub(super) fn exchange<R: CryptoRng + ?Sized>(
        &mut self,
        secret: &str,
        now: Timestamp,
        rng: &mut R,
    ) -> Result<(SecretText, Timestamp), ApiCode> {
        let hashes = self.links.iter().map(|link| &link.hash);
        let index = find(hashes, &digest(secret)).ok_or(ApiCode::LoginInvalid)?;
        let link = &mut self.links[index];
        if link.used {
            return Err(ApiCode::LoginUsed);
        }
        if now >= link.expires_at {
            return Err(ApiCode::LoginExpired);
        }
        link.used = true;
        let token = self.open(SessionKind::Browser, now, rng);
        Ok((token, now.plus(IDLE)))
    }

    /// Opens a session.
    pub(super) fn open<R: CryptoRng + ?Sized>(
        &mut self,
        kind: SessionKind,
        now: Timestamp,
        rng: &mut R,
    ) -> SecretText {
        let (text, hash) = secret(rng);
        self.drop_idle(now);
        if self.sessions.len() >= MAX_SESSIONS {
            self.drop_longest_idle();
        }
        self.last_id += 1;
        self.sessions.push(Session {
            id: self.last_id,
            kind,
            hash,
            created_at: now,
            used_at: now,
            rate: TokenBucket::new(SESSION_RATE, now),
            ended: CancellationToken::new(),
        });
        text
    }

    /// The session of a token; using it keeps it from idling.
    ///
    /// # Errors
    /// When the token is unknown, or its session asks too often.
    pub(super) fn authenticate(
        &mut self,
        token: &str,
        now: Timestamp,
    ) -> Result<SessionRef, Refused> {
        self.drop_idle(now);
        let hashes = self.sessions.iter().map(|session| &session.hash);
        let index = find(hashes, &digest(token)).ok_or(Refused::Unknown)?;
        let session = &mut self.sessions[index];
        session.rate.take(now).map_err(Refused::TooMany)?;
        session.used_at = session.used_at.max(now);
        Ok(SessionRef {
            id: session.id,
            created_at: session.created_at,
            ended: session.ended.clone(),
        })
    }

    /// Counts a wrong secret.
    ///
    /// # Errors
    /// Seconds to wait when there were too many.
    pub(super) fn wrong_guess(&mut self, now: Timestamp) -> Result<(), u64> {
        self.guesses.take(now)
    }

    /// The sessions that live.
    pub(super) fn list(&mut self, now: Timestamp) -> Vec<SessionLine> {
        self.drop_idle(now);
        self.sessions
            .iter()
            .map(|s| SessionLine {
                id: s.id,
                kind: s.kind,
                created_at: s.created_at,
                used_at: s.used_at,
            })
            .collect()
    }

    /// Ends a session and its streams; false when there is none of that id.
    pub(super) fn revoke(&mut self, id: u64) -> bool {
        let before = self.sessions.len();
        self.sessions.retain(|session| {
            if session.id == id {
                session.ended.cancel();
            }
            session.id != id
        });
        self.sessions.len() != before
    }

    /// Ends every stream and leaves the sessions: the vault was locked.
    pub(super) fn end_streams(&mut self) {
        for session in &mut self.sessions {
            std::mem::take(&mut session.ended).cancel();
        }
    }

    fn drop_idle(&mut self, now: Timestamp) {
        self.sessions.retain(|session| {
            let is_idle = session.is_idle(now);
            if is_idle {
                session.ended.cancel();
            }
            !is_idle
        });
        while self.links.front().is_some_and(|link| now.since(link.expires_at) > LINK_LIFE) {
            self.links.pop_front();
        }
    }

    fn drop_longest_idle(&mut self) {
        let longest = self
            .sessions
            .iter()
            .filter(|session| session.kind == SessionKind::Browser)
            .min_by_key(|session| session.used_at)
            .map(|session| session.id);
        if let Some(id) = longest {
            self.revoke(id);
        }
    }
}

fn secret<R: CryptoRng + ?Sized>(rng: &mut R) -> (SecretText, Hash) {
    let mut bytes = Zeroizing::new([0u8; 32]);
    rng.fill_bytes(&mut *bytes);
    let text = Zeroizing::new(BASE64URL_NOPAD.encode(&*bytes));
    let hash = digest(&text);
    (text, hash)
}

fn digest(text: &str) -> Hash {
    Sha256::digest(text.as_bytes()).into()
}

/// The index of a hash, found without telling by time where it was.
fn find<'a>(hashes: impl Iterator<Item = &'a Hash>, wanted: &Hash) -> Option<usize> {
    let mut index = 0u64;
    let mut found = Choice::from(0);
    for (at, hash) in hashes.enumerate() {
        let same = hash.ct_eq(wanted);
        index.conditional_assign(&(at as u64), same);
        found |= same;
    }
    bool::from(found).then(|| usize::try_from(index).ok()).flatten()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    const T0: Timestamp = Timestamp(1_000_000);

    fn fresh() -> (Sessions, StdRng) {
        (Sessions::new(T0), StdRng::seed_from_u64(7))
    }

    #[test]
    fn a_login_link_works_once() {
        let (mut sessions, mut rng) = fresh();
        let (link, _) = sessions.mint_link(T0, &mut rng);
        assert!(link.len() >= 43);
        let (token, _) = sessions.exchange(&link, T0, &mut rng).unwrap();
        assert!(sessions.authenticate(&token, T0).is_ok());
        assert_eq!(sessions.exchange(&link, T0, &mut rng).unwrap_err(), ApiCode::LoginUsed);
    }

    #[test]
    fn a_login_link_ends_after_ten_minutes() {
        let (mut sessions, mut rng) = fresh();
        let (link, expires_at) = sessions.mint_link(T0, &mut rng);
        assert_eq!(expires_at, T0.plus(600_000));
        assert_eq!(
            sessions.exchange(&link, expires_at, &mut rng).unwrap_err(),
            ApiCode::LoginExpired
        );
        assert_eq!(sessions.exchange("", T0, &mut rng).unwrap_err(), ApiCode::LoginInvalid);
    }

    #[test]
    fn a_link_is_no_token_and_a_token_is_no_link() {
        let (mut sessions, mut rng) = fresh();
        let (link, _) = sessions.mint_link(T0, &mut rng);
        assert_eq!(sessions.authenticate(&link, T0).unwrap_err(), Refused::Unknown);
        let (token, _) = sessions.exchange(&link, T0, &mut rng).unwrap();
        assert_eq!(sessions.exchange(&token, T0, &mut rng).unwrap_err(), ApiCode::LoginInvalid);
    }

    #[test]
    fn a_browser_session_idles_out_and_the_token_file_does_not() {
        let (mut sessions, mut rng) = fresh();
        let browser = sessions.open(SessionKind::Browser, T0, &mut rng);
        let file = sessions.open(SessionKind::TokenFile, T0, &mut rng);
        let ended = sessions.authenticate(&browser, T0).unwrap().ended;
        assert!(sessions.authenticate(&browser, T0.plus(IDLE)).is_ok());
        let late = T0.plus(2 * IDLE + 1);
        assert_eq!(sessions.authenticate(&browser, late).unwrap_err(), Refused::Unknown);
        assert!(ended.is_cancelled());
        assert!(sessions.authenticate(&file, late).is_ok());
    }

    #[test]
    fn revoking_ends_the_session_and_its_streams() {
        let (mut sessions, mut rng) = fresh();
        let token = sessions.open(SessionKind::Browser, T0, &mut rng);
        let session = sessions.authenticate(&token, T0).unwrap();
        assert!(sessions.revoke(session.id));
        assert!(session.ended.is_cancelled());
        assert!(!sessions.revoke(session.id));
        assert_eq!(sessions.authenticate(&token, T0).unwrap_err(), Refused::Unknown);
    }

    #[test]
    fn locking_ends_the_streams_and_leaves_the_session() {
        let (mut sessions, mut rng) = fresh();
        let token = sessions.open(SessionKind::Browser, T0, &mut rng);
        let before = sessions.authenticate(&token, T0).unwrap();
        sessions.end_streams();
        assert!(before.ended.is_cancelled());
        assert!(!sessions.authenticate(&token, T0).unwrap().ended.is_cancelled());
    }

    #[test]
    fn sessions_and_links_are_bounded_and_the_token_file_stays() {
        let (mut sessions, mut rng) = fresh();
        let file = sessions.open(SessionKind::TokenFile, T0, &mut rng);
        for _ in 0..2 * MAX_SESSIONS {
            sessions.open(SessionKind::Browser, T0.plus(1), &mut rng);
            sessions.mint_link(T0, &mut rng);
        }
        assert_eq!(sessions.list(T0).len(), MAX_SESSIONS);
        assert_eq!(sessions.links.len(), MAX_LINKS);
        assert!(sessions.authenticate(&file, T0).is_ok());
    }

    #[test]
    fn a_session_that_asks_too_often_is_told_to_wait() {
        let (mut sessions, mut rng) = fresh();
        let token = sessions.open(SessionKind::Browser, T0, &mut rng);
        for _ in 0..SESSION_RATE.burst {
            sessions.authenticate(&token, T0).unwrap();
        }
        assert_eq!(sessions.authenticate(&token, T0).unwrap_err(), Refused::TooMany(1));
        assert!(sessions.authenticate(&token, T0.plus(1_000)).is_ok());
    }

    #[test]
    fn debug_shows_no_secret() {
        let (mut sessions, mut rng) = fresh();
        let token = sessions.open(SessionKind::Browser, T0, &mut rng);
        assert!(!format!("{sessions:?}").contains(token.as_str()));
    }
}
