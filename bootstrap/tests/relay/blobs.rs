//! Files for people who are away, at a real relay.

use std::path::Path;

use futures::future::join_all;
use protocol::blob::{BlobId, BlobRefusal, BlobRequest, BlobResponse, BlobState, PIECE};
use protocol::time::{DAY, MINUTE};
use serde_bytes::ByteBuf;

use crate::bench::{Bench, Member};
use crate::bucket;
use crate::client::Client;

const ID: BlobId = BlobId([9; 32]);

/// A file of so many bytes, none like the next.
fn file(bytes: u64) -> Vec<u8> {
    (0..bytes).map(|n| (n ^ (n >> 8) ^ (n >> 16)) as u8).collect()
}

fn pieces(file: &[u8]) -> Vec<ByteBuf> {
    file.chunks(PIECE as usize).map(|piece| ByteBuf::from(piece.to_vec())).collect()
}

async fn open(member: &Member, blob: BlobId, bytes: u64) -> Result<BlobState, BlobRefusal> {
    match member.client.blob(BlobRequest::Open { blob, bytes, keep: None }).await {
        BlobResponse::State(state) => Ok(state),
        BlobResponse::Refused(why) => Err(why),
        other => panic!("{other:?}"),
    }
}

async fn put(client: &Client, blob: BlobId, piece: u32, bytes: ByteBuf) -> BlobResponse {
    client.blob(BlobRequest::Put { blob, piece, bytes }).await
}

async fn got(client: &Client, blob: BlobId, piece: u32) -> Result<ByteBuf, BlobRefusal> {
    match client.blob(BlobRequest::Get { blob, piece }).await {
        BlobResponse::Piece(bytes) => Ok(bytes),
        BlobResponse::Refused(why) => Err(why),
        other => panic!("{other:?}"),
    }
}

fn refused(why: BlobRefusal) -> BlobResponse {
    BlobResponse::Refused(why)
}

#[tokio::test]
async fn a_file_goes_on_after_a_restart_and_comes_whole_to_whoever_knows_its_name() {
    goes_on_and_comes_whole(Bench::start().await).await;
}

#[tokio::test]
async fn a_file_in_a_bucket_does_as_well() {
    let service = bucket::Service::start().await;
    goes_on_and_comes_whole(Bench::with(|config| service.keep(config)).await).await;
    assert_eq!(objects(&service.folder()), 3);
}

async fn goes_on_and_comes_whole(bench: Bench) {
    let file = file(5 * PIECE / 2);
    let (bytes, pieces) = (file.len() as u64, pieces(&file));
    let ada = bench.member(1).await;
    assert!(open(&ada, ID, bytes).await.is_ok());
    assert!(put(&ada.client, ID, 2, pieces[2].clone()).await == BlobResponse::Stored);

    let bench = bench.restart().await;
    let ada = Member::connect(1, &bench.tcp()).await;
    let state = open(&ada, ID, bytes).await.unwrap();
    assert_eq!(*state.stored, [0b100], "she goes on");
    let rest = [0, 1, 2].map(|piece| put(&ada.client, ID, piece, pieces[piece as usize].clone()));
    assert!(join_all(rest).await.iter().all(|answer| *answer == BlobResponse::Stored));

    let ben = Client::throwaway(&bench.tcp()).await;
    let BlobResponse::State(state) = ben.blob(BlobRequest::Stat { blob: ID }).await else {
        panic!("no state");
    };
    assert_eq!((state.bytes, &**state.stored), (bytes, [0b111].as_slice()));
    let came = join_all((0..3).map(|piece| got(&ben, ID, piece))).await;
    let came: Vec<u8> = came.into_iter().flat_map(|piece| piece.unwrap().into_vec()).collect();
    assert!(came == file);
    assert_eq!(got(&ben, ID, 3).await, Err(BlobRefusal::Missing));
    assert_eq!(got(&ben, BlobId([8; 32]), 0).await, Err(BlobRefusal::Missing));
}

#[tokio::test]
async fn only_members_put_files_and_only_their_own() {
    let bench = Bench::start().await;
    let (ada, ben) = (bench.member(1).await, bench.member(2).await);
    let eve = Member::connect(66, &bench.tcp()).await;
    assert_eq!(open(&eve, ID, 10).await, Err(BlobRefusal::NotAdmitted));
    assert!(open(&ada, ID, 10).await.is_ok());
    let ten = ByteBuf::from(vec![1; 10]);
    let answers = [
        (put(&eve.client, ID, 0, ten.clone()).await, BlobRefusal::NotAdmitted),
        (put(&ben.client, ID, 0, ten.clone()).await, BlobRefusal::Missing),
        (put(&ada.client, ID, 1, ten.clone()).await, BlobRefusal::WrongPiece),
        (put(&ada.client, ID, 0, ByteBuf::from(vec![1; 9])).await, BlobRefusal::WrongPiece),
        (ben.client.blob(BlobRequest::Delete { blob: ID }).await, BlobRefusal::Missing),
        (eve.client.blob(BlobRequest::Delete { blob: ID }).await, BlobRefusal::NotAdmitted),
    ];
    for (answer, why) in answers {
        assert!(answer == refused(why), "{answer:?}, not {why:?}");
    }
    assert_eq!(open(&ben, ID, 10).await, Err(BlobRefusal::Taken));
    assert_eq!(got(&eve.client, ID, 0).await, Err(BlobRefusal::Missing), "not there yet");
    assert!(put(&ada.client, ID, 0, ten.clone()).await == BlobResponse::Stored);
    assert_eq!(got(&eve.client, ID, 0).await, Ok(ten));
    let most = bench.config.blobs.blob_bytes;
    let too_large = BlobRefusal::TooLarge { most };
    assert_eq!(open(&ada, BlobId([1; 32]), most + 1).await, Err(too_large));
}

/// How many pieces are on the relay's disk.
fn on_disk(bench: &Bench) -> usize {
    objects(&bench.dir.path().join("blobs"))
}

fn objects(path: &Path) -> usize {
    // It may go while it is looked at.
    match std::fs::read_dir(path) {
        Ok(entries) => entries.flatten().map(|entry| objects(&entry.path())).sum(),
        Err(_) => usize::from(path.is_file()),
    }
}

#[tokio::test]
async fn nothing_is_left_of_what_is_deleted_over_or_its_owners_who_left() {
    let bench = Bench::with(|config| config.admin = Some(([127, 0, 0, 1], 0).into())).await;
    nothing_is_left(bench, on_disk).await;
}

#[tokio::test]
async fn a_bucket_behind_tls_is_known_by_the_certificate_that_is_named_and_by_no_other() {
    let (service, authority) = bucket::Service::encrypted().await;
    let keep = |ca_file| {
        let told = bootstrap::config::S3 { ca_file, ..service.as_told(bucket::SECRET) };
        Bench::with(|config| {
            service.keep(config);
            config.blobs.s3 = Some(told);
        })
    };
    goes_on_and_comes_whole(keep(Some(authority)).await).await;
    // The public authorities of this machine did not sign it.
    let bench = keep(None).await;
    let ada = bench.member(1).await;
    assert!(open(&ada, ID, 10).await.is_ok());
    let answer = put(&ada.client, ID, 0, ByteBuf::from(vec![1; 10])).await;
    assert!(answer == refused(BlobRefusal::Unavailable), "{answer:?}");
}

#[tokio::test]
async fn nothing_is_left_in_a_bucket_either() {
    let service = bucket::Service::start().await;
    let bench = Bench::with(|config| {
        config.admin = Some(([127, 0, 0, 1], 0).into());
        service.keep(config);
    });
    nothing_is_left(bench.await, |_| objects(&service.folder())).await;
}

#[tokio::test]
async fn a_bucket_that_lets_nobody_in_is_told_at_the_start_and_one_that_is_away_stops_nothing_else()
{
    let service = bucket::Service::start().await;
    let dir = tempfile::tempdir().unwrap();
    let mut config = bootstrap::Config::development(dir.path());
    service.keep(&mut config);
    config.blobs.s3 = Some(service.as_told("another secret"));
    let error = bootstrap::Relay::start(config.clone()).await.unwrap_err();
    assert!(error.to_string().contains("blobs.s3: kith cannot be used"), "{error}");
    assert_eq!(error.exit_code(), 78);
    let mut none = service.as_told(bucket::SECRET);
    none.bucket = "another".into();
    config.blobs.s3 = Some(none);
    let error = bootstrap::Relay::start(config).await.unwrap_err();
    assert!(error.to_string().contains("blobs.s3: another cannot be used"), "{error}");

    let mut away = service.as_told("another secret");
    away.endpoint = Some("http://127.0.0.1:1".into());
    let bench = Bench::with(|config| {
        service.keep(config);
        config.blobs.s3 = Some(away);
    });
    let bench = bench.await;
    let ada = bench.member(1).await;
    assert!(open(&ada, ID, 10).await.is_ok());
    let answer = put(&ada.client, ID, 0, ByteBuf::from(vec![1; 10])).await;
    assert!(answer == refused(BlobRefusal::Unavailable), "{answer:?}");
}

async fn nothing_is_left(bench: Bench, on_disk: impl Fn(&Bench) -> usize) {
    let (ada, ben) = (bench.member(1).await, bench.member(2).await);
    let one = |n| ByteBuf::from(vec![n; 1]);
    let [deleted, half, whole, bens] = [1, 2, 3, 4].map(|n| BlobId([n; 32]));
    for (member, blob, bytes) in
        [(&ada, deleted, 1), (&ada, half, PIECE + 1), (&ada, whole, 1), (&ben, bens, 1)]
    {
        assert!(open(member, blob, bytes).await.is_ok());
        let last = u32::from(bytes > 1);
        assert!(put(&member.client, blob, last, one(7)).await == BlobResponse::Stored);
    }
    assert_eq!(on_disk(&bench), 4);
    let gone = ada.client.blob(BlobRequest::Delete { blob: deleted }).await;
    assert!(gone == BlobResponse::Deleted && on_disk(&bench) == 3);
    assert!(
        ada.client.blob(BlobRequest::Delete { blob: deleted }).await
            == refused(BlobRefusal::Missing)
    );

    // Over for whoever asks at once, and off the disk when it is looked for: at a start, and each minute.
    bench.pass(DAY + MINUTE);
    assert_eq!(got(&ada.client, half, 1).await, Err(BlobRefusal::Missing));
    assert_eq!(open(&ada, half, PIECE + 1).await, Err(BlobRefusal::Taken));
    crate::admin::told(&bench, &["erase", &ben.account(), "--yes"]).await;
    assert_eq!(got(&ada.client, bens, 0).await, Err(BlobRefusal::Missing));
    assert_eq!(got(&ada.client, whole, 0).await, Ok(one(7)));
    let bench = bench.restart().await;
    crate::client::soon("it to be off the disk", async {
        while on_disk(&bench) > 1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let client = Client::throwaway(&bench.tcp()).await;
    assert_eq!(got(&client, whole, 0).await, Ok(one(7)));
}

#[tokio::test]
async fn an_account_has_so_much_room_and_is_no_web_server() {
    let bench = Bench::with(|config| {
        config.blobs.account_bytes = 3 * PIECE;
        config.blobs.relay_bytes = 4 * PIECE;
        config.blobs.served_bytes_per_day = 2 * PIECE;
    })
    .await;
    let (ada, ben) = (bench.member(1).await, bench.member(2).await);
    let [first, second] = [1, 2].map(|n| BlobId([n; 32]));
    assert!(open(&ada, first, 2 * PIECE).await.is_ok());
    assert_eq!(open(&ada, second, 2 * PIECE).await, Err(BlobRefusal::Full));
    assert_eq!(open(&ben, second, 3 * PIECE).await, Err(BlobRefusal::NoRoom));
    let piece = ByteBuf::from(vec![5; PIECE as usize]);
    assert!(put(&ada.client, first, 0, piece.clone()).await == BlobResponse::Stored);
    for _ in 0..2 {
        assert_eq!(got(&ben.client, first, 0).await, Ok(piece.clone()));
    }
    let waits = got(&ben.client, first, 0).await;
    assert!(matches!(waits, Err(BlobRefusal::Busy { retry_ms }) if retry_ms > 0), "{waits:?}");
    assert!(open(&ben, second, PIECE).await.is_ok());
    assert!(put(&ben.client, second, 0, piece.clone()).await == BlobResponse::Stored);
    assert_eq!(got(&ada.client, second, 0).await, Ok(piece), "each account has its own");
}

#[tokio::test]
async fn a_piece_that_was_lost_is_missing_and_can_be_put_again() {
    let bench = Bench::start().await;
    let ada = bench.member(1).await;
    let one = ByteBuf::from(vec![1]);
    assert!(open(&ada, ID, 1).await.is_ok());
    assert!(put(&ada.client, ID, 0, one.clone()).await == BlobResponse::Stored);
    let place = bench.dir.path().join("blobs/09").join("09".repeat(32));
    std::fs::remove_file(place.join("0")).unwrap();
    assert_eq!(got(&ada.client, ID, 0).await, Err(BlobRefusal::Missing));
    assert_eq!(*open(&ada, ID, 1).await.unwrap().stored, [0], "and it is said");
    assert!(put(&ada.client, ID, 0, one.clone()).await == BlobResponse::Stored);
    // Before anybody misses it.
    std::fs::remove_file(place.join("0")).unwrap();
    assert!(put(&ada.client, ID, 0, one.clone()).await == BlobResponse::Stored);
    assert_eq!(got(&ada.client, ID, 0).await, Ok(one));
}

#[tokio::test]
async fn one_file_that_cannot_be_removed_keeps_no_other_one() {
    let bench = Bench::start().await;
    let ada = bench.member(1).await;
    let ids = [1, 2, 3].map(|n| BlobId([n; 32]));
    for id in ids {
        assert!(open(&ada, id, 1).await.is_ok());
        assert!(put(&ada.client, id, 0, ByteBuf::from(vec![1])).await == BlobResponse::Stored);
    }
    // A file where the folder of the first belongs.
    let place = bench.dir.path().join("blobs/01").join("01".repeat(32));
    std::fs::remove_dir_all(&place).unwrap();
    std::fs::write(&place, "in the way").unwrap();
    bench.pass(8 * DAY);
    let bench = bench.restart().await;
    let left = async {
        while on_disk(&bench) > 1 {
            tokio::task::yield_now().await;
        }
    };
    crate::client::soon("the others to be gone", left).await;
    assert!(place.is_file());
}

#[tokio::test]
async fn a_relay_that_keeps_no_files_says_so() {
    let bench = Bench::with(|config| config.blobs.place = bootstrap::config::BlobPlace::Off).await;
    let ada = bench.member(1).await;
    assert_eq!(open(&ada, ID, 1).await, Err(BlobRefusal::NotOffered));
    assert!(ada.open(1).await == protocol::mailbox::wire::MailboxResponse::Opened);
}
