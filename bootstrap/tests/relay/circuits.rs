use libp2p::multiaddr::Protocol;

use crate::bench::Bench;
use crate::client::Client;

#[tokio::test]
async fn a_stranger_gets_no_reservation_and_a_member_does_even_after_a_restart() {
    let bench = Bench::start().await;
    let stranger = Client::throwaway(&bench.tcp()).await;
    let refused = stranger.reserve(&bench.tcp()).await;
    assert!(refused.is_err_and(|why| why.contains("ResourceLimitExceeded")));
    let member = bench.member(1).await;
    assert_eq!(member.client.reserve(&bench.tcp()).await, Ok(()));

    let bench = bench.restart().await;
    let member = crate::bench::Member::connect(1, &bench.quic()).await;
    assert_eq!(member.client.reserve(&bench.quic()).await, Ok(()));
}

#[tokio::test]
async fn a_member_reaches_another_through_a_circuit_and_a_stranger_does_not() {
    let bench = Bench::start().await;
    let (ada, ben) = (bench.member(1).await, bench.member(2).await);
    assert_eq!(ben.client.reserve(&bench.tcp()).await, Ok(()));
    let circuit = bench.tcp().with(Protocol::P2pCircuit).with(Protocol::P2p(ben.client.peer));
    assert_eq!(ada.client.dial(&circuit).await, Ok(ben.client.peer));
    let stranger = Client::throwaway(&bench.tcp()).await;
    assert!(stranger.dial(&circuit).await.is_err());
}
