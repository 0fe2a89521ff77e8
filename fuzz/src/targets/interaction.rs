//! Two sessions and a network that the fuzzer drives: it sends, delivers in any order, repeats, damages,
//! restarts a side, and puts one back to an earlier snapshot.
//!
//! What is delivered was sent by the other side; once, unless a side was put back; what is refused leaves the
//! state as it was; the state stays bounded.

use std::collections::BTreeSet;

use crypto::{MAX_SESSION_LEN, Session};

use crate::{NOW, World};

/// Most steps of one run, frames under way, and snapshots of a side.
const STEPS: usize = 160;
const FRAMES: usize = 64;
const SNAPSHOTS: usize = 4;

struct Sent {
    to: usize,
    content: Vec<u8>,
    frame: Vec<u8>,
}

struct Side {
    session: Session,
    snapshots: Vec<Vec<u8>>,
    delivered: BTreeSet<Vec<u8>>,
    put_back: bool,
}

impl Side {
    fn new(session: Session) -> Self {
        Self { session, snapshots: Vec::new(), delivered: BTreeSet::new(), put_back: false }
    }

    /// Takes a frame; `content` is what was sent, if it is as it was sent.
    fn receive(&mut self, frame: &[u8], now: u64, content: Option<&[u8]>) {
        let before = self.session.export();
        match self.session.decrypt(frame, now) {
            Ok(plain) => {
                assert_eq!(Some(&plain[..]), content, "what was not sent was delivered");
                assert!(self.delivered.insert(plain) || self.put_back, "delivered twice");
            }
            Err(_) => assert_eq!(self.session.export(), before, "a refusal changed something"),
        }
        assert!(self.session.export().len() <= MAX_SESSION_LEN);
    }
}

/// Drives them, two bytes a step.
pub fn interaction(data: &[u8]) {
    let World { alice_session, bob_session, mut rng, .. } = World::new();
    let mut sides = [Side::new(alice_session), Side::new(bob_session)];
    let mut network: Vec<Sent> = Vec::new();
    let mut now = NOW;
    for (number, step) in (0_u64..).zip(data.chunks_exact(2).take(STEPS)) {
        let (side, argument) = (usize::from(step[0] & 1), usize::from(step[1]));
        let chosen = argument % network.len().max(1);
        match step[0] >> 1 & 7 {
            0 | 1 => {
                // Longer ones reach the larger classes.
                let mut content = number.to_be_bytes().to_vec();
                content.resize(8 + argument * 12, step[1]);
                content[0] = step[0] & 1;
                if let Ok(frame) = sides[side].session.encrypt(&content, now, &mut rng) {
                    network.push(Sent { to: 1 - side, content, frame });
                }
                if network.len() > FRAMES {
                    network.remove(0);
                }
            }
            2 | 3 if !network.is_empty() => {
                let sent = network.remove(chosen);
                sides[sent.to].receive(&sent.frame, now, Some(&sent.content));
            }
            4 if !network.is_empty() => {
                let sent = &network[chosen];
                sides[sent.to].receive(&sent.frame, now, Some(&sent.content));
            }
            5 if !network.is_empty() => {
                let sent = &network[chosen];
                let mut frame = sent.frame.clone();
                let at = usize::from(step[0]) * 8 % frame.len();
                frame[at] ^= step[1] | 1;
                sides[sent.to].receive(&frame, now, None);
                // Nor is it taken by who sent it.
                sides[1 - sent.to].receive(&sent.frame, now, None);
            }
            6 => {
                let side = &mut sides[side];
                let stored = side.session.export();
                side.session = Session::import(&stored).expect("our own export");
                assert_eq!(side.session.export(), stored);
                side.snapshots.push(stored.to_vec());
                if side.snapshots.len() > SNAPSHOTS {
                    side.snapshots.remove(0);
                }
                // Post-quantum epochs begin by the hour.
                now += u64::from(step[1]) * 600;
            }
            7 => {
                let side = &mut sides[side];
                let count = side.snapshots.len();
                if let Some(earlier) = side.snapshots.get(argument % count.max(1)) {
                    side.session = Session::import(earlier).expect("our own export");
                    side.put_back = true;
                }
            }
            _ => {}
        }
    }
}
