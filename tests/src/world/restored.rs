//! Nodes that begin anew from a backup.

use std::sync::Arc;

use crypto::{KdfParams, Secret, Seed, Unlock, Vault};
use node::app::{Backup, Restored, fill};
use node::service::{backup, identity};
use node::store::SealedStore;

use super::failing::FailingStore;
use super::{Who, World};

/// A backup, and the seed that the recovery phrase is.
#[derive(Debug)]
pub struct Saved {
    file: Vec<u8>,
    seed: Seed,
}

impl World {
    /// A backup of a person's node. Their node goes on.
    ///
    /// # Panics
    /// When their store cannot be read.
    pub fn back_up(&mut self, who: Who) -> Saved {
        let (mut writer, mut file, seed, first) = self.look(who, |ctx| {
            let seed = identity::me(ctx)?.seed();
            let (writer, file, first) = backup::begin(ctx, None)?;
            Ok((writer, file, seed, first))
        });
        let mut next = Some(first);
        while let Some(cursor) = next {
            let (rows, following) = self.look(who, move |ctx| Ok(backup::page(ctx, &cursor)?));
            file.extend(writer.write(&rows).expect("a short backup"));
            next = following;
        }
        file.extend(writer.finish().expect("a short backup"));
        Saved { file, seed }
    }

    /// Everything lasting that a person's node keeps, as it is before it is sealed.
    ///
    /// # Panics
    /// When their store cannot be read.
    pub fn kept(&mut self, who: Who) -> Vec<u8> {
        let (_, _, first) = self.look(who, |ctx| Ok(backup::begin(ctx, None)?));
        let (mut kept, mut next) = (Vec::new(), Some(first));
        while let Some(cursor) = next {
            let (rows, following) = self.look(who, move |ctx| Ok(backup::page(ctx, &cursor)?));
            kept.extend_from_slice(&rows);
            next = following;
        }
        kept
    }

    /// Ends a person's node for good, and starts one on a new computer from a backup. What their folder held is
    /// gone; so is the count of its commits.
    ///
    /// # Panics
    /// When it is none of theirs, or the node does not start.
    pub fn restore(&mut self, who: Who, saved: &Saved) -> Restored {
        self.stop(who);
        let (now, rng) = (self.clock_of(who), self.network.rng());
        let device_key = Secret::random(rng);
        let vault = Vault::create(Unlock::DeviceKey(&device_key), KdfParams::default(), rng)
            .expect("a vault without a passphrase");
        let store = Arc::new(FailingStore::default());
        let length = u64::try_from(saved.file.len()).expect("a short backup");
        let file = Box::new(std::io::Cursor::new(saved.file.clone()));
        let opened = Backup::new(file, length, &saved.seed).expect("a backup of theirs");
        let sealed = SealedStore::new(Arc::clone(&store) as _, &vault);
        let restored = fill(opened, now, |_| Ok(sealed)).expect("a whole backup");
        let person = &mut self.people[who.0];
        (person.store, person.vault, person.device_key) = (store, vault, device_key);
        self.start(who);
        restored
    }
}
