//! Who is meant by what a person typed.
//!
//! 1. A whole id; 2. an alias, which this person gave; 3. a name, which the other chose; 4. the
//!    beginning of an id. Several at one step is an error that lists them, never a guess.
//!
//! # Invariants
//! * A name that someone chose cannot take the place of an alias.

use super::error::CliError;
use super::output::{foreign_name, short};
use crate::api::dto::{Contact, Invite, Request, RequestState};

/// The shortest beginning of an id that is looked for.
const PREFIX: usize = 4;

/// The one contact that is meant.
pub(super) fn contact(contacts: Vec<Contact>, who: &str) -> Result<Contact, CliError> {
    let is_same = |text: &str| text.to_lowercase() == who.to_lowercase();
    let steps: [&dyn Fn(&Contact) -> bool; 4] = [
        &|contact| contact.id == who,
        &|contact| contact.alias.as_deref().is_some_and(is_same),
        &|contact| is_same(&contact.name),
        &|contact| is_prefix(&contact.id, who),
    ];
    let label = |contact: &Contact| {
        let name = contact.alias.as_ref().unwrap_or(&contact.name);
        format!("{} ({})", foreign_name(name), short(&contact.id))
    };
    one(contacts, who, &steps, label, "contact", "kith contacts")
}

/// The one open request that is meant.
pub(super) fn request(requests: Vec<Request>, who: &str) -> Result<Request, CliError> {
    let is_open = |request: &Request| {
        use RequestState as S;
        matches!(request.state, S::Looking | S::Asking | S::Waiting | S::Held)
    };
    let open = requests.into_iter().filter(is_open).collect();
    let steps: [&dyn Fn(&Request) -> bool; 3] = [
        &|request| request.id == who || request.account == who,
        &|request| {
            request.name.as_ref().is_some_and(|name| name.to_lowercase() == who.to_lowercase())
        },
        &|request| is_prefix(&request.id, who) || is_prefix(&request.account, who),
    ];
    let label = |request: &Request| {
        let name = request.name.as_deref().unwrap_or("no name");
        format!("{} ({})", foreign_name(name), short(&request.id))
    };
    one(open, who, &steps, label, "open request", "kith requests")
}

/// The one invite that is meant.
pub(super) fn invite(invites: Vec<Invite>, id: &str) -> Result<Invite, CliError> {
    let steps: [&dyn Fn(&Invite) -> bool; 2] =
        [&|invite| invite.id == id, &|invite| is_prefix(&invite.id, id)];
    one(invites, id, &steps, |invite| short(&invite.id).to_owned(), "invite", "kith invite list")
}

fn is_prefix(id: &str, start: &str) -> bool {
    start.len() >= PREFIX && id.starts_with(&start.to_lowercase())
}

fn one<T>(
    mut all: Vec<T>,
    who: &str,
    steps: &[&dyn Fn(&T) -> bool],
    label: impl Fn(&T) -> String,
    noun: &str,
    list: &str,
) -> Result<T, CliError> {
    for is_meant in steps {
        let found: Vec<usize> = (0..all.len()).filter(|&index| is_meant(&all[index])).collect();
        match found.as_slice() {
            [] => {}
            [index] => return Ok(all.swap_remove(*index)),
            several => {
                let names: Vec<String> = several.iter().map(|&index| label(&all[index])).collect();
                return Err(CliError::Usage(format!(
                    "“{who}” could be {}. Use the beginning of the id in brackets.",
                    names.join(", ")
                )));
            }
        }
    }
    Err(CliError::NotFound(format!("There is no {noun} “{who}”. “{list}” shows who there is.")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::api::dto::{Presence, PresenceState, Reach, ReachPath, Via};

    fn person(id: &str, name: &str, alias: Option<&str>) -> Contact {
        Contact {
            id: id.to_owned(),
            name: name.to_owned(),
            alias: alias.map(str::to_owned),
            about: String::new(),
            symbol_seed: String::new(),
            symbols: Some([0; 6]),
            since: String::new(),
            via: Via::Link,
            verified: false,
            began_anew: Vec::new(),
            keys_renewed_at: None,
            reach: Reach { path: ReachPath::None, detail: String::new() },
            presence: Presence {
                account: id.to_owned(),
                state: PresenceState::Unknown,
                last_seen: None,
                typing: false,
            },
            chat_id: format!("chat-{id}"),
        }
    }

    fn people() -> Vec<Contact> {
        vec![
            person("aaaa1111", "Ada", None),
            person("aaaa2222", "Ben", Some("Brother")),
            person("bbbb3333", "brother", None),
            person("cccc4444", "ada", None),
        ]
    }

    #[test]
    fn an_alias_wins_over_a_name_that_someone_chose() {
        assert_eq!(contact(people(), "brother").unwrap().id, "aaaa2222");
    }

    #[test]
    fn several_of_one_name_are_listed_and_not_guessed() {
        let error = contact(people(), "Ada").unwrap_err();
        let text = error.sentence().unwrap();
        assert!(text.contains("aaaa1111") && text.contains("cccc4444"), "{text}");
        assert_eq!(error.exit_code(), 2);
        assert!(contact(people(), "aaaa").is_err());
    }

    #[test]
    fn the_beginning_of_an_id_is_enough_when_it_is_long_enough() {
        assert_eq!(contact(people(), "BBBB").unwrap().id, "bbbb3333");
        assert_eq!(contact(people(), "aaaa1").unwrap().id, "aaaa1111");
        assert_eq!(contact(people(), "bbb").unwrap_err().exit_code(), 5);
        assert_eq!(contact(people(), "").unwrap_err().exit_code(), 5);
    }
}
