//! Where the processes of our relay are, as it says itself.

use protocol::contact::{Address, MAX_ADDRESSES};
use protocol::ids::RelayId;
use protocol::time::MINUTE;

use super::{get, put};
use crate::engine::Ctx;
use crate::net::{self, NetCommand};
use crate::service::{contact, queue};
use crate::store::StoreError;

/// After news was taken, and told to every contact, none is for this long, milliseconds. The relay repeats it.
const NEWS_PAUSE: u64 = 10 * MINUTE;

/// Our relay says where its processes are. What is new is taken, and told to contacts: they find us when the one that
/// they know is lost.
pub(in crate::service) fn on_reached_at(
    ctx: &mut Ctx<'_>,
    relay: RelayId,
    told: &[Address],
) -> Result<(), StoreError> {
    let Some(mut record) = get(ctx)?.filter(|record| record.relay.relay == relay) else {
        return Ok(());
    };
    let Some(addresses) = with_news(&record.relay.addresses, told) else {
        return Ok(());
    };
    let last = ctx.state.relay_news_at;
    if last.is_some_and(|last| last <= ctx.now && ctx.now < last.plus(NEWS_PAUSE)) {
        return Ok(());
    }
    ctx.state.relay_news_at = Some(ctx.now);
    record.relay.addresses = addresses;
    put(ctx, &record)?;
    ctx.net(NetCommand::Homes(vec![record.relay]));
    queue::collect(ctx, relay)?;
    contact::send_cards(ctx)
}

/// What is known of a relay with what it says now; `None` when that is nothing new. The first, which the person gave us,
/// stays whatever is said; what is not said any more stays while there is room, for a process that is down comes back.
fn with_news(known: &[Address], told: &[Address]) -> Option<Vec<Address>> {
    let told: Vec<&Address> =
        told.iter().take(MAX_ADDRESSES).filter(|told| net::leads_no_nearer(told, known)).collect();
    if told.iter().all(|told| known.contains(told)) {
        return None;
    }
    let mut all: Vec<Address> = Vec::new();
    for address in known.iter().take(1).chain(told).chain(known) {
        if !all.contains(address) && all.len() < MAX_ADDRESSES {
            all.push(address.clone());
        }
    }
    // When there is more than fits, the same is said again and again.
    (all != known).then_some(all)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn at(text: &str) -> Address {
        net::parse_address(text).unwrap()
    }

    fn numbered(from: u8, to: u8) -> Vec<Address> {
        (from..to).map(|last| at(&format!("/ip4/9.9.9.{last}/tcp/1"))).collect()
    }

    #[test]
    fn what_the_person_gave_stays_first_and_what_is_not_said_goes_when_there_is_no_room() {
        let typed = at("/dns4/relay.example.org/tcp/1");
        let known = [vec![typed.clone()], numbered(0, 7)].concat();
        assert_eq!(with_news(&known, &known), None);
        assert_eq!(with_news(&known, &[]), None);
        assert_eq!(with_news(&known, &known[3..5]), None, "of what is known, nothing is news");
        let expected = [vec![typed.clone()], numbered(100, 103), numbered(0, 4)].concat();
        assert_eq!(with_news(&known, &numbered(100, 103)), Some(expected));
        let flooded = with_news(&known, &numbered(100, 150)).unwrap();
        assert_eq!(flooded, [vec![typed], numbered(100, 107)].concat());
        assert_eq!(with_news(&flooded, &numbered(100, 150)), None, "once");
    }

    #[test]
    fn a_relay_leads_no_nearer_to_this_machine_than_it_is_itself() {
        let far = [at("/ip4/9.9.9.9/tcp/1")];
        let private = [at("/ip4/10.1.1.1/tcp/1")];
        let here = [at("/ip4/127.0.0.1/tcp/1")];
        let garbage = [Address(vec![0xff; 9].into())];
        assert_eq!(with_news(&far, &private), None);
        assert_eq!(with_news(&far, &here), None);
        assert_eq!(with_news(&private, &here), None);
        assert_eq!(with_news(&here, &garbage), None);
        assert_eq!(with_news(&private, &far), Some([private.clone(), far.clone()].concat()));
        assert_eq!(with_news(&here, &private), Some([here.clone(), private.clone()].concat()));
        // A name may lead into a private network, so that its relay may as well.
        let name = [at("/dns4/relay.lan/tcp/1")];
        assert_eq!(with_news(&name, &private), Some([name.clone(), private].concat()));
        assert_eq!(with_news(&name, &here), None);
    }
}
