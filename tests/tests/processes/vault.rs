//! The passphrase of a profile, in a real process: set, locked, guessed at, unlocked, changed, removed.

use std::time::Duration;

use kith_tests::process::{NodeProcess, Pair, Refused, Scanner, arrived, memory};
use node::api::dto::{Status, VaultState};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::leaks::account_seed;

const FIRST: &str = "beans and peas";
const SECOND: &str = "nasturtiums";

async fn refused(node: &NodeProcess, arguments: &[&str], input: &str) -> String {
    node.command(arguments, input).await.unwrap().unwrap_err()
}

async fn done(node: &NodeProcess, arguments: &[&str], input: &str) -> String {
    node.command(arguments, input).await.unwrap().unwrap()
}

async fn vault(node: &NodeProcess) -> VaultState {
    node.rest().get("/vault").await.unwrap()
}

fn stands(locked: bool, has_passphrase: bool) -> VaultState {
    VaultState { locked, has_passphrase, damaged: None }
}

/// Waits until these words are the last.
async fn last(node: &NodeProcess, chat: &str, text: &str) {
    node.rest().until_last(chat, 1, text, |message| message.text == text).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passphrase_closes_the_profile_over_restarts_until_it_is_typed() {
    let folder = tempfile::tempdir().unwrap();
    let mut pair = Pair::meet(folder.path()).await.unwrap();
    let (ada, ben) = (&mut pair.ada, &pair.ben);
    assert!(refused(ada, &["lock"], "").await.contains("no passphrase"));
    assert!(refused(ada, &["passphrase"], "short\n").await.contains("8 characters"));
    done(ada, &["passphrase"], &format!("{FIRST}\n")).await;
    assert_eq!(vault(ada).await, stands(false, true));
    assert!(!ada.data_dir().join("device.key").exists());

    // Locked: what comes waits, nothing is told, and nothing opens it but the passphrase.
    done(ada, &["lock"], "").await;
    assert_eq!(vault(ada).await, stands(true, true));
    // Not even a locked one: it could be unlocked meanwhile.
    assert!(refused(ada, &["recover"], "").await.contains("no copy"));
    std::fs::write(ada.data_dir().join("rolling.backup"), "any").unwrap();
    assert!(refused(ada, &["recover"], "").await.contains("Stop it first"));
    let closed = ada.rest().get::<Status>("/status").await.unwrap_err();
    assert_eq!(closed.downcast::<Refused>().unwrap().status, 423);
    ben.rest().say(&pair.at_ben, "while you were locked").await.unwrap();
    for left in ["4 tries are left", "3 tries are left"] {
        assert!(refused(ada, &["unlock"], "peas and beans\n").await.contains(left));
    }
    done(ada, &["unlock"], &format!("{FIRST}\n")).await;
    last(ada, &pair.at_ada, "while you were locked").await;

    // Five guesses, and even who knows it has to wait.
    done(ada, &["lock"], "").await;
    for left in ["4 tries are left", "3 tries are left", "2 tries are left", "One try is left"] {
        assert!(refused(ada, &["unlock"], "peas and beans\n").await.contains(left), "{left}");
    }
    let fifth = refused(ada, &["unlock"], "peas and beans\n").await;
    assert!(fifth.contains("not the passphrase") && fifth.contains("in 5 seconds"), "{fifth}");
    let sixth = refused(ada, &["unlock"], &format!("{FIRST}\n")).await;
    assert!(sixth.contains("wrong too often"), "{sixth}");
    assert_eq!(vault(ada).await, stands(true, true));

    // A restart asks again; the words that wait come then.
    ada.stop().await.unwrap();
    ada.restart().await.unwrap();
    assert_eq!(vault(ada).await, stands(true, true));
    ben.rest().say(&pair.at_ben, "while you were off").await.unwrap();
    done(ada, &["unlock"], &format!("{FIRST}\n")).await;
    last(ada, &pair.at_ada, "while you were off").await;

    // Changed, with the one before; killed; removed; and it opens by itself again.
    let wrong = format!("nonsense\n{SECOND}\n");
    assert!(refused(ada, &["passphrase"], &wrong).await.contains("not the passphrase"));
    done(ada, &["passphrase"], &format!("{FIRST}\n{SECOND}\n")).await;
    ada.kill().await.unwrap();
    ada.restart().await.unwrap();
    assert!(refused(ada, &["unlock"], &format!("{FIRST}\n")).await.contains("not the passphrase"));
    done(ada, &["unlock"], &format!("{SECOND}\n")).await;
    done(ada, &["passphrase", "--remove"], &format!("{SECOND}\n")).await;
    ada.stop().await.unwrap();
    ada.restart().await.unwrap();
    assert_eq!(vault(ada).await, stands(false, false));
    ada.rest().say(&pair.at_ada, "and on").await.unwrap();
    ada.rest().until_last(&pair.at_ada, 1, "and on", arrived).await.unwrap();
    let log = ada.log().unwrap();
    for secret in [FIRST, SECOND, "nonsense"] {
        assert!(!log.contains(secret), "a passphrase is in the log");
    }
    pair.ada.stop().await.unwrap();
    pair.ben.stop().await.unwrap();
}

/// What is freed is wiped at once. What a thread that has nothing more to do left on its stack goes with the thread.
const UNTIL_WIPED: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn what_was_locked_is_not_in_memory_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let mut pair = Pair::meet(folder.path()).await.unwrap();
    let ada = &mut pair.ada;
    let (mine, theirs) = ("the heron leaves at midnight", "bring the copper lantern");
    ada.stop().await.unwrap();
    let mut scanner = Scanner::default();
    scanner.plant("the account's seed", account_seed(&ada.data_dir()).expose());
    scanner.plant("what Ada said", mine.as_bytes());
    scanner.plant("what Ben said", theirs.as_bytes());
    scanner.plant("the passphrase", FIRST.as_bytes());
    ada.restart().await.unwrap();
    ada.rest().say(&pair.at_ada, mine).await.unwrap();
    ada.rest().until_last(&pair.at_ada, 1, mine, arrived).await.unwrap();
    pair.ben.rest().say(&pair.at_ben, theirs).await.unwrap();
    last(ada, &pair.at_ada, theirs).await;
    done(ada, &["passphrase"], &format!("{FIRST}\n")).await;
    done(ada, &["lock"], "").await;
    done(ada, &["unlock"], &format!("{FIRST}\n")).await;
    last(ada, &pair.at_ada, theirs).await;
    let process = ada.id().unwrap();
    let Some(open) = memory(process, &scanner).unwrap() else {
        return println!("not looked at: only root may read the memory of a node");
    };
    let seen = |what: &str| open.iter().any(|finding| finding.what == what);
    assert!(seen("the account's seed"), "it looks in the right place: {open:?}");

    done(ada, &["lock"], "").await;
    let (begun, mut look) = (Instant::now(), interval(Duration::from_secs(1)));
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        let left = memory(process, &scanner).unwrap().unwrap();
        if left.is_empty() {
            break;
        }
        assert!(begun.elapsed() < UNTIL_WIPED, "{left:?}");
    }
    println!("nothing was left {} s after the lock", begun.elapsed().as_secs());
    ada.stop().await.unwrap();
    pair.ben.stop().await.unwrap();
}
