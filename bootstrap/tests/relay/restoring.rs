//! What `docs/OPERATING.md` says under “Keep safe”, done: a relay that is put back from a copy of some time ago.

use std::path::Path;
use std::process::Command;

use protocol::mailbox::proof::custody_holds;
use protocol::mailbox::wire::MailboxResponse;
use protocol::registration::wire::Told;

use crate::bench::{Bench, Member, Sealed};
use crate::sharing::{database, share};

/// Runs a program; it works.
fn run(program: &str, arguments: &[&str]) {
    let done = Command::new(program).args(arguments).output().unwrap();
    assert!(done.status.success(), "{program}: {}", String::from_utf8_lossy(&done.stderr));
}

/// The arguments of a program of PostgreSQL's.
fn with<'a>(at: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [at, more].concat()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// What happened before the copy is there again, what happened since is made up for as people's nodes do it.
async fn put_back(
    bench: Bench,
    copy: impl AsyncFnOnce(Bench) -> Bench,
    restore: impl AsyncFnOnce(Bench) -> Bench,
) {
    let ada = bench.member(1).await;
    assert!(ada.open(1).await == MailboxResponse::Opened);
    let sender = Sealed::connect(&bench.tcp()).await;
    let before = sender.deposit(1, b"before").await.unwrap();

    let bench = copy(bench).await;
    let sender = Sealed::connect(&bench.tcp()).await;
    let since = sender.deposit(1, b"since").await.unwrap();
    let ben = bench.member(2).await;
    assert_eq!(ben.standing().await, Told::Admitted);

    let bench = restore(bench).await;
    assert_eq!(Member::connect(1, &bench.tcp()).await.standing().await, Told::Admitted);
    let ben = Member::connect(2, &bench.tcp()).await;
    assert_ne!(ben.standing().await, Told::Admitted, "who registered since registers again");
    let sender = Sealed::connect(&bench.tcp()).await;
    assert_eq!(sender.waiting(1).await, 1);
    assert_eq!(sender.deposit(1, b"before").await.unwrap(), before, "it has that");
    // Its sender holds it until it is delivered.
    let again = sender.deposit(1, b"since").await.unwrap();
    assert!(
        again.envelope == since.envelope && custody_holds(&again, sender.relay),
        "it is who it was"
    );

    let mut owner = Sealed::connect(&bench.tcp()).await;
    assert_eq!(owner.attach(1).await, [Some(2)]);
    let mut came = Vec::new();
    while came.len() < 2 {
        let pushed = owner.client.pushed().await;
        came.extend(pushed.items.iter().map(|item| item.body.to_vec()));
        owner.client.acknowledge(pushed).await;
    }
    assert_eq!(came, [b"before".to_vec(), b"since".to_vec()]);
}

#[tokio::test]
async fn a_relay_with_a_store_of_its_own_comes_back_from_a_copy_of_its_folder() {
    let place = tempfile::tempdir().unwrap();
    let copy = place.path().join("copy.tar.gz");
    Box::pin(put_back(
        Bench::start().await,
        async |bench| {
            let pack = |config: &mut bootstrap::Config| {
                let folder = text(&config.data_dir);
                run("tar", &["-C", folder, "-czf", text(&copy), "identity", "store"]);
            };
            bench.stopped(pack).await
        },
        async |bench| {
            let unpack = |config: &mut bootstrap::Config| {
                // Another machine: nothing is there but the copy.
                config.data_dir = place.path().join("another");
                std::fs::create_dir(&config.data_dir).unwrap();
                run("tar", &["-C", text(&config.data_dir), "-xzf", text(&copy)]);
            };
            bench.stopped(unpack).await
        },
    ))
    .await;
}

#[tokio::test]
async fn a_relay_on_postgres_comes_back_from_a_dump_that_was_made_while_it_ran() {
    let database = database().await;
    let bench = Bench::with(|config| share(config, &database)).await;
    let place = tempfile::tempdir().unwrap();
    let dump = place.path().join("kith.sql");
    let at = ["--host", database.host.as_str(), "--username", database.user.as_str()];
    let another = format!("{}_restored", database.database);
    Box::pin(put_back(
        bench,
        async |bench| {
            run("pg_dump", &with(&at, &["--file", text(&dump), &database.database]));
            bench
        },
        async |bench| {
            let load = |config: &mut bootstrap::Config| {
                run("createdb", &with(&at, &[&another]));
                let file = text(&dump);
                run(
                    "psql",
                    &with(&at, &["--quiet", "--set", "ON_ERROR_STOP=1", "--file", file, &another]),
                );
                config.postgres.as_mut().unwrap().database = another.clone();
            };
            bench.stopped(load).await
        },
    ))
    .await;
}
