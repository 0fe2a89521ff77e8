//! Who may use the server, for which call, and how much of it.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use data_encoding::{BASE64, HEXLOWER};
use governor::clock::DefaultClock;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use hmac::{Hmac, KeyInit, Mac};
use libp2p::PeerId;
use protocol::time::{DAY, SECOND, Timestamp};
use protocol::turn::{Credentials, TurnRefusal, TurnResponse};
use sha1::Sha1;
use zeroize::Zeroizing;

use crate::admission::Admission;
use crate::clock::Clock;
use crate::current::Current;
use crate::metrics::{Metrics, TurnEnd};

/// Most calls that credentials were given for and that have not ended. At the bound nobody gets new ones.
const MAX_CALLS: usize = 50_000;
/// Most accounts whose use of a day is remembered.
const MAX_ACCOUNTS: usize = 200_000;
/// Random bytes in the name of a call.
const CALL_BYTES: usize = 16;
/// What a datagram costs beside its bytes: its headers, and the work.
const DATAGRAM_BYTES: u64 = 48;
/// Waiting time named when [`MAX_CALLS`] is reached, milliseconds.
const FULL_RETRY_MS: u32 = 30_000;

type Rate = RateLimiter<NotKeyed, InMemoryState, DefaultClock>;

/// The calls of a relay.
pub(crate) struct Calls {
    current: Current,
    secret: Zeroizing<Vec<u8>>,
    servers: Vec<String>,
    admission: Admission,
    metrics: Arc<Metrics>,
    clock: Clock,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    calls: HashMap<String, Call>,
    accounts: HashMap<PeerId, Account>,
    allocations: usize,
}

struct Call {
    peer: PeerId,
    /// Until when an allocation can be made.
    expires_at: Timestamp,
    /// Until when one that stands can be used.
    ends_at: Timestamp,
    allocations: usize,
}

struct Account {
    allocations: usize,
    used: Arc<Mutex<Used>>,
    /// What it carries in a second, each way.
    rates: Arc<[Rate; 2]>,
}

/// Which way a datagram goes, seen from the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Out,
    In,
}

#[derive(Clone, Copy, Default)]
struct Used {
    day: u64,
    bytes: u64,
}

/// Why there is no allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoRoom {
    #[error("no such call")]
    NoCall,
    #[error("the account has as many allocations as it may")]
    Account,
    #[error("the server has as many allocations as it may")]
    Server,
}

impl std::fmt::Debug for Calls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Calls({} open)", self.table().calls.len())
    }
}

impl Calls {
    /// `servers` are told to who asks; `secret` is theirs.
    pub(crate) fn new(
        current: Current,
        secret: Zeroizing<Vec<u8>>,
        servers: Vec<String>,
        admission: Admission,
        metrics: Arc<Metrics>,
        clock: Clock,
    ) -> Self {
        let table = Mutex::default();
        Self { current, secret, servers, admission, metrics, clock, table }
    }

    /// What opens the server for one call of this key.
    pub(crate) fn grant(&self, peer: &PeerId) -> TurnResponse {
        let config = self.current.get();
        let Some(settings) = &config.turn else {
            return TurnResponse::Refused(TurnRefusal::NotOffered);
        };
        let now = self.clock.now();
        if !self.admission.is_admitted(peer, now) {
            return TurnResponse::Refused(TurnRefusal::NotAdmitted);
        }
        let seconds = (now.0 / SECOND).saturating_add(settings.credential_seconds);
        let expires_at = Timestamp(seconds.saturating_mul(SECOND));
        let mut call = [0; CALL_BYTES];
        rand::Rng::fill_bytes(&mut rand::rng(), &mut call);
        let username = format!("{seconds}:{}", HEXLOWER.encode(&call));
        let password = self.password(&username);
        // A server of another make knows nobody but by the secret.
        if settings.servers.is_empty() {
            let mut table = self.table();
            if table.calls.len() >= MAX_CALLS {
                return TurnResponse::Refused(TurnRefusal::TooSoon { retry_ms: FULL_RETRY_MS });
            }
            let ends_at = now.plus(settings.call_seconds.saturating_mul(SECOND));
            let call = Call { peer: *peer, expires_at, ends_at, allocations: 0 };
            table.calls.insert(username.clone(), call);
        }
        let servers = self.servers.clone();
        TurnResponse::Granted(Credentials { username, password, expires_at, servers })
    }

    /// The password of a call; `None` when nobody was given it, or it is past, or its account is not served any more.
    pub(crate) fn password_of(&self, username: &str) -> Option<String> {
        let now = self.clock.now();
        let known = self.table().calls.get(username).is_some_and(|call| self.is_open(call, now));
        known.then(|| self.password(username))
    }

    /// What became of an allocation that was asked for.
    pub(crate) fn count<T>(&self, result: &Result<T, NoRoom>) {
        self.metrics.turn(match result {
            Ok(_) => TurnEnd::Allocated,
            Err(NoRoom::NoCall) => TurnEnd::NoCall,
            Err(NoRoom::Account) => TurnEnd::AccountFull,
            Err(NoRoom::Server) => TurnEnd::ServerFull,
        });
    }

    /// Room for one more allocation of this call.
    pub(crate) fn allocate(self: &Arc<Self>, username: &str) -> Result<Lease, NoRoom> {
        let config = self.current.get();
        let settings = config.turn.as_ref().ok_or(NoRoom::NoCall)?;
        let mut table = self.table();
        let Table { calls, accounts, allocations } = &mut *table;
        // What was given for one call makes no allocations later, while one of them stands.
        let now = self.clock.now();
        let call = calls.get_mut(username).filter(|call| now < call.expires_at);
        let call = call.ok_or(NoRoom::NoCall)?;
        if *allocations >= settings.max_allocations {
            return Err(NoRoom::Server);
        }
        if accounts.len() >= MAX_ACCOUNTS && !accounts.contains_key(&call.peer) {
            return Err(NoRoom::Server);
        }
        let account = accounts.entry(call.peer).or_insert_with(|| {
            let per_second = settings.account_bytes_per_second.max(1);
            let quota = Quota::per_second(per_second.try_into().expect("not zero"));
            let rates = Arc::new([(); 2].map(|()| RateLimiter::direct(quota)));
            Account { allocations: 0, used: Arc::default(), rates }
        });
        if account.allocations >= settings.max_allocations_per_account {
            return Err(NoRoom::Account);
        }
        (call.allocations, account.allocations) = (call.allocations + 1, account.allocations + 1);
        *allocations += 1;
        self.metrics.allocations.inc();
        Ok(Lease {
            calls: Arc::clone(self),
            username: username.to_owned(),
            used: Arc::clone(&account.used),
            rates: Arc::clone(&account.rates),
        })
    }

    /// Forgets calls that are over, and names those that have allocations and are to end.
    pub(crate) fn sweep(&self) -> Vec<String> {
        let now = self.clock.now();
        let today = now.0 / DAY;
        let mut table = self.table();
        table.calls.retain(|_, call| call.allocations > 0 || now < call.expires_at);
        table.accounts.retain(|_, account| {
            let used = account.used.lock().unwrap_or_else(PoisonError::into_inner);
            account.allocations > 0 || used.day == today
        });
        let ends = |call: &Call| call.allocations > 0 && !self.is_open(call, now);
        let over = table.calls.iter().filter(|(_, call)| ends(call));
        over.map(|(username, _)| username.clone()).collect()
    }

    fn is_open(&self, call: &Call, now: Timestamp) -> bool {
        let until = if call.allocations > 0 { call.ends_at } else { call.expires_at };
        now < until && self.admission.is_admitted(&call.peer, now)
    }

    fn password(&self, username: &str) -> String {
        let mac = Hmac::<Sha1>::new_from_slice(&self.secret).expect("a key of any length");
        BASE64.encode(&mac.chain_update(username).finalize().into_bytes())
    }

    fn bytes_per_day(&self) -> u64 {
        self.current.get().turn.as_ref().map_or(0, |turn| turn.account_bytes_per_day)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One allocation that stands. It is given back when it is dropped.
pub(crate) struct Lease {
    calls: Arc<Calls>,
    username: String,
    used: Arc<Mutex<Used>>,
    rates: Arc<[Rate; 2]>,
}

impl Lease {
    /// Whether so many bytes may be carried.
    pub(crate) fn carry(&self, way: Way, bytes: usize) -> bool {
        let end = self.try_carry(way, bytes as u64 + DATAGRAM_BYTES);
        match end {
            None => drop(self.calls.metrics.carried.inc_by(bytes as u64)),
            Some(end) => self.calls.metrics.turn(end),
        }
        end.is_none()
    }

    /// Something was not sent on: nobody is reached there.
    pub(crate) fn refused_peer(&self) {
        self.calls.metrics.turn(TurnEnd::Peer);
    }

    fn try_carry(&self, way: Way, bytes: u64) -> Option<TurnEnd> {
        let cost = u32::try_from(bytes).ok().and_then(NonZeroU32::new);
        let [out, back] = &*self.rates;
        let rate = if way == Way::Out { out } else { back };
        if cost.is_none_or(|cost| !matches!(rate.check_n(cost), Ok(Ok(())))) {
            return Some(TurnEnd::Rate);
        }
        let today = self.calls.clock.now().0 / DAY;
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if used.day != today {
            *used = Used { day: today, bytes: 0 };
        }
        if used.bytes + bytes > self.calls.bytes_per_day() {
            return Some(TurnEnd::Day);
        }
        used.bytes += bytes;
        None
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut table = self.calls.table();
        let Table { calls, accounts, allocations } = &mut *table;
        *allocations = allocations.saturating_sub(1);
        if let Some(call) = calls.get_mut(&self.username) {
            call.allocations = call.allocations.saturating_sub(1);
            if let Some(account) = accounts.get_mut(&call.peer) {
                account.allocations = account.allocations.saturating_sub(1);
            }
        }
        self.calls.metrics.allocations.dec();
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use tests::testing;
