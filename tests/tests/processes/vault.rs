//! The passphrase of a profile, in a real process: set, locked, guessed at, unlocked, changed, removed.

use kith_tests::process::{NodeProcess, Pair, Refused, arrived};
use node::api::dto::{Status, VaultState};

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
    assert_eq!(vault(ada).await, VaultState { locked: false, has_passphrase: true });
    assert!(!ada.data_dir().join("device.key").exists());

    // Locked: what comes waits, nothing is told, and nothing opens it but the passphrase.
    done(ada, &["lock"], "").await;
    assert_eq!(vault(ada).await, VaultState { locked: true, has_passphrase: true });
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

    // A restart asks again; the words that wait come then.
    ada.stop().await.unwrap();
    ada.restart().await.unwrap();
    assert_eq!(vault(ada).await, VaultState { locked: true, has_passphrase: true });
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
    assert_eq!(vault(ada).await, VaultState { locked: false, has_passphrase: false });
    ada.rest().say(&pair.at_ada, "and on").await.unwrap();
    ada.rest().until_last(&pair.at_ada, 1, "and on", arrived).await.unwrap();
    let log = ada.log().unwrap();
    for secret in [FIRST, SECOND, "nonsense"] {
        assert!(!log.contains(secret), "a passphrase is in the log");
    }
    pair.ada.stop().await.unwrap();
    pair.ben.stop().await.unwrap();
}
