//! Nodes that older releases left behind.
//!
//! `tests/fixtures/schema_<n>/` holds two people as a build of that schema left them. It is cut once, when
//! the schema is new: `KITH_FREEZE=1 cargo nextest run -p kith-tests of_this_schema`. A change that cannot
//! open it needs another schema and its migration.

use std::path::PathBuf;
use std::sync::Arc;

use kith_tests::world::{Who, World, left_by};
use node::store::{SCHEMA, SealedStore, SledStore, Store as _, migrate};
use protocol::chat::DeliveryState;
use protocol::invite::Kind;
use protocol::request::State;
use protocol::time::{HOUR, MINUTE};
use rand::SeedableRng;
use rand::rngs::StdRng;

fn folder(schema: u16) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "fixtures", &format!("schema_{schema}")].iter().collect()
}

const SAID: [&str; 6] = ["0 Ada", "0 Ben", "1 Ada", "1 Ben", "2 Ada", "2 Ben"];
const WAITS: &str = "for when you are back";

/// Ada and Ben talked, and something waits for Ben; Carla's request waits for Ada, Dora was turned
/// away, and two of Ada's codes lie about, one of them taken back.
fn story(w: &mut World) -> (Who, Who) {
    let (ada, ben) = w.contacts("Ada", "Ben");
    for n in 0..3 {
        w.say(ada, ben, &format!("{n} Ada")).unwrap();
        w.run_for(MINUTE);
        w.say(ben, ada, &format!("{n} Ben")).unwrap();
        // Long enough for a post-quantum epoch to begin.
        w.run_for(13 * HOUR);
    }
    w.read(ada, ben);
    w.read(ben, ada);
    w.settle();
    let (carla, dora) = (w.registered("Carla"), w.registered("Dora"));
    for asker in [carla, dora] {
        let (_, code) = w.invite(ada);
        w.scan(asker, &code).unwrap();
        w.settle();
    }
    let account = w.account(dora);
    w.done(ada, move |ctx| node::service::request::reject(ctx, account));
    let (taken_back, _) = w.invite_for(ada, Kind::Link, None);
    w.done(ada, move |ctx| node::service::invite::revoke(ctx, taken_back));
    w.invite_for(ada, Kind::Link, Some(7 * 24 * 3600));
    w.settle();
    w.cut_between(ada, ben);
    w.cut_relay(ben);
    w.say(ada, ben, WAITS).unwrap();
    w.settle();
    (ada, ben)
}

#[test]
fn people_of_this_schema_find_everything_and_talk_on() {
    let mut w = World::seeded(41);
    let (ada, ben) = story(&mut w);
    let (ada, ben) = (w.freeze(ada), w.freeze(ben));
    find_everything_and_talk_on(&ada, &ben);
    if std::env::var_os("KITH_FREEZE").is_some() {
        let folder = folder(SCHEMA);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("ada.txt"), ada).unwrap();
        std::fs::write(folder.join("ben.txt"), ben).unwrap();
    }
}

#[test]
fn people_of_every_schema_find_everything_and_talk_on() {
    for schema in 1..=SCHEMA {
        println!("schema {schema}");
        let read = |name| std::fs::read_to_string(folder(schema).join(name)).unwrap();
        find_everything_and_talk_on(&read("ada.txt"), &read("ben.txt"));
    }
}

/// The same rows on a disk, over a stop in between: brought up to this schema, and every one of them opens.
#[test]
fn what_every_schema_left_on_a_disk_is_brought_up_to_this_one() {
    for schema in 1..=SCHEMA {
        let text = std::fs::read_to_string(folder(schema).join("ada.txt")).unwrap();
        let (vault, rows) = left_by(&text);
        let disk = tempfile::tempdir().unwrap();
        SledStore::open(disk.path()).unwrap().commit(rows).unwrap();
        for _ in 0..2 {
            let store = SealedStore::new(Arc::new(SledStore::open(disk.path()).unwrap()), &vault);
            migrate(&store, &mut StdRng::seed_from_u64(1)).unwrap();
            store.check().unwrap();
        }
        println!("schema {schema} on a disk");
    }
}

fn find_everything_and_talk_on(ada: &str, ben: &str) {
    let mut w = World::seeded(42);
    let (ada, ben) = (w.thaw("Ada", ada), w.thaw("Ben", ben));
    assert!(w.are_contacts(ada, ben));
    assert_eq!(w.texts(ben, ada), SAID);
    assert_eq!(w.texts(ada, ben)[..6], SAID);
    assert_eq!(w.deliveries(ada, ben)[..3], [DeliveryState::Read; 3]);
    let requests = w.look(ada, |ctx| Ok(node::service::request::all(ctx)?));
    let mut states: Vec<_> = requests.iter().map(|request| request.state).collect();
    states.sort_by_key(|state| format!("{state:?}"));
    assert_eq!(states, [State::Accepted, State::Held, State::Rejected]);
    let open = w.look(ada, |ctx| {
        let invites = node::service::invite::all(ctx)?;
        Ok(invites.iter().filter(|invite| invite.is_open(ctx.now)).count())
    });
    assert_eq!(open, 1);

    w.say(ben, ada, "back again").unwrap();
    w.settle();
    let all = [&SAID[..], &[WAITS, "back again"]].concat();
    for (who, other) in [(ada, ben), (ben, ada)] {
        let mut texts = w.texts(who, other);
        texts[6..].sort_unstable_by_key(|text| text != WAITS);
        assert_eq!(texts, all);
        let states = w.deliveries(who, other);
        assert!(states.iter().all(|state| *state >= DeliveryState::Delivered), "{states:?}");
    }
}
