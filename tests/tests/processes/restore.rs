//! The restore drill: a computer is lost, and a backup that is older than the last words is all there is.

use std::path::Path;
use std::time::Instant;

use kith_tests::process::{NodeOptions, NodeProcess, Pair, Refused, Rest, arrived, state};
use reqwest::Method;

use node::api::dto::{Contact, DeliveryState, Items, Me, Message, Request, RequestState, Restored};

async fn texts(rest: &Rest, chat: &str) -> Vec<String> {
    let messages = rest.messages(chat).await.unwrap();
    messages.into_iter().map(|message| message.text).collect()
}

/// Says it and waits until it is there.
async fn say(from: (&Rest, &str), text: &str) {
    from.0.say(from.1, text).await.unwrap();
    from.0.until_last(from.1, 1, text, arrived).await.unwrap();
}

fn before(n: u8) -> [String; 2] {
    ["Ada", "Ben"].map(|who| format!("{who}, before the backup, {n}"))
}

fn after(n: u8) -> [String; 2] {
    ["Ada", "Ben"].map(|who| format!("{who}, after the backup, {n}"))
}

/// The words of a node's phrase, as the command line shows them.
async fn phrase(node: &NodeProcess) -> String {
    let shown = node.command(&["--json", "phrase"], "").await.unwrap().unwrap();
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let words = shown["words"].as_array().unwrap().iter().map(|word| word.as_str().unwrap());
    words.collect::<Vec<_>>().join(" ")
}

/// Makes the new computer's profile, after what must be refused was.
async fn restore(node: &NodeProcess, file: &str, words: &str) {
    let other = "zoo ".repeat(23) + "vote";
    let refused = node.command(&["restore", file], &other).await.unwrap().unwrap_err();
    assert!(refused.contains("another recovery phrase"), "{refused}");
    let refused = node.command(&["restore", file], "zoo zoo").await.unwrap().unwrap_err();
    assert!(refused.contains("24 words"), "{refused}");
    assert!(!node.data_dir().exists());
    // One that was broken off is begun anew, and no node starts on it meanwhile.
    let unfinished = node.data_dir().join(".restoring");
    std::fs::create_dir_all(unfinished.join("store")).unwrap();
    std::fs::write(node.data_dir().join("device.key"), "half").unwrap();
    let refused = node.command(&["up", "--no-open"], "").await.unwrap().unwrap_err();
    assert!(refused.contains("was broken off"), "{refused}");
    let told = node.command(&["restore", file], words).await.unwrap().unwrap();
    assert!(!unfinished.exists());
    assert!(told.contains("1 contacts, 6 messages"), "{told}");
    let refused = node.command(&["restore", file], words).await.unwrap().unwrap_err();
    assert!(refused.contains("a profile in"), "{refused}");
}

/// Waits until a conversation has so many messages and all of one's own are signed for.
async fn whole(rest: &Rest, chat: &str, count: usize) -> Vec<Message> {
    rest.until("everything that was missed", async |rest: &Rest| {
        let all = rest.messages(chat).await?;
        let mut mine = all.iter().filter(|message| message.delivery.is_some());
        let done = all.len() == count && mine.all(arrived);
        Ok(done.then_some(all))
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_in_a_new_folder_re_keys_by_itself_and_gets_back_what_was_missed() {
    let folder = tempfile::tempdir().unwrap();
    let mut pair = Pair::meet(folder.path()).await.unwrap();
    let (at_ada, at_ben) = (pair.at_ada.clone(), pair.at_ben.clone());
    let (ada, ben) = (pair.ada.rest().clone(), pair.ben.rest().clone());
    for [adas, bens] in (0..3).map(before) {
        say((&ada, &at_ada), &adas).await;
        say((&ben, &at_ben), &bens).await;
    }
    let contact = ada.chat().await.unwrap().contact_id;
    let verified = format!("/contacts/{contact}/verification");
    ada.tell(Method::PUT, &verified, &serde_json::json!({ "same": true })).await.unwrap();
    let code_before = ada.invite("before").await.unwrap().text.unwrap();
    let file = folder.path().join("ada.backup");
    let file = file.to_str().unwrap();
    let words = phrase(&pair.ada).await;
    pair.ada.command(&["backup", file], "").await.unwrap().unwrap();
    let refused = pair.ada.command(&["backup", file], "").await.unwrap().unwrap_err();
    assert!(refused.contains("does not overwrite"), "{refused}");
    for [adas, bens] in (0..3).map(after) {
        say((&ada, &at_ada), &adas).await;
        say((&ben, &at_ben), &bens).await;
    }
    let code_after = ada.invite("after").await.unwrap().text.unwrap();

    // The computer is gone; Ben writes on.
    pair.ada.kill().await.unwrap();
    std::fs::remove_dir_all(pair.ada.data_dir()).unwrap();
    for n in 0..2 {
        ben.say(&at_ben, &format!("Ben, while Ada was gone, {n}")).await.unwrap();
    }
    let options = NodeOptions::new(pair.relay.address());
    let mut restored = NodeProcess::new(folder.path(), "new-computer", options.clone());
    let begun = Instant::now();
    restore(&restored, file, &words).await;
    restored.restart().await.unwrap();
    let ada = restored.rest().clone();
    let at_new = ada.chat().await.unwrap().id;
    let ben_again: Contact = ada.get(&format!("/contacts/{contact}")).await.unwrap();
    assert!(ben_again.verified, "what was verified stays so: accounts stay what they are");
    // Words that she writes before anybody has answered wait, and go.
    ada.say(&at_new, "Ada, on the new computer").await.unwrap();
    let all = whole(&ada, &at_new, 12 + 3).await;
    println!("everything was back {} ms after the restore began", begun.elapsed().as_millis());
    let recovered = all.iter().filter(|message| message.recovered);
    let recovered: Vec<&str> = recovered.map(|message| message.text.as_str()).collect();
    assert_eq!(recovered, [0, 1, 2].map(|n| after(n)[0].clone()));
    let times = |all: &[Message]| -> Vec<String> {
        let before = all.iter().filter(|message| message.text.contains("the backup"));
        before.map(|message| message.sent_at.clone()).collect()
    };
    let at_bens = ben.messages(&at_ben).await.unwrap();
    assert_eq!(times(&all), times(&at_bens), "each has its own time");
    let mut words = texts(&ada, &at_new).await;
    assert_eq!(words, texts(&ben, &at_ben).await);
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), 15, "each once");
    // Ben did nothing, and is told that she began anew.
    let adas = ben.contact().await.unwrap();
    assert_eq!(adas.began_anew.len(), 1);
    assert!(adas.keys_renewed_at.is_some());
    assert!(ada.contact().await.unwrap().began_anew.is_empty(), "he did not");
    say((&ada, &at_new), "and on").await;
    say((&ben, &at_ben), "and back").await;
    old_codes_are_void(&pair, &ada, folder.path(), [&code_before, &code_after]).await;
    restored.stop().await.unwrap();
    pair.ben.stop().await.unwrap();
}

/// Ben's computer is off while Ada begins anew, and then on: the relay is all that they have in common by then.
#[tokio::test(flavor = "multi_thread")]
async fn a_contact_who_was_off_meanwhile_is_re_keyed_when_they_are_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut pair = Pair::meet(folder.path()).await.unwrap();
    let (at_ada, at_ben) = (pair.at_ada.clone(), pair.at_ben.clone());
    let [adas, bens] = before(0);
    say((pair.ada.rest(), &at_ada), &adas).await;
    say((pair.ben.rest(), &at_ben), &bens).await;
    let file = folder.path().join("ada.backup");
    let (file, words) = (file.to_str().unwrap(), phrase(&pair.ada).await);
    pair.ada.command(&["backup", file], "").await.unwrap().unwrap();
    let [adas, bens] = after(0);
    say((pair.ada.rest(), &at_ada), &adas).await;
    say((pair.ben.rest(), &at_ben), &bens).await;
    pair.ada.kill().await.unwrap();
    pair.ben.rest().say(&at_ben, "Ben, while Ada was gone").await.unwrap();
    let held = |message: &Message| state(message) == Some(DeliveryState::Custody);
    pair.ben.rest().until_last(&at_ben, 1, "custody", held).await.unwrap();
    pair.ben.stop().await.unwrap();

    let options = NodeOptions::new(pair.relay.address());
    let mut new = NodeProcess::new(folder.path(), "new-computer", options);
    new.command(&["restore", file], &words).await.unwrap().unwrap();
    new.restart().await.unwrap();
    let ada = new.rest().clone();
    let chat = ada.chat().await.unwrap().id;
    ada.say(&chat, "Ada, on the new computer").await.unwrap();
    assert_eq!(texts(&ada, &chat).await.len(), 3, "nobody was there to send anything");
    pair.ben.restart().await.unwrap();
    let all = whole(&ada, &chat, 6).await;
    assert_eq!(all.iter().filter(|message| message.recovered).count(), 1);
    assert_eq!(texts(&ada, &chat).await, texts(pair.ben.rest(), &at_ben).await);
    assert_eq!(pair.ben.rest().contact().await.unwrap().began_anew.len(), 1);
    new.stop().await.unwrap();
    pair.ben.stop().await.unwrap();
}

/// Carla scans codes from before the loss, and then one of the new computer's.
async fn old_codes_are_void(pair: &Pair, ada: &Rest, folder: &Path, old: [&str; 2]) {
    // There is a code that works, so strangers are listened to.
    let fresh = ada.invite("fresh").await.unwrap().text.unwrap();
    let options = NodeOptions::new(pair.relay.address());
    let mut carla = NodeProcess::start(folder, "carla", options).await.unwrap();
    let name = "carla@example.org";
    carla.rest().register(pair.relay.address(), name, "Carla").await.unwrap();
    for code in old {
        let asked = carla.rest().redeem(code).await.unwrap();
        let gone = async |rest: &Rest| {
            let requests: Items<Request> = rest.get("/requests").await?;
            let mine = requests.items.into_iter().find(|request| request.id == asked.id);
            Ok(mine.filter(|request| request.state == RequestState::Gone))
        };
        carla.rest().until("the end of a request", gone).await.unwrap();
    }
    carla.rest().redeem(&fresh).await.unwrap();
    let held = ada.held().await.unwrap();
    let requests: Items<Request> = ada.get("/requests").await.unwrap();
    assert_eq!(requests.items.iter().map(|request| &request.id).collect::<Vec<_>>(), [&held.id]);
    carla.stop().await.unwrap();
}

fn refusal(error: anyhow::Error) -> String {
    error.downcast::<Refused>().unwrap().code
}

/// A new computer, where Kith has started already and made an account that nobody has used.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_takes_the_place_of_a_profile_that_nobody_has_used() {
    let folder = tempfile::tempdir().unwrap();
    let mut pair = Pair::meet(folder.path()).await.unwrap();
    let (ada, ben) = (pair.ada.rest().clone(), pair.ben.rest().clone());
    say((&ada, &pair.at_ada), "before the backup").await;
    let words = phrase(&pair.ada).await;
    let file = folder.path().join("ada.backup");
    pair.ada.command(&["backup", file.to_str().unwrap()], "").await.unwrap().unwrap();
    let backup = std::fs::read(&file).unwrap();
    let me: Me = ada.get("/me").await.unwrap();
    let refused = ben.put_bytes("/restore/file", backup.clone()).await.unwrap_err();
    assert_eq!(refusal(refused), "profile_in_use");
    pair.ada.kill().await.unwrap();

    let options = NodeOptions::new(pair.relay.address());
    let mut new = NodeProcess::start(folder.path(), "new-computer", options).await.unwrap();
    let rest = new.rest().clone();
    let unused: Me = rest.get("/me").await.unwrap();
    let with = |words: &str| serde_json::json!({ "words": words });
    let restore = async |words: &str| rest.post::<Restored>("/restore", &with(words)).await;
    assert_eq!(refusal(restore(&words).await.unwrap_err()), "no_backup");
    assert_eq!(refusal(restore("zoo zoo").await.unwrap_err()), "not_a_phrase");
    rest.put_bytes("/restore/file", b"something else".to_vec()).await.unwrap();
    assert_eq!(refusal(restore(&words).await.unwrap_err()), "not_a_backup");
    let mut damaged = backup.clone();
    *damaged.last_mut().unwrap() ^= 1;
    rest.put_bytes("/restore/file", damaged).await.unwrap();
    assert_eq!(refusal(restore(&words).await.unwrap_err()), "not_a_backup");
    rest.put_bytes("/restore/file", backup).await.unwrap();
    let other = "zoo ".repeat(23) + "vote";
    assert_eq!(refusal(restore(&other).await.unwrap_err()), "wrong_phrase");
    // All of that changed nothing, and left nothing.
    assert_eq!(rest.get::<Me>("/me").await.unwrap(), unused);
    assert!(!new.data_dir().join(".restoring").exists());

    let back = restore(&words).await.unwrap();
    assert_eq!((back.contacts, back.messages), (1, 1));
    assert_eq!(rest.get::<Me>("/me").await.unwrap(), me);
    assert!(!new.data_dir().join("restore.upload").exists());
    let chat = rest.chat().await.unwrap().id;
    say((&rest, &chat), "on the new computer").await;
    let again = rest.put_bytes("/restore/file", vec![1]).await.unwrap_err();
    assert_eq!(refusal(again), "profile_in_use");
    new.kill().await.unwrap();
    new.restart().await.unwrap();
    assert_eq!(texts(new.rest(), &chat).await, ["before the backup", "on the new computer"]);
    new.stop().await.unwrap();
    pair.ben.stop().await.unwrap();
}
