//! Whose request is being handled, and who stands where.
//!
//! The library asks for the password of a request, then for a port, and says in neither case enough: requests are
//! handled one after the other, so what was asked last is what is going on.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use turn::Error;
use turn::auth::{AuthHandler, generate_auth_key};

use super::calls::Calls;

/// Knows passwords, and who made the allocation of an address.
pub(crate) struct Door {
    pub(crate) calls: Arc<Calls>,
    inside: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    /// Who proved a password last, and from where.
    current: Option<(SocketAddr, String)>,
    /// Of which call the allocation is that a client's address has.
    places: HashMap<SocketAddr, (u64, String)>,
    made: u64,
}

/// The place of a client's address. It is given up when it is dropped.
pub(crate) struct Place {
    door: Arc<Door>,
    client: SocketAddr,
    nth: u64,
}

impl Door {
    pub(crate) fn new(calls: Arc<Calls>) -> Self {
        Self { calls, inside: Mutex::default() }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this client has an allocation.
    pub(crate) fn stands(&self, client: &SocketAddr) -> bool {
        self.inside().places.contains_key(client)
    }

    /// The call whose allocation is being made, and its place.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<(String, Place)> {
        let mut inside = self.inside();
        let (client, username) = inside.current.clone()?;
        inside.made += 1;
        let nth = inside.made;
        inside.places.insert(client, (nth, username.clone()));
        Some((username, Place { door: Arc::clone(self), client, nth }))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inside = self.door.inside();
        // Another allocation may be there already.
        if inside.places.get(&self.client).is_some_and(|(nth, _)| *nth == self.nth) {
            inside.places.remove(&self.client);
        }
    }
}

impl AuthHandler for Door {
    /// The key of a call. Who made an allocation is the only one to change it (RFC 8656 §5, error 441): whoever can
    /// send in the name of another address has credentials of their own at most.
    fn auth_handle(
        &self,
        username: &str,
        realm: &str,
        client: SocketAddr,
    ) -> Result<Vec<u8>, Error> {
        let password = self.calls.password_of(username).ok_or(Error::ErrNoSuchUser)?;
        let mut inside = self.inside();
        if inside.places.get(&client).is_some_and(|(_, owner)| owner != username) {
            return Err(Error::ErrNoSuchUser);
        }
        inside.current = Some((client, username.to_owned()));
        Ok(generate_auth_key(username, realm, &password))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::turn::calls::testing;

    fn client(port: u16) -> SocketAddr {
        ([192, 0, 2, 1], port).into()
    }

    #[test]
    fn an_allocation_is_changed_by_the_call_that_made_it_only() {
        let (calls, [first, second]) = testing::two_calls();
        let door = Arc::new(Door::new(calls));
        let proves = |name: &str, port| door.auth_handle(name, "kith", client(port)).is_ok();
        assert!(door.enter().is_none(), "nobody asked");
        assert!(!proves("7:nobody", 1));
        assert!(proves(&first, 1));
        let (username, place) = door.enter().expect("a call");
        assert_eq!(username, first);
        assert!(door.stands(&client(1)) && !door.stands(&client(2)));
        assert!(proves(&first, 1));
        assert!(!proves(&second, 1), "another call's, in the name of this address");
        assert!(proves(&second, 2));
        // The next one at the same address is there before the last one is gone.
        assert!(proves(&first, 1));
        let (_, next) = door.enter().expect("a call");
        drop(place);
        assert!(door.stands(&client(1)) && !proves(&second, 1));
        drop(next);
        assert!(!door.stands(&client(1)) && proves(&second, 1));
    }
}
