//! Several people scan one code, in any interleaving, with a restart between any two steps.

use crypto::{Bundle, FIRST_AGREEMENT_VERSION, Identity, Token, join};
use proptest::prelude::*;
use protocol::Cx;
use protocol::contact::ContactCard;
use protocol::invite::{
    Arrival, Attempt, CERT_DOUBT, ClaimError, DIRECT_GRACE, Invite, Kind, MintSpec, State,
    join_payload,
};
use protocol::time::{MINUTE, Timestamp};
use protocol::wire::{decode, encode};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::peer::identity;

const START: Timestamp = Timestamp(1_700_000_000_000);
const JOINERS: usize = 4;

#[derive(Clone, Copy, Debug)]
enum Op {
    /// A joiner's request arrives; its answer may be lost before the claim is stored.
    Ask {
        who: usize,
        crash: bool,
        mailbox: bool,
    },
    Accept,
    Reject,
    Revoke,
    Wait(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let ask = (0..JOINERS, prop::bool::weighted(0.3), any::<bool>())
        .prop_map(|(who, crash, mailbox)| Op::Ask { who, crash, mailbox });
    prop_oneof![
        10 => ask,
        1 => Just(Op::Accept),
        1 => Just(Op::Reject),
        1 => Just(Op::Revoke),
        2 => (0..15u64).prop_map(|minutes| Op::Wait(minutes * MINUTE)),
    ]
}

fn mint(ada: &Identity, rng: &mut StdRng) -> (Invite, Token) {
    let cert = ada.primary_cert(FIRST_AGREEMENT_VERSION, START.seconds(), 0);
    let spec = MintSpec {
        kind: Kind::InPerson,
        label: String::new(),
        life: None,
        relays: Vec::new(),
        name: None,
    };
    Invite::mint(ada, &cert, spec, &mut Cx { now: START, rng }).unwrap()
}

fn request(joiner: &Identity, token: &Token, bundle: &[u8], rng: &mut StdRng) -> Vec<u8> {
    let cert = joiner.primary_cert(FIRST_AGREEMENT_VERSION, START.seconds(), 0);
    let bundle = Bundle::open(token, bundle).unwrap();
    let card = ContactCard { version: 1, ..ContactCard::default() };
    let payload = join_payload([0; 32], card).unwrap();
    join(joiner, &cert, token, &bundle, &payload, rng).unwrap().request
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn of_all_who_scan_one_code_exactly_one_claims_it_whatever_the_order(
        seed in any::<u64>(),
        ops in prop::collection::vec(op(), 1..30),
    ) {
        let mut rng = StdRng::seed_from_u64(seed);
        let ada = identity(1);
        let (mut invite, token) = mint(&ada, &mut rng);
        let joiners: Vec<Identity> = (0..JOINERS).map(|n| identity(10 + n as u8)).collect();
        let bundle = invite.bundle().unwrap().to_vec();
        let requests: Vec<Vec<u8>> =
            joiners.iter().map(|joiner| request(joiner, &token, &bundle, &mut rng)).collect();
        let mut now = START;
        let mut winner: Option<(usize, Vec<u8>)> = None;
        let mut tries = 0;
        for op in ops {
            // A restart between any two steps: only what was stored goes on.
            invite = decode(&encode(&invite).unwrap()).unwrap();
            match op {
                Op::Wait(millis) => now = now.plus(millis),
                Op::Accept => drop(invite.accept()),
                Op::Reject => drop(invite.reject()),
                Op::Revoke => {
                    let revoked = invite.revoke();
                    prop_assert!(!(revoked && winner.is_some()), "revoked after the claim");
                }
                Op::Ask { who, crash, mailbox } => {
                    let before = invite.clone();
                    let arrival = if mailbox { Arrival::Mailbox(START) } else { Arrival::Direct };
                    match invite.open(&ada, &requests[who], arrival, now) {
                        Ok(Attempt::New(opened)) => {
                            prop_assert!(winner.is_none(), "a second claim");
                            prop_assert_eq!(opened.by, joiners[who].account().into());
                            let hold = vec![who as u8; 16];
                            invite.claim(opened.by, opened.request_hash(), hold.clone());
                            if crash {
                                invite = before;
                            } else {
                                winner = Some((who, hold));
                            }
                        }
                        Ok(Attempt::Repeat(hold)) => {
                            prop_assert_eq!(Some(&(who, hold)), winner.as_ref());
                            prop_assert_eq!(&invite, &before, "a repetition changes nothing");
                        }
                        Err(ClaimError::Taken) => {
                            tries += 1;
                            let decided = matches!(
                                invite.state,
                                State::Rejected(_) | State::Withdrawn(_) | State::Revoked
                            );
                            let mine = winner.as_ref().is_some_and(|(won, _)| *won == who);
                            let late = now >= invite.expires_at.plus(DIRECT_GRACE);
                            prop_assert!(!mine || decided, "the winner was turned away");
                            prop_assert!(winner.is_some() || decided || late, "refused for nothing");
                        }
                        Err(other) => prop_assert!(false, "{other}"),
                    }
                }
            }
            prop_assert_eq!(
                invite.claimant(),
                winner.as_ref().map(|(who, _)| joiners[*who].account().into())
            );
            prop_assert_eq!(invite.failed_tries, tries, "the ledger counts every other try");
            if winner.is_some() {
                prop_assert!(invite.bundle().is_none(), "the prekeys outlived the claim");
            }
        }
    }
}

/// A day's doubt about clocks is given to whoever asks, and no more.
#[test]
fn a_request_with_a_certificate_that_is_over_is_not_opened_and_claims_nothing() {
    let (ada, ben) = (identity(1), identity(2));
    let mut rng = StdRng::seed_from_u64(9);
    let card = ContactCard { version: 1, ..ContactCard::default() };
    let mut ask = |expires: u64| {
        let (mut invite, token) = mint(&ada, &mut rng);
        let bundle = Bundle::open(&token, invite.bundle().unwrap()).unwrap();
        let cert = ben.primary_cert(FIRST_AGREEMENT_VERSION, START.seconds(), expires);
        let payload = join_payload([0; 32], card.clone()).unwrap();
        let joined = join(&ben, &cert, &token, &bundle, &payload, &mut rng).unwrap();
        let opened = invite.open(&ada, &joined.request, Arrival::Direct, START).map(drop);
        assert_eq!((invite.state, invite.failed_tries), (State::Active, 0));
        opened
    };
    assert_eq!(ask(0), Ok(()));
    assert_eq!(ask(START.minus(CERT_DOUBT).seconds()), Ok(()));
    assert_eq!(ask(START.minus(CERT_DOUBT).seconds() - 1), Err(ClaimError::NotOpened));
}

/// What could open a request goes with the code, from memory and from what is stored.
#[test]
fn a_code_that_was_taken_back_or_ran_out_leaves_no_keys() {
    let (ada, ben) = (identity(1), identity(2));
    for revoked in [true, false] {
        let mut rng = StdRng::seed_from_u64(8);
        let (mut invite, token) = mint(&ada, &mut rng);
        let bundle = invite.bundle().unwrap().to_vec();
        let ask = request(&ben, &token, &bundle, &mut rng);
        let whole = encode(&invite).unwrap();
        let late = invite.expires_at.plus(365 * 24 * 60 * MINUTE);
        assert!(!invite.expire(invite.expires_at), "a request may still wait in the drop");
        assert!(if revoked { invite.revoke() } else { invite.expire(late) });
        assert!(invite.token().is_none() && invite.bundle().is_none());
        let left = encode(&invite).unwrap();
        // A signed prekey, a one-time prekey and a seed of ML-KEM are 128 bytes; the token and the bundle go as well.
        assert!(left.len() + 128 + bundle.len() + token.as_bytes().len() <= whole.len());
        let mut stored: Invite = decode(&left).unwrap();
        let attempt = stored.open(&ada, &ask, Arrival::Direct, START).map(drop);
        assert_eq!(attempt, Err(ClaimError::Taken));
    }
}
