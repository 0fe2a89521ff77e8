//! Two people and a relay, over the local API alone.

use kith_tests::process::{Pair, arrived, state};
use node::api::dto::{Author, DeliveryState};

#[tokio::test(flavor = "multi_thread")]
async fn two_people_meet_and_ten_messages_to_an_absent_one_arrive_once_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let mut pair = Pair::meet(folder.path()).await.unwrap();
    let (at_ada, at_ben) = (pair.at_ada.clone(), pair.at_ben.clone());
    let ada = pair.ada.rest().clone();

    let said = ada.say(&at_ada, "Hello Ben").await.unwrap();
    let ben = pair.ben.rest().clone();
    let came = ben.until_last(&at_ben, 1, "the first message", |_| true).await.unwrap();
    assert_eq!((came[0].text.as_str(), came[0].author), ("Hello Ben", Author::Them));
    assert_eq!(came[0].id, said.id);
    ada.until_last(&at_ada, 1, "its delivery", arrived).await.unwrap();
    ben.read(&at_ben, &came[0]).await.unwrap();
    let read = |message: &_| state(message) == Some(DeliveryState::Read);
    ada.until_last(&at_ada, 1, "its reading", read).await.unwrap();

    pair.ben.stop().await.unwrap();
    let texts: Vec<String> = (0..10).map(|n| format!("while you were away, {n}")).collect();
    for text in &texts {
        ada.say(&at_ada, text).await.unwrap();
    }
    let held = |message: &_| state(message) == Some(DeliveryState::Custody);
    let held = ada.until_last(&at_ada, 10, "custody of all ten", held).await.unwrap();
    for message in &held {
        let custody = message.delivery.as_ref().and_then(|delivery| delivery.steps.last()).unwrap();
        assert!(custody.relay.is_some() && custody.until.is_some(), "{custody:?}");
    }

    pair.ben.restart().await.unwrap();
    let ben = pair.ben.rest().clone();
    ben.until_last(&at_ben, 10, "all ten", |message| message.text != "Hello Ben").await.unwrap();
    let texts_at_ben: Vec<String> =
        ben.messages(&at_ben).await.unwrap().into_iter().map(|message| message.text).collect();
    let mut expected = vec!["Hello Ben".to_owned()];
    expected.extend(texts);
    assert_eq!(texts_at_ben, expected);

    ada.until_last(&at_ada, 10, "the delivery of all ten", arrived).await.unwrap();
    let newest = ben.messages(&at_ben).await.unwrap().pop().unwrap();
    ben.read(&at_ben, &newest).await.unwrap();
    let read = |message: &_| state(message) == Some(DeliveryState::Read);
    ada.until_last(&at_ada, 10, "the reading of all ten", read).await.unwrap();

    pair.ada.stop().await.unwrap();
    pair.ben.stop().await.unwrap();
}
