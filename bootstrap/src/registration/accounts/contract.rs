//! The suite that every account store passes.

use protocol::ids::AccountId;
use protocol::registration::{Account, IdentifierHash, Known, Standing, account};
use protocol::time::Timestamp;

use super::store::AccountStore;

const MAIL: IdentifierHash = IdentifierHash([100; 32]);
const PHONE: IdentifierHash = IdentifierHash([101; 32]);

fn id(byte: u8) -> AccountId {
    AccountId([byte; 32])
}

/// As the service does it.
fn admit(store: &dyn AccountStore, who: AccountId, identifier: IdentifierHash, at: u64) {
    store
        .decide(who, Some(identifier), &mut |known| {
            let admitted = account::admit(known, who, identifier, Timestamp(at)).expect("served");
            [admitted.account].into_iter().chain(admitted.displaced).collect()
        })
        .expect("a store that works");
}

fn holder(store: &dyn AccountStore, identifier: IdentifierHash) -> Option<AccountId> {
    store.holder(identifier).expect("read").map(|holder| holder.account)
}

fn standing(store: &dyn AccountStore, who: AccountId) -> Option<Standing> {
    store.account(who).expect("read").map(|known| known.standing)
}

/// All of it, on a store that is empty.
pub(crate) fn holds(store: &dyn AccountStore) {
    let (ada, ben, eve) = (id(1), id(2), id(3));
    assert_eq!(store.account(ada).expect("read"), None);
    assert_eq!(holder(store, MAIL), None);

    // An identifier admits who proved it last.
    admit(store, ada, MAIL, 5);
    assert_eq!(holder(store, MAIL), Some(ada));
    admit(store, eve, MAIL, 6);
    assert_eq!((holder(store, MAIL), standing(store, eve)), (Some(eve), Some(Standing::Good)));
    assert_eq!(standing(store, ada), Some(Standing::Displaced { at: Timestamp(6) }));

    // Another identifier frees the one before.
    admit(store, eve, PHONE, 7);
    assert_eq!((holder(store, MAIL), holder(store, PHONE)), (None, Some(eve)));
    admit(store, ben, MAIL, 8);
    assert_eq!(holder(store, MAIL), Some(ben));

    // Who was displaced leaves the identifier to whoever has it, when erased too.
    assert!(store.erase(ada, false).expect("erased"));
    assert!(!store.erase(ada, true).expect("nothing to erase"));
    assert_eq!((holder(store, MAIL), standing(store, ada)), (Some(ben), None));

    // A suspension does not free the identifier.
    let mut seen = Vec::new();
    store
        .decide(ben, None, &mut |known| {
            seen.push(known.clone());
            known.own.map(|own| own.suspend(true)).into_iter().collect()
        })
        .expect("decided");
    let known = seen.pop().expect("asked");
    assert_eq!((known.own.map(|own| own.account), known.holder), (Some(ben), None));
    assert_eq!((holder(store, MAIL), standing(store, ben)), (Some(ben), Some(Standing::Suspended)));

    // A decision sees both, and one that keeps nothing changes nothing.
    let mut seen = Known::default();
    store
        .decide(eve, Some(MAIL), &mut |known| {
            seen = known;
            Vec::new()
        })
        .expect("decided");
    let of = |known: Option<Account>| known.map(|known| known.account);
    assert_eq!((of(seen.own), of(seen.holder)), (Some(eve), Some(ben)));
    assert_eq!(holder(store, MAIL), Some(ben));

    // Erasing frees the identifier; a suspension is erased only by whoever may.
    assert!(!store.erase(ben, false).expect("not this one"));
    assert_eq!((holder(store, MAIL), standing(store, ben)), (Some(ben), Some(Standing::Suspended)));
    assert!(store.erase(ben, true).expect("erased"));
    assert_eq!(holder(store, MAIL), None);

    // Pages are in the order of keys, and lead from one to the next.
    for byte in [9, 7, 8] {
        admit(store, id(byte), IdentifierHash([byte; 32]), 9);
    }
    let page = |after, max| {
        let page = store.page(after, max).expect("read");
        page.iter().map(|known| known.account).collect::<Vec<_>>()
    };
    assert_eq!(page(None, 2), [eve, id(7)]);
    assert_eq!(page(Some(id(7)), 2), [id(8), id(9)]);
    assert_eq!(page(Some(id(9)), 2), []);
}
