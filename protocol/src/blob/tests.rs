use super::*;
use crate::wire::codec;
use proptest::prelude::*;

const NOW: Timestamp = Timestamp(100 * DAY);
const ADA: AccountId = AccountId([1; 32]);

fn limits() -> Limits {
    Limits {
        blob_bytes: 10 * PIECE,
        account_bytes: 20 * PIECE,
        account_blobs: 3,
        ..Limits::default()
    }
}

fn open(bytes: u64, own: Usage, all: Usage) -> Result<Blob, BlobRefusal> {
    Blob::open(None, ADA, (bytes, None), (own, all), &limits(), NOW)
}

fn used(blobs: u64, bytes: u64) -> Usage {
    Usage { blobs, bytes, unfinished: 0 }
}

#[test]
fn a_blob_takes_its_room_when_it_is_opened() {
    let none = Usage::default();
    let most = 10 * PIECE;
    assert!(open(most, none, none).is_ok());
    for bytes in [0, most + 1, u64::MAX] {
        assert_eq!(open(bytes, none, none), Err(BlobRefusal::TooLarge { most }));
    }
    assert!(open(most, used(2, most), none).is_ok());
    assert_eq!(open(most, used(2, most + 1), none), Err(BlobRefusal::Full));
    assert_eq!(open(1, used(3, 0), none), Err(BlobRefusal::Full));
    let waiting = |unfinished| Usage { blobs: 1, bytes: unfinished, unfinished };
    assert!(open(PIECE, waiting(9 * PIECE), none).is_ok());
    assert_eq!(open(PIECE + 1, waiting(9 * PIECE), none), Err(BlobRefusal::Full), "not whole");
    let full = limits().relay_bytes;
    assert_eq!(open(1, none, used(9, full)), Err(BlobRefusal::NoRoom));
}

#[test]
fn opening_again_goes_on_and_taking_anothers_place_does_not() {
    let none = Usage::default();
    let mut blob = open(2 * PIECE, none, none).unwrap();
    blob.keep(1);
    let again = |owner, bytes, at| {
        let full = used(9, u64::MAX);
        Blob::open(Some(blob.clone()), owner, (bytes, None), (full, full), &limits(), at)
    };
    assert_eq!(again(ADA, 2 * PIECE, NOW), Ok(blob.clone()), "whatever else she has");
    assert_eq!(again(ADA, PIECE, NOW), Err(BlobRefusal::Taken));
    assert_eq!(again(AccountId([2; 32]), 2 * PIECE, NOW), Err(BlobRefusal::Taken));
    assert_eq!(again(ADA, 2 * PIECE, NOW.plus(DAY)), Err(BlobRefusal::Taken), "it is over");
}

#[test]
fn what_is_not_whole_ends_earlier() {
    let none = Usage::default();
    let mut blob = open(2 * PIECE + 1, none, none).unwrap();
    assert_eq!((blob.pieces(), blob.ends_at()), (3, NOW.plus(DAY)));
    for piece in [0, 2] {
        blob.keep(piece);
    }
    assert!(!blob.is_whole() && blob.has(0) && !blob.has(1) && blob.has(2));
    blob.keep(1);
    blob.keep(99);
    assert!(blob.is_whole() && !blob.has(3) && !blob.has(99));
    assert_eq!(blob.state().expires_at, NOW.plus(7 * DAY));
    let brief = Blob::open(None, ADA, (1, Some(5)), (none, none), &limits(), NOW).unwrap();
    assert_eq!(brief.ends_at(), NOW.plus(5));
    let long = Blob::open(None, ADA, (1, Some(u64::MAX)), (none, none), &limits(), NOW).unwrap();
    assert_eq!(long.until, NOW.plus(14 * DAY));
}

proptest! {
    #[test]
    fn pieces_come_to_the_whole(bytes in 1..PIECE * u64::from(MAX_PIECES)) {
        let limits = Limits { blob_bytes: u64::MAX, ..Limits::default() };
        let none = Usage::default();
        let blob = Blob::open(None, ADA, (bytes, None), (none, none), &limits, NOW).unwrap();
        let each = (0..blob.pieces()).map(|piece| blob.piece_bytes(piece).unwrap());
        prop_assert_eq!(each.sum::<u64>(), bytes);
        prop_assert_eq!(blob.piece_bytes(blob.pieces()), None);
        prop_assert_eq!(blob.piece_bytes(u32::MAX), None);
        prop_assert_eq!(blob.stored.len(), (blob.pieces() as usize).div_ceil(8));
        prop_assert!(codec::encode(&blob).is_ok());
        prop_assert!(codec::encode(&BlobResponse::State(blob.state())).is_ok());
    }
}

#[test]
fn the_wire_stays_as_it_is_and_the_largest_piece_fits() {
    let blob = BlobId([7; 32]);
    let id = "07".repeat(32);
    let hex = |request: &BlobRequest| {
        let bytes = codec::encode(request).unwrap();
        assert_eq!(&codec::decode::<BlobRequest>(&bytes).unwrap(), request);
        data_encoding::HEXLOWER.encode(&bytes)
    };
    let bytes = ByteBuf::from(vec![1, 2]);
    assert_eq!(
        hex(&BlobRequest::Open { blob, bytes: 9, keep: Some(1) }),
        format!("0100{id}090101")
    );
    assert_eq!(hex(&BlobRequest::Put { blob, piece: 3, bytes }), format!("0101{id}03020102"));
    assert_eq!(hex(&BlobRequest::Delete { blob }), format!("0102{id}"));
    assert_eq!(hex(&BlobRequest::Stat { blob }), format!("0103{id}"));
    assert_eq!(hex(&BlobRequest::Get { blob, piece: 250 }), format!("0104{id}fa"));
    let refusals = [
        BlobRefusal::NotOffered,
        BlobRefusal::NotAdmitted,
        BlobRefusal::Missing,
        BlobRefusal::Taken,
        BlobRefusal::TooLarge { most: 1 },
        BlobRefusal::Full,
        BlobRefusal::NoRoom,
        BlobRefusal::WrongPiece,
        BlobRefusal::Busy { retry_ms: 1 },
        BlobRefusal::Unavailable,
    ];
    for (nth, refusal) in refusals.into_iter().enumerate() {
        let bytes = codec::encode(&BlobResponse::Refused(refusal)).unwrap();
        assert_eq!(bytes.get(..3), Some([1, 4, nth as u8].as_slice()));
    }
    let piece = ByteBuf::from(vec![0xff; PIECE as usize]);
    let put = BlobRequest::Put { blob, piece: u32::MAX, bytes: piece.clone() };
    assert!(codec::encode(&put).is_ok());
    let bytes = codec::encode(&BlobResponse::Piece(piece)).unwrap();
    assert_eq!(bytes.get(..2), Some([1, 3].as_slice()));
}
