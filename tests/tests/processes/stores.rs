//! A full disk and a damaged store.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use kith_tests::process::{NodeProcess, Pair, Refused, Rest, arrived};
use node::api::dto::{Damaged, Restored, Status, VaultState};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;

use super::setting;

/// Room that a nearly full disk has left, in bytes.
const ROOM: u64 = 1 << 20;
/// Messages of this many bytes fill it soon.
const LARGE: usize = 8 * 1024;

fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files.extend(contents(&path)),
            false => {
                files.insert(path.display().to_string(), fs::read(&path).unwrap());
            }
        }
    }
    files
}

/// Says things until the node stops taking them; the ids of those that it took.
async fn fill(node: &NodeProcess, chat: &str) -> Vec<String> {
    let mut taken = Vec::new();
    let limit = ROOM as usize / LARGE * 4;
    for n in 0..limit {
        let text = format!("{n} {}", "x".repeat(LARGE));
        match node.rest().say(chat, &text).await {
            Ok(message) => taken.push(message.id),
            Err(_) => return taken,
        }
    }
    panic!("{limit} messages of {LARGE} bytes fit into {ROOM} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_the_node_with_a_clear_message_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut pair = Pair::meet(folder.path()).await.unwrap();
    pair.ada.stop().await.unwrap();
    let store = fs::metadata(pair.ada.data_dir().join("store/db")).unwrap().len();
    pair.ada.options.room = Some(store + ROOM);
    pair.ada.restart().await.unwrap();
    let taken = fill(&pair.ada, &pair.at_ada).await;
    assert!(!taken.is_empty());
    let (status, words) = pair.ada.ended().await.unwrap();
    assert_eq!(status.code(), Some(1));
    assert!(words.contains("the disk is full"), "{words}");

    // A start without room says the same, or works; it loses nothing either way.
    pair.ada.launch().unwrap();
    match pair.ada.ready().await {
        Ok(()) => pair.ada.kill().await.unwrap(),
        Err(error) => assert!(error.to_string().contains("the disk is full"), "{error}"),
    }

    pair.ada.options.room = None;
    pair.ada.restart().await.unwrap();
    let kept = pair.ada.rest().messages(&pair.at_ada).await.unwrap();
    let kept: Vec<&String> = kept.iter().map(|message| &message.id).collect();
    assert!(taken.iter().all(|id| kept.contains(&id)), "every acknowledged message is there");
    let ada = pair.ada.rest();
    ada.until_last(&pair.at_ada, 1, "delivery with room", arrived).await.unwrap();
    let at_ben = pair.ben.rest().messages(&pair.at_ben).await.unwrap();
    let came: Vec<&String> = at_ben.iter().map(|message| &message.id).collect();
    assert_eq!(came, kept);
    pair.ada.stop().await.unwrap();
}

/// What can happen to a store's files.
type Damage = fn(&Path);

fn change(file: &Path, how: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(file).unwrap();
    how(&mut bytes);
    fs::write(file, bytes).unwrap();
}

/// Damage that no luck can make harmless.
const DAMAGES: [(&str, Damage); 3] = [
    ("a byte in every page", |store| {
        change(&store.join("db"), |bytes| {
            bytes.iter_mut().step_by(4_096).for_each(|byte| *byte ^= 0x5a);
        });
    }),
    ("the database is gone", |store| fs::remove_file(store.join("db")).unwrap()),
    ("its parameters", |store| {
        change(&store.join("conf"), |bytes| bytes.iter_mut().for_each(|byte| *byte ^= 0x5a));
    }),
];

/// Damage that may hit nothing in use: sled writes its log where there is room, not only at the end.
const CUTS: [(&str, Damage); 2] = [
    ("half of it is gone", |store| {
        change(&store.join("db"), |bytes| bytes.truncate(bytes.len() / 2));
    }),
    ("its end is gone", |store| {
        change(&store.join("db"), |bytes| bytes.truncate(bytes.len() - 4_096));
    }),
];

/// Bytes of a random stretch that goes bad.
const STRETCH: usize = 256;

/// A node that was killed, its store as it was then, and what the person saw.
struct Killed {
    node: NodeProcess,
    chat: String,
    store: PathBuf,
    whole: BTreeMap<String, Vec<u8>>,
    said: Vec<String>,
}

impl Killed {
    async fn after_sixty_messages(folder: &Path) -> Self {
        let mut pair = Pair::meet(folder).await.unwrap();
        let mut said = Vec::new();
        for n in 0..60 {
            said.push(format!("{n} {}", "x".repeat(LARGE)));
            pair.ada.rest().say(&pair.at_ada, &said[n]).await.unwrap();
        }
        // No orderly end has tidied the files up; nobody hears of what is tried with copies.
        pair.ada.kill().await.unwrap();
        pair.ben.kill().await.unwrap();
        pair.relay.kill().await.unwrap();
        let store = pair.ada.data_dir().join("store");
        let whole = contents(&store);
        Self { node: pair.ada, chat: pair.at_ada, store, whole, said }
    }

    fn heal(&self) {
        fs::remove_dir_all(&self.store).unwrap();
        for (path, bytes) in &self.whole {
            fs::create_dir_all(Path::new(path).parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }

    /// Starts the node on damaged files. Either it refuses and changes nothing, or nothing that
    /// was in use was hit and everything is there. Returns whether it refused.
    async fn refuses(&mut self, what: &str) -> bool {
        let before = contents(&self.store);
        self.node.launch().unwrap();
        match self.node.ready().await {
            Ok(()) if damage(&self.node).await.is_some() => {
                assert!(contents(&self.store) == before, "{what}: the files were changed");
                self.node.kill().await.unwrap();
                true
            }
            Ok(()) => {
                let there = self.node.rest().messages(&self.chat).await.unwrap();
                let there: Vec<String> = there.into_iter().map(|message| message.text).collect();
                assert!(there == self.said, "{what}: something is missing");
                self.node.kill().await.unwrap();
                false
            }
            Err(refusal) => {
                let refusal = refusal.to_string();
                assert!(refusal.contains("exit status: 1"), "{what}: {refusal}");
                assert!(
                    refusal.contains("the store is damaged and was left as it is"),
                    "{refusal}"
                );
                assert!(contents(&self.store) == before, "{what}: the files were changed");
                true
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_store_is_refused_with_a_clear_message_and_left_as_it_is() {
    let seed = setting("KITH_SEED", rand::random());
    println!("KITH_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let mut killed = Killed::after_sixty_messages(folder.path()).await;
    for (what, damage) in DAMAGES {
        killed.heal();
        damage(&killed.store);
        assert!(killed.refuses(what).await, "{what}: not noticed");
    }
    for (what, damage) in CUTS {
        killed.heal();
        damage(&killed.store);
        println!("{what}: refused {}", killed.refuses(what).await);
    }
    let (stretches, mut refused) = (setting("KITH_DAMAGES", 12), 0);
    for _ in 0..stretches {
        killed.heal();
        let mut place = 0;
        change(&killed.store.join("db"), |bytes| {
            place = rng.random_range(0..bytes.len() - STRETCH);
            bytes[place..place + STRETCH].iter_mut().for_each(|byte| *byte ^= 0x5a);
        });
        refused += usize::from(killed.refuses(&format!("a stretch at {place}")).await);
    }
    println!("{refused} of {stretches} bad stretches refused, the others hit nothing in use");
    killed.heal();
    assert!(!killed.refuses("none").await, "the whole store opens");
}

/// What the node says is wrong with its messages.
async fn damage(node: &NodeProcess) -> Option<Damaged> {
    node.rest().get::<VaultState>("/vault").await.unwrap().damaged
}

/// Waits until the node has made a copy of everything beside its store.
async fn copied(node: &NodeProcess) {
    let file = node.data_dir().join("rolling.backup");
    let made = async |_: &Rest| Ok(file.exists().then_some(()));
    node.rest().until("the copy beside the store", made).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_store_is_put_aside_and_the_copy_beside_it_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut pair = Pair::meet(folder.path()).await.unwrap();
    let (ada, ben) = (&mut pair.ada, &pair.ben);
    let recover = async |ada: &NodeProcess| ada.command(&["recover"], "").await.unwrap();
    assert!(recover(ada).await.unwrap_err().contains("no copy"));
    ada.rest().say(&pair.at_ada, "before the copy").await.unwrap();
    ada.rest().until_last(&pair.at_ada, 1, "before the copy", arrived).await.unwrap();
    // A start makes a copy of what there is.
    ada.stop().await.unwrap();
    ada.restart().await.unwrap();
    copied(ada).await;
    assert!(recover(ada).await.unwrap_err().contains("Stop it first"));
    ada.rest().say(&pair.at_ada, "after the copy").await.unwrap();
    ada.rest().until_last(&pair.at_ada, 1, "after the copy", arrived).await.unwrap();
    ada.stop().await.unwrap();
    let refused = recover(ada).await.unwrap_err();
    assert!(refused.contains("othing is wrong with the store"), "{refused}");
    let (what, go_wrong) = DAMAGES[0];
    go_wrong(&ada.data_dir().join("store"));
    let damaged = contents(&ada.data_dir().join("store"));
    // It starts, says what is wrong, and changes nothing until somebody decides.
    ada.restart().await.unwrap();
    let found = damage(ada).await.expect(what);
    assert!(found.why.contains("damaged"), "{}", found.why);
    let closed = ada.rest().get::<Status>("/status").await.unwrap_err();
    let closed = closed.downcast::<Refused>().unwrap();
    assert_eq!((closed.status.as_u16(), closed.code.as_str()), (423, "store_damaged"));
    assert!(recover(ada).await.unwrap_err().contains("Stop it first"));
    assert_eq!(contents(&ada.data_dir().join("store")), damaged, "it was left as it was");
    ada.stop().await.unwrap();

    // A recovery that was broken off is begun anew, and no engine starts meanwhile.
    fs::create_dir(ada.data_dir().join(".recovering")).unwrap();
    ada.restart().await.unwrap();
    assert!(damage(ada).await.unwrap().why.contains("broken off"));
    ada.stop().await.unwrap();
    let told = recover(ada).await.unwrap();
    assert!(told.contains("1 contacts"), "{told}");
    let aside = fs::read_dir(ada.data_dir()).unwrap().map(|entry| entry.unwrap().path());
    let aside = aside.into_iter().find(|path| path.to_string_lossy().contains("store.damaged-"));
    let kept: Vec<Vec<u8>> = contents(&aside.unwrap()).into_values().collect();
    assert_eq!(kept, damaged.into_values().collect::<Vec<_>>(), "it was put aside as it was");

    ben.rest().say(&pair.at_ben, "while you were broken").await.unwrap();
    ada.restart().await.unwrap();
    let back = async |rest: &Rest| {
        let texts: Vec<String> =
            rest.messages(&pair.at_ada).await?.into_iter().map(|message| message.text).collect();
        let all = ["before the copy", "after the copy", "while you were broken"];
        Ok(all.iter().all(|text| texts.iter().any(|found| found == text)).then_some(texts))
    };
    let texts = ada.rest().until("everything that was missed", back).await.unwrap();
    assert_eq!(texts.len(), 3, "each once: {texts:?}");
    ada.rest().say(&pair.at_ada, "and on").await.unwrap();
    ada.rest().until_last(&pair.at_ada, 1, "and on", arrived).await.unwrap();
    pair.ada.stop().await.unwrap();
    // Without its store, it does not begin as somebody new.
    fs::rename(pair.ada.data_dir().join("store"), pair.ada.data_dir().join("lost")).unwrap();
    pair.ada.restart().await.unwrap();
    assert!(damage(&pair.ada).await.unwrap().why.contains("it is missing"));
    assert!(!pair.ada.data_dir().join("store").exists());
    // In the browser it is one button.
    let none = pair.ben.rest().post::<Restored>("/vault/recover", &json!({})).await;
    assert_eq!(none.unwrap_err().downcast::<Refused>().unwrap().code, "store_is_whole");
    let back: Restored = pair.ada.rest().post("/vault/recover", &json!({})).await.unwrap();
    assert_eq!(back.contacts, 1);
    assert!(damage(&pair.ada).await.is_none());
    let whole = async |rest: &Rest| {
        let messages = rest.messages(&pair.at_ada).await?;
        Ok((messages.len() == 4).then_some(()))
    };
    pair.ada.rest().until("everything once more", whole).await.unwrap();
    pair.ada.stop().await.unwrap();
    pair.ben.stop().await.unwrap();
}
