//! What the node tells its tabs.
//!
//! Durable events carry the journal's `seq` and can be resumed after it. Presence and network
//! are volatile: they carry none and are never replayed.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Chat, Contact, Invite, Me, Message, NetworkStatus, Presence, Registration, Request};

/// `{"seq":7,"type":"chat.changed","data":{…}}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Its number; absent for volatile events and for `reset`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// `type` and `data`.
    #[serde(flatten)]
    pub body: EventBody,
}

impl Event {
    /// An event of the journal.
    #[must_use]
    pub fn durable(seq: u64, body: EventBody) -> Self {
        Self { seq: Some(seq), body }
    }

    /// Something that is true now and never replayed.
    #[must_use]
    pub fn volatile(body: EventBody) -> Self {
        Self { seq: None, body }
    }

    /// The journal no longer reaches back far enough, or a crash undid what was told: read `/sync`
    /// again.
    #[must_use]
    pub fn reset() -> Self {
        Self::volatile(EventBody::Reset)
    }
}

/// The kinds of events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", content = "data")]
pub enum EventBody {
    /// Registration moved on.
    #[serde(rename = "registration.changed")]
    RegistrationChanged(Registration),
    /// The profile changed.
    #[serde(rename = "me.changed")]
    MeChanged(Me),
    /// An invite appeared or changed.
    #[serde(rename = "invite.changed")]
    InviteChanged(Invite),
    /// Someone else tried a code.
    #[serde(rename = "invite.failed_try")]
    InviteFailedTry(FailedTry),
    /// A request appeared or changed.
    #[serde(rename = "request.changed")]
    RequestChanged(Request),
    /// A contact appeared or changed.
    #[serde(rename = "contact.changed")]
    ContactChanged(Contact),
    /// A contact was removed.
    #[serde(rename = "contact.removed")]
    ContactRemoved(Removed),
    /// A chat appeared or changed.
    #[serde(rename = "chat.changed")]
    ChatChanged(Chat),
    /// A message was sent or arrived.
    #[serde(rename = "message.added")]
    MessageAdded(Message),
    /// A message got further.
    #[serde(rename = "message.changed")]
    MessageChanged(Message),
    /// A message was deleted here.
    #[serde(rename = "message.removed")]
    MessageRemoved(MessageRef),
    /// Something the person should read.
    #[serde(rename = "notice")]
    Notice(Notice),
    /// Volatile: someone came, left, or writes.
    #[serde(rename = "presence")]
    Presence(Presence),
    /// Volatile: the network changed.
    #[serde(rename = "network")]
    Network(NetworkStatus),
    /// What was missed is gone: read `/sync` again.
    #[serde(rename = "reset")]
    Reset,
}

impl EventBody {
    /// The `type` of the event.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::RegistrationChanged(_) => "registration.changed",
            Self::MeChanged(_) => "me.changed",
            Self::InviteChanged(_) => "invite.changed",
            Self::InviteFailedTry(_) => "invite.failed_try",
            Self::RequestChanged(_) => "request.changed",
            Self::ContactChanged(_) => "contact.changed",
            Self::ContactRemoved(_) => "contact.removed",
            Self::ChatChanged(_) => "chat.changed",
            Self::MessageAdded(_) => "message.added",
            Self::MessageChanged(_) => "message.changed",
            Self::MessageRemoved(_) => "message.removed",
            Self::Notice(_) => "notice",
            Self::Presence(_) => "presence",
            Self::Network(_) => "network",
            Self::Reset => "reset",
        }
    }
}

/// The first frame of every stream: `{"type":"hello","build":…,"cursor":…}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename = "hello")]
pub struct Hello {
    /// Version and commit, so that a tab sees that it is older than its node.
    pub build: String,
    /// The number of the last event when the stream began.
    pub cursor: u64,
}

/// Someone else tried a code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FailedTry {
    /// The invite.
    pub invite_id: String,
}

/// Something is gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Removed {
    /// Its id.
    pub id: String,
}

/// A message that is gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MessageRef {
    /// The message.
    pub id: String,
    /// Its chat.
    pub chat_id: String,
}

/// Something the person should read.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Notice {
    /// The notice's name.
    pub code: String,
    /// A plain sentence.
    pub text: String,
    /// The contact it concerns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact_id: Option<String>,
}

impl fmt::Debug for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notice")
            .field("code", &self.code)
            .field("contact_id", &self.contact_id)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_durable_event_has_seq_type_and_data() {
        let event = Event::durable(7, EventBody::ContactRemoved(Removed { id: "a".into() }));
        let json = serde_json::json!({"seq": 7, "type": "contact.removed", "data": {"id": "a"}});
        assert_eq!(serde_json::to_value(&event).expect("serialises"), json);
        assert_eq!(serde_json::from_value::<Event>(json).expect("parses"), event);
    }

    #[test]
    fn a_reset_is_a_bare_type_and_a_hello_is_flat() {
        let reset = serde_json::json!({"type": "reset"});
        assert_eq!(serde_json::to_value(Event::reset()).expect("serialises"), reset);
        assert_eq!(serde_json::from_value::<Event>(reset).expect("parses"), Event::reset());
        let hello = Hello { build: "0.1.0".into(), cursor: 3 };
        let json = serde_json::json!({"type": "hello", "build": "0.1.0", "cursor": 3});
        assert_eq!(serde_json::to_value(&hello).expect("serialises"), json);
    }

    #[test]
    fn the_name_of_an_event_is_its_type() {
        let notice = Notice { code: "x".into(), text: "y".into(), contact_id: None };
        for body in [EventBody::Reset, EventBody::Notice(notice)] {
            let json = serde_json::to_value(&body).expect("serialises");
            assert_eq!(json["type"], body.name());
        }
    }
}
