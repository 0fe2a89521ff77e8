//! What the local API says and hears. A person's browser is shown all of it, a log nothing.

use std::fmt::Debug;

use super::{SYMBOLS, conceals, words};
use crate::api::dto::{
    Author, Challenge, Chat, Contact, ContactPatch, DecodedInvite, Delivery, DeliveryState,
    Direction, Draft, Event, EventBody, IdentifierKind, Invite, InviteClaimant, InviteKind,
    InviteState, InviteText, InviteVerdict, Items, LastMessage, Login, LoginLink, Me, MePatch,
    Message, MessagePage, NetworkStatus, NewChallenge, NewInvite, NewMessage, NewPassphrase,
    NewVerification, Notice, Passphrase, Presence, PresenceState, Problem, Reach, ReachPath,
    Reachable, RecoveryPhrase, Registration, RegistrationState, RelayState, RelayStatus,
    RelaySummary, Request, RequestState, Reservation, RestoreWords, SafetyNumber, SentVia,
    SessionToken, Status, SyncSnapshot, VerificationCode, Via, Why, WhyCode,
};
use crate::engine::News;

/// Where nobody's words are.
fn plain() -> String {
    "plain".to_owned()
}

fn why() -> Why {
    Why { code: WhyCode::ContactOffline, text: words(), next_try_at: None }
}

fn message() -> Message {
    Message {
        id: plain(),
        chat_id: plain(),
        author: Author::Me,
        text: words(),
        sent_at: plain(),
        received_at: None,
        position: plain(),
        client_key: Some(words()),
        delivery: Some(Delivery {
            state: DeliveryState::Queued,
            at: plain(),
            steps: Vec::new(),
            why: Some(why()),
        }),
        recovered: false,
    }
}

fn chat() -> Chat {
    Chat {
        id: plain(),
        contact_id: plain(),
        name: words(),
        symbol_seed: plain(),
        last_message: Some(LastMessage {
            id: plain(),
            author: Author::Them,
            text: words(),
            sent_at: plain(),
            delivery_state: None,
        }),
        unread: 1,
        first_unread_id: None,
        draft: words(),
        last_activity: plain(),
    }
}

fn contact() -> Contact {
    Contact {
        id: plain(),
        name: words(),
        alias: Some(words()),
        about: words(),
        symbol_seed: plain(),
        symbols: Some(SYMBOLS),
        since: plain(),
        via: Via::Link,
        verified: true,
        began_anew: Vec::new(),
        keys_renewed_at: None,
        reach: Reach { path: ReachPath::Lan, detail: plain() },
        presence: Presence {
            account: plain(),
            state: PresenceState::Online,
            last_seen: None,
            typing: false,
        },
        chat_id: plain(),
    }
}

fn request() -> Request {
    Request {
        id: plain(),
        direction: Direction::Incoming,
        account: plain(),
        symbol_seed: plain(),
        name: Some(words()),
        state: RequestState::Held,
        symbols: Some(SYMBOLS),
        via: Via::InPerson,
        invite_id: Some(plain()),
        invite_label: Some(words()),
        created_at: plain(),
        updated_at: plain(),
        why: Some(why()),
    }
}

fn claimant() -> InviteClaimant {
    InviteClaimant { account: plain(), name: Some(words()) }
}

fn invite() -> Invite {
    Invite {
        id: plain(),
        kind: InviteKind::Link,
        label: words(),
        state: InviteState::Claimed,
        text: Some(words()),
        created_at: plain(),
        expires_at: plain(),
        failed_tries: 0,
        last_failed_at: None,
        claimed_by: Some(claimant()),
        request_id: None,
        reachable: Reachable::default(),
    }
}

fn me() -> Me {
    Me {
        account: plain(),
        name: Some(words()),
        about: words(),
        symbol_seed: plain(),
        created_at: plain(),
    }
}

fn registration() -> Registration {
    Registration {
        state: RegistrationState::Challenged,
        relay: Some(RelaySummary { id: plain(), address: words(), development: true }),
        identifier: Some(words()),
        displaced_at: None,
        expires_at: None,
        challenge: Some(Challenge {
            id: plain(),
            identifier_masked: words(),
            sent_via: SentVia::Email,
            expires_at: plain(),
            resend_after: plain(),
            attempts_left: 5,
            development_code: Some(words()),
        }),
        suggested_relay: Some(words()),
    }
}

fn network() -> NetworkStatus {
    NetworkStatus {
        online: true,
        relays: vec![RelayStatus {
            id: plain(),
            address: words(),
            state: RelayState::Connected,
            reservation: Reservation::Active,
            since: None,
            detail: None,
        }],
        listening: vec![words()],
        lan: true,
        clock_offset_seconds: None,
    }
}

fn snapshot() -> SyncSnapshot {
    SyncSnapshot {
        cursor: 1,
        me: me(),
        registration: registration(),
        contacts: vec![contact()],
        requests: vec![request()],
        invites: vec![invite()],
        chats: vec![chat()],
        presence: Vec::new(),
        status: Status {
            profile: plain(),
            build: plain(),
            uptime_seconds: 1,
            account: plain(),
            locked: false,
            data_dir: plain(),
            network: network(),
        },
    }
}

#[test]
fn what_a_tab_is_told_is_not_shown() {
    conceals(&snapshot());
    conceals(&MessagePage {
        items: vec![message()],
        next_cursor: None,
        has_before: false,
        has_after: false,
    });
    conceals(&Items::from(vec![claimant()]));
    conceals(&SafetyNumber {
        number: words(),
        code: words(),
        verified_at: None,
        verified_by: None,
    });
    conceals(&DecodedInvite {
        text: words(),
        inviter: plain(),
        symbol_seed: plain(),
        expires_at: plain(),
        relay: true,
        verdict: InviteVerdict::Ok,
        detail: words(),
    });
    conceals(&Problem {
        kind: plain(),
        title: plain(),
        status: 409,
        detail: words(),
        code: plain(),
        request_id: plain(),
    });
}

#[test]
fn what_a_follower_is_told_is_not_shown() {
    let notice = Notice { code: plain(), text: words(), contact_id: None };
    let events = [
        EventBody::RegistrationChanged(registration()),
        EventBody::MeChanged(me()),
        EventBody::InviteChanged(invite()),
        EventBody::RequestChanged(request()),
        EventBody::ContactChanged(contact()),
        EventBody::ChatChanged(chat()),
        EventBody::MessageAdded(message()),
        EventBody::MessageChanged(message()),
        EventBody::Notice(notice),
        EventBody::Network(network()),
    ];
    let events: Vec<Event> = events.into_iter().map(Event::volatile).collect();
    conceals(&News { first: 1, last: 1, events: Some(events) });
}

#[test]
fn what_a_person_types_is_not_shown() {
    let typed: [&dyn Debug; 11] = [
        &NewMessage { text: words() },
        &Draft { text: words() },
        &MePatch { name: Some(words()), about: Some(words()) },
        &ContactPatch { alias: Some(words()) },
        &NewInvite { kind: InviteKind::Link, label: words(), expires_in: None },
        &InviteText { text: words() },
        &NewVerification { code: Some(words()), same: None },
        &NewChallenge {
            relay: Some(words()),
            identifier: words(),
            kind: Some(IdentifierKind::Email),
        },
        &VerificationCode { code: words() },
        &RestoreWords { words: words() },
        &NewPassphrase { current: Some(words()), new: words() },
    ];
    for typed in typed {
        conceals(&typed);
    }
}

#[test]
fn what_signs_in_or_unlocks_is_not_shown() {
    conceals(&Login { login: words() });
    conceals(&SessionToken { token: words(), expires_at: plain() });
    conceals(&LoginLink { url: words(), expires_at: plain() });
    conceals(&Passphrase { passphrase: words() });
    conceals(&RecoveryPhrase { words: vec![words()] });
}
