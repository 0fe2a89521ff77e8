//! What answers requests: each service on a task or a thread of its own, behind bounded channels.

use std::sync::Arc;

use protocol::registration::{Keys, Registrar};
use tokio::sync::mpsc;

use crate::admission::Admission;
use crate::blobs;
use crate::clock::Clock;
use crate::config::Config;
use crate::current::Current;
use crate::error::RelayError;
use crate::identity::{Derived, RelayIdentity};
use crate::mailbox::service::{self as mailbox, Parts};
use crate::mailbox::store::MailboxStore;
use crate::metrics::Metrics;
use crate::pepper::Pepper;
use crate::processes::Reached;
use crate::registration::accounts::Accounts;
use crate::registration::counts::CountStore;
use crate::registration::credential::Credentials;
use crate::registration::service as registration;
use crate::registration::{DeadLetters, Driver};
use crate::relay::Tasks;
use crate::stores::Mailboxes;
use crate::swarm::{self, Channels, MailboxInput, MailboxOutput, Order};
use crate::turn::Calls;

/// What the services are made of.
pub(crate) struct Services {
    pub(crate) accounts: Accounts,
    pub(crate) reached: Reached,
    /// Absent where no files are kept.
    pub(crate) blobs: Option<blobs::Service>,
    pub(crate) counts: Arc<dyn CountStore>,
    pub(crate) mailboxes: Mailboxes,
    pub(crate) admission: Admission,
    pub(crate) pepper: Pepper,
    pub(crate) driver: Arc<dyn Driver>,
    pub(crate) dead_letters: DeadLetters,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) current: Current,
    pub(crate) clock: Clock,
}

impl Services {
    pub(crate) fn spawn(
        self,
        tasks: &mut Tasks,
        config: &Config,
        identity: &RelayIdentity,
        (orders, calls): (mpsc::Receiver<Order>, Option<Arc<Calls>>),
    ) -> Channels {
        let Self {
            accounts,
            reached,
            blobs,
            counts,
            mailboxes,
            admission,
            pepper,
            driver,
            dead_letters,
            metrics,
            current,
            clock,
        } = self;
        let lifetime = config.registration.credential_lifetime();
        let seed = identity.derive(Derived::Credential);
        let credentials = Credentials::new(identity.relay_id(), &seed, lifetime);
        let keys = Keys { otp: *identity.derive(Derived::Otp).expose(), pepper: *pepper.expose() };
        let registration = registration::Service {
            name: config.name.clone(),
            development: config.development,
            kinds: config.registration.kinds(),
            reached,
            counts,
            registrar: Registrar::new(config.registration.policy(), keys, identity.relay_id()),
            current: current.clone(),
            credentials: credentials.clone(),
            accounts,
            driver,
            dead_letters,
            metrics: Arc::clone(&metrics),
            clock: clock.clone(),
        };
        let key = identity.signing_key();
        let process = identity.process_key();
        let parts = Parts { key, process, credentials, admission, current, metrics, clock };

        let (register, register_in) = mpsc::channel(swarm::REGISTER_INPUTS);
        let (register_answers, register_out) = mpsc::channel(swarm::OUTPUTS);
        tasks.spawn(async move {
            let result = registration.run(register_in, register_answers).await;
            ("registration", result.map_err(RelayError::from))
        });
        let (mailbox, mailbox_in) = mpsc::channel(swarm::MAILBOX_INPUTS);
        let (mailbox_outputs, mailbox_out) = mpsc::channel(swarm::OUTPUTS);
        match mailboxes {
            Mailboxes::Sled(store) => {
                spawn_mailboxes(tasks, store, parts, mailbox_in, mailbox_outputs);
            }
            Mailboxes::Postgres(store) => {
                spawn_mailboxes(tasks, *store, parts, mailbox_in, mailbox_outputs);
            }
        }
        let (asking, asked) = mpsc::channel(swarm::BLOB_INPUTS);
        let (blob_answers, blobs_out) = mpsc::channel(swarm::BLOB_INPUTS);
        let blobs = blobs.map(|service| {
            tasks.spawn(async move {
                let result = service.run(asked, blob_answers).await;
                ("files", result.map_err(RelayError::from))
            });
            asking
        });
        Channels { mailbox, mailbox_out, register, register_out, orders, blobs, blobs_out, calls }
    }
}

fn spawn_mailboxes<S: MailboxStore>(
    tasks: &mut Tasks,
    store: S,
    parts: Parts,
    inbox: mpsc::Receiver<MailboxInput>,
    outbox: mpsc::Sender<MailboxOutput>,
) {
    let mailboxes = mailbox::Service::new(store, parts);
    tasks.spawn_blocking(move || {
        let result = mailboxes.run(inbox, &outbox);
        ("mailbox", result.map_err(RelayError::from))
    });
}
