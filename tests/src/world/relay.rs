//! An honest relay: the real registration and mailbox machines over a store in memory.

use std::collections::{BTreeMap, BTreeSet};

use crypto::{Secret, SigningKey};
use protocol::Cx;
use protocol::contact::RelayHome;
use protocol::ids::{AccountId, EnvelopeId, QueueId, RelayId};
use protocol::mailbox::wire::{
    CustodyReceipt, DepositRefusal, Item, MAX_BATCH_BYTES, MAX_ITEMS, MailboxRefusal, QueueSpec,
};
use protocol::mailbox::{Change, Due, DueKind, Limits, Offer, Queue, Seen, StoredItem, Usage};
use protocol::mailbox::{machine, proof};
use protocol::registration::limits::Counts;
use protocol::registration::wire::{
    IdentifierKind, RegisterRefusal, RegisterRequest, RegisterResponse, SentVia, Told,
};
use protocol::registration::{Identifier, Keys, Policy, Registrar, Verified};
use protocol::sim::Party;
use protocol::time::{DAY, Timestamp};

use super::net::Parcel;

/// How long a credential holds.
const CREDENTIAL_LIFE: u64 = 30 * DAY;

/// The relay.
#[derive(Debug)]
pub struct Relay {
    key: SigningKey,
    /// How its clients know it.
    pub home: RelayHome,
    /// Its address as a person types it.
    pub address: String,
    registrar: Registrar,
    counts: Counts,
    limits: Limits,
    store: Store,
    /// Who is subscribed to a queue.
    attached: BTreeMap<QueueId, Party>,
    /// Who registered.
    accounts: BTreeSet<AccountId>,
    /// Whom of them it admits.
    admitted: BTreeSet<AccountId>,
    /// Whom it does not serve.
    stopped: BTreeMap<AccountId, Told>,
    /// How often it refused somebody whom it does not know.
    pub refusals: u64,
}

#[derive(Debug, Default)]
struct Store {
    queues: BTreeMap<QueueId, Queue>,
    receives: BTreeMap<QueueId, QueueId>,
    bundles: BTreeMap<QueueId, Vec<u8>>,
    usage: BTreeMap<AccountId, Usage>,
    items: BTreeMap<(QueueId, u64), StoredItem>,
    seen: BTreeMap<(QueueId, EnvelopeId), Seen>,
    due: BTreeSet<Due>,
}

impl Relay {
    /// A relay with nothing in it.
    ///
    /// # Panics
    /// Never: its own address is a constant with a valid key.
    #[must_use]
    pub(super) fn new(party: Party) -> Self {
        let nth = u8::try_from(party).unwrap_or_default();
        let key = SigningKey::from_seed(&Secret::from_bytes([0x52 + nth; 32]));
        let id = RelayId(*key.verifying_key().as_bytes());
        let ip = format!("203.0.113.{}", 7 + nth);
        let address = format!("/ip4/{ip}/tcp/4701/p2p/{}", node::net::relay_text(id));
        let home = node::net::parse_relay(&address).expect("a relay's address");
        let keys = Keys { otp: [1; 32], pepper: [2; 32] };
        let registrar = Registrar::new(Policy::default(), keys, id);
        Self {
            key,
            home,
            address,
            registrar,
            counts: Counts::default(),
            limits: Limits::default(),
            store: Store::default(),
            attached: BTreeMap::new(),
            accounts: BTreeSet::new(),
            admitted: BTreeSet::new(),
            stopped: BTreeMap::new(),
            refusals: 0,
        }
    }

    /// Open queues of somebody.
    #[must_use]
    pub fn queues(&self, account: AccountId) -> usize {
        self.store.queues.values().filter(|queue| queue.account == account).count()
    }

    /// Forgets whom it admits, as a relay does that has too many of them.
    pub fn forget_admissions(&mut self) {
        self.admitted.clear();
    }

    /// Serves somebody no more, for this reason, or again.
    pub fn stop_serving(&mut self, account: AccountId, why: Option<Told>) {
        self.admitted.remove(&account);
        match why {
            Some(why) => self.stopped.insert(account, why),
            None => self.stopped.remove(&account),
        };
    }

    /// Forgets everything: a relay whose disk was lost.
    pub fn lose_everything(&mut self) {
        self.store = Store::default();
        self.attached.clear();
        self.accounts.clear();
        self.admitted.clear();
    }

    /// The drops that it keeps, and the bundle beside each.
    #[must_use]
    pub fn drops(&self) -> Vec<(QueueId, Vec<u8>)> {
        self.store.bundles.iter().map(|(receive, bundle)| (*receive, bundle.clone())).collect()
    }

    /// Takes everything that waits for anybody, for good.
    pub fn take_items(&mut self) -> Vec<Item> {
        let items = std::mem::take(&mut self.store.items).into_iter();
        items
            .map(|((receive, seq), item)| Item {
                receive,
                seq,
                deposited_at: item.deposited_at,
                body: item.body,
            })
            .collect()
    }

    /// From now on an account has so many queues at most.
    pub fn allow_queues(&mut self, most: u32) {
        self.limits.account_queues = most;
    }

    /// Items that wait, of all queues.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.store.items.len()
    }

    pub(super) fn register(
        &mut self,
        account: AccountId,
        request: RegisterRequest,
        cx: &mut Cx<'_>,
    ) -> RegisterResponse {
        let answered = match request {
            RegisterRequest::Info => Ok(RegisterResponse::Info {
                name: "simulated".into(),
                development: true,
                kinds: vec![IdentifierKind::Email],
                now: cx.now,
                addresses: Vec::new(),
            }),
            RegisterRequest::Challenge { kind, identifier } => Identifier::parse(kind, &identifier)
                .map_err(|_| RegisterRefusal::InvalidIdentifier)
                .and_then(|identifier| {
                    let charges = self.registrar.may_challenge(account, &identifier, cx.now)?;
                    self.counts.charge(&charges, Policy::default().max_tracked, cx.now)?;
                    Ok(self.registrar.challenge(account, identifier, SentVia::Console, cx))
                })
                .map(challenged),
            RegisterRequest::Resend { challenge } => {
                self.registrar.may_resend(account, challenge, cx.now).and_then(|charges| {
                    self.counts.charge(&charges, Policy::default().max_tracked, cx.now)?;
                    self.registrar.resend(account, challenge, cx).map(challenged)
                })
            }
            RegisterRequest::Verify { .. } | RegisterRequest::Renew { .. }
                if self.told(account) == Told::Suspended =>
            {
                self.refusals += 1;
                Err(RegisterRefusal::Suspended)
            }
            RegisterRequest::Verify { challenge, code, proof } => {
                match self.registrar.verify(account, challenge, &code, &proof, cx.now) {
                    Ok(Verified::Right(_)) => {
                        self.accounts.insert(account);
                        self.stopped.remove(&account);
                        self.admitted.insert(account);
                        Ok(admitted(account, cx.now))
                    }
                    Ok(Verified::Again) if self.admitted.contains(&account) => {
                        Ok(admitted(account, cx.now))
                    }
                    Ok(Verified::Again) => Err(RegisterRefusal::NoChallenge),
                    Err(refusal) => Err(refusal),
                }
            }
            RegisterRequest::Standing => Ok(RegisterResponse::Standing(self.told(account))),
            RegisterRequest::Erase => {
                self.erase(account);
                Ok(RegisterResponse::Erased)
            }
            RegisterRequest::Renew { .. } if self.accounts.contains(&account) => {
                self.admitted.insert(account);
                Ok(admitted(account, cx.now))
            }
            RegisterRequest::Renew { .. } => {
                self.refusals += 1;
                Err(RegisterRefusal::NotRenewable)
            }
        };
        answered.unwrap_or_else(RegisterResponse::Refused)
    }

    fn told(&self, account: AccountId) -> Told {
        let admitted = self.admitted.contains(&account).then_some(Told::Admitted);
        self.stopped.get(&account).copied().or(admitted).unwrap_or(Told::Unknown)
    }

    fn erase(&mut self, account: AccountId) {
        self.accounts.remove(&account);
        self.admitted.remove(&account);
        let queues = self.store.queues.values().filter(|queue| queue.account == account);
        let queues: Vec<_> = queues.cloned().collect();
        for queue in queues {
            let usage = self.store.usage(account);
            self.store.apply(machine::close(&queue, usage));
            self.attached.remove(&queue.receive);
        }
    }

    pub(super) fn open(
        &mut self,
        account: AccountId,
        credential: &str,
        spec: QueueSpec,
        now: Timestamp,
    ) -> Result<(), MailboxRefusal> {
        if credential != credential_of(account) || !self.admitted.contains(&account) {
            self.refusals += 1;
            return Err(MailboxRefusal::NotAdmitted);
        }
        let by_receive = self.store.queues.get(&spec.receive);
        let by_send = self.store.by_send(spec.send);
        let usage = self.store.usage(account);
        let opened = machine::open(spec, account, (by_receive, by_send), usage, &self.limits, now)?;
        if let machine::Opened::New(changes) = opened {
            self.store.apply(changes);
        }
        Ok(())
    }

    pub(super) fn close(
        &mut self,
        receive: QueueId,
        owner: [u8; 32],
    ) -> Result<(), MailboxRefusal> {
        let queue = self.store.queues.get(&receive).filter(|queue| queue.owner_key == owner);
        let queue = queue.cloned().ok_or(MailboxRefusal::Denied)?;
        let usage = self.store.usage(queue.account);
        self.store.apply(machine::close(&queue, usage));
        self.attached.remove(&receive);
        Ok(())
    }

    /// Subscribes to queues, and to no other. Returns those that do not exist.
    pub(super) fn attach(&mut self, party: Party, claims: &[(QueueId, [u8; 32])]) -> Vec<QueueId> {
        self.detach(party);
        let mut missing = Vec::new();
        for (receive, owner) in claims {
            match self.store.queues.get(receive) {
                Some(queue) if queue.owner_key == *owner => {
                    self.attached.insert(*receive, party);
                }
                _ => missing.push(*receive),
            }
        }
        missing
    }

    pub(super) fn detach(&mut self, party: Party) {
        self.attached.retain(|_, attached| *attached != party);
    }

    pub(super) fn deposit(
        &mut self,
        parcel: Parcel,
        now: Timestamp,
    ) -> Result<CustodyReceipt, DepositRefusal> {
        let queue = self.store.by_send(parcel.send).cloned();
        let queue = queue.filter(|queue| queue.deposit_key == parcel.key);
        let queue = queue.ok_or(DepositRefusal::Denied)?;
        let envelope = EnvelopeId::of(&parcel.body);
        let seen = self.store.seen.get(&(queue.receive, envelope)).copied();
        let Parcel { ttl_seconds, reserved, body, .. } = parcel;
        let offer = Offer { envelope, body: body.into(), ttl_seconds, reserved };
        let usage = self.store.usage(queue.account);
        let deposited = machine::deposit(&queue, usage, seen, offer, &self.limits, now)?;
        let seen = deposited.seen;
        self.store.apply(deposited.changes);
        Ok(proof::custody(&self.key, parcel.send, envelope, seen.at, seen.until))
    }

    pub(super) fn bundle(
        &self,
        send: QueueId,
        key: [u8; 32],
        now: Timestamp,
    ) -> Result<Vec<u8>, MailboxRefusal> {
        let open = |queue: &&Queue| queue.deposit_key == key && machine::takes_deposits(queue, now);
        let queue = self.store.by_send(send).filter(open);
        let bundle = queue.and_then(|queue| self.store.bundles.get(&queue.receive));
        bundle.cloned().ok_or(MailboxRefusal::Denied)
    }

    /// What waits for a subscriber: at most one push of it.
    pub(super) fn items_for(&self, party: Party) -> Vec<Item> {
        let mut bytes = 0;
        let theirs = |receive: &QueueId| self.attached.get(receive) == Some(&party);
        self.store
            .items
            .iter()
            .filter(|((receive, _), _)| theirs(receive))
            .take(MAX_ITEMS)
            .take_while(|(_, item)| {
                bytes += item.body.len();
                bytes <= MAX_BATCH_BYTES
            })
            .map(|((receive, seq), item)| Item {
                receive: *receive,
                seq: *seq,
                deposited_at: item.deposited_at,
                body: item.body.clone(),
            })
            .collect()
    }

    pub(super) fn acknowledge(&mut self, items: &[(QueueId, u64)]) {
        for (receive, seq) in items {
            self.delete(*receive, *seq);
        }
    }

    /// Forgets what has expired.
    pub(super) fn expire(&mut self, now: Timestamp) {
        while let Some(due) = self.store.due.first().copied().filter(|due| due.at <= now) {
            let queue = self.store.queues.get(&due.receive);
            let usage = queue.map(|queue| self.store.usage(queue.account)).unwrap_or_default();
            let item = match due.what {
                DueKind::Item(seq) => self.store.items.get(&(due.receive, seq)),
                _ => None,
            };
            let seen = match due.what {
                DueKind::Seen(_, envelope) => {
                    self.store.seen.get(&(due.receive, envelope)).copied()
                }
                _ => None,
            };
            let changes = machine::expire(&due, queue, usage, item.map(StoredItem::held), seen);
            self.store.apply(changes);
        }
    }

    fn delete(&mut self, receive: QueueId, seq: u64) {
        let Some(queue) = self.store.queues.get(&receive) else { return };
        let usage = self.store.usage(queue.account);
        let item = self.store.items.get(&(receive, seq));
        let changes = machine::acknowledge(queue, usage, seq, item.map(StoredItem::held));
        self.store.apply(changes);
    }
}

fn challenged(
    (mut challenged, dispatch): (
        protocol::registration::wire::Challenged,
        protocol::registration::Dispatch,
    ),
) -> RegisterResponse {
    challenged.development_code = Some(dispatch.code.digits().to_owned());
    RegisterResponse::Challenged(challenged)
}

fn admitted(account: AccountId, now: Timestamp) -> RegisterResponse {
    RegisterResponse::Admitted {
        credential: credential_of(account),
        expires_at: now.plus(CREDENTIAL_LIFE),
    }
}

fn credential_of(account: AccountId) -> String {
    format!("admits {account}")
}

impl Store {
    fn by_send(&self, send: QueueId) -> Option<&Queue> {
        self.receives.get(&send).and_then(|receive| self.queues.get(receive))
    }

    fn usage(&self, account: AccountId) -> Usage {
        self.usage.get(&account).copied().unwrap_or_default()
    }

    fn apply(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::PutQueue(queue) => {
                    self.receives.insert(queue.send, queue.receive);
                    self.queues.insert(queue.receive, queue);
                }
                Change::DeleteQueue { receive, send } => {
                    self.queues.remove(&receive);
                    self.receives.remove(&send);
                    self.bundles.remove(&receive);
                    self.items.retain(|(of, _), _| *of != receive);
                    self.seen.retain(|(of, _), _| *of != receive);
                }
                Change::PutBundle { receive, bundle } => {
                    self.bundles.insert(receive, bundle.into_vec());
                }
                Change::PutUsage(account, usage) => {
                    self.usage.insert(account, usage);
                }
                Change::PutItem { receive, seq, item } => {
                    self.items.insert((receive, seq), item);
                }
                Change::DeleteItem { receive, seq } => {
                    self.items.remove(&(receive, seq));
                }
                Change::PutSeen { receive, envelope, seen } => {
                    self.seen.insert((receive, envelope), seen);
                }
                Change::DeleteSeen { receive, seq } => {
                    self.seen.retain(|(of, _), seen| *of != receive || seen.seq != seq);
                }
                Change::PutDue(due) => {
                    self.due.insert(due);
                }
                Change::DeleteDue(due) => {
                    self.due.remove(&due);
                }
            }
        }
    }
}
