//! Two people write to each other over a bad network, and restart.

use proptest::prelude::*;
use protocol::Cx;
use protocol::chat::{Author, DeliveryState};
use protocol::sim::{Link, Network};
use protocol::time::{HOUR, MINUTE, Timestamp};

use super::peer::{Packet, Peer, pair};

const START: Timestamp = Timestamp(1_700_000_000_000);

#[derive(Clone, Copy, Debug)]
enum Op {
    Say(usize),
    Read(usize),
    Restart(usize),
    Cut,
    Heal,
    Wait(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0..2usize).prop_map(Op::Say),
        2 => (0..2usize).prop_map(Op::Read),
        1 => (0..2usize).prop_map(Op::Restart),
        1 => Just(Op::Cut),
        1 => Just(Op::Heal),
        5 => (0..20_000u64).prop_map(Op::Wait),
    ]
}

struct Talk {
    network: Network<Packet>,
    peers: [Peer; 2],
    said: [Vec<String>; 2],
}

impl Talk {
    fn new(seed: u64, link: Link) -> Self {
        let mut network = Network::seeded(seed, START);
        let mut peers = pair(START, network.rng());
        peers.iter_mut().for_each(|peer| peer.lane.on_connected(START));
        network.set_all(link);
        Self { network, peers, said: [Vec::new(), Vec::new()] }
    }

    fn with<T>(&mut self, who: usize, act: impl FnOnce(&mut Peer, &mut Cx<'_>) -> T) -> T {
        let now = self.network.now();
        act(&mut self.peers[who], &mut Cx { now, rng: self.network.rng() })
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Say(who) => {
                let text = format!("{who}: {}", self.said[who].len());
                self.with(who, |peer, cx| peer.say(&text, cx));
                self.said[who].push(text);
            }
            Op::Read(who) => self.with(who, Peer::read),
            Op::Restart(who) => {
                let connected = !self.network.is_cut(0, 1);
                self.with(who, |peer, cx| peer.restart(connected, cx.now));
            }
            Op::Cut => {
                self.network.cut(0, 1);
                self.peers.iter_mut().for_each(|peer| peer.lane.on_disconnected());
            }
            Op::Heal => {
                self.network.heal(0, 1);
                let now = self.network.now();
                self.peers.iter_mut().for_each(|peer| peer.lane.on_connected(now));
            }
            Op::Wait(millis) => self.run(self.network.now().plus(millis)),
        }
        self.pump();
    }

    fn pump(&mut self) {
        for who in 0..2 {
            for packet in self.with(who, Peer::step) {
                self.network.send(who, 1 - who, packet);
            }
        }
    }

    fn run(&mut self, until: Timestamp) {
        self.pump();
        while self.network.now() < until {
            let now = self.network.now();
            let deadlines = self.peers.iter().filter_map(|peer| peer.next_deadline(now));
            self.network.advance_to(deadlines.chain([until]).min().unwrap());
            while self.network.next_at().is_some_and(|at| at <= self.network.now()) {
                let arrival = self.network.next().unwrap();
                let answer = self.with(arrival.to, |peer, cx| peer.receive(arrival.message, cx));
                if let Some(answer) = answer {
                    self.network.send(arrival.to, arrival.from, answer);
                }
            }
            self.pump();
        }
    }

    fn finish(&mut self) {
        self.apply(Op::Heal);
        let limit = self.network.now().plus(48 * HOUR);
        while self.peers.iter().any(|peer| !peer.lane.is_empty()) {
            assert!(self.network.now() < limit, "the lanes never emptied");
            self.run(self.network.now().plus(MINUTE));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn over_any_network_and_restarts_every_message_arrives_once_and_in_order(
        seed in any::<u64>(),
        (loss, duplication, reorder) in (0u8..60, 0u8..60, 0u8..100),
        longest in 1u64..4_000,
        ops in prop::collection::vec(op(), 1..40),
    ) {
        let link = Link { loss, duplication, reorder, delay: (1, longest) };
        let mut talk = Talk::new(seed, link);
        ops.into_iter().for_each(|op| talk.apply(op));
        talk.finish();
        prop_assert_eq!(talk.peers[0].conversation(), talk.peers[1].conversation());
        for who in 0..2 {
            prop_assert_eq!(&talk.peers[who].texts(Author::Me), &talk.said[who]);
            prop_assert_eq!(&talk.peers[1 - who].texts(Author::Them), &talk.said[who]);
            let states = talk.peers[who].states();
            prop_assert!(states.iter().all(|state| *state >= DeliveryState::Delivered));
        }
    }
}
