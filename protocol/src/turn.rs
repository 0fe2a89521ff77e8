//! `/kith/turn/1`: a node asks its relay, over its identity connection, for what opens STUN and TURN for one call.
//!
//! A name and a password of their own for each call, good for minutes, so that what a browser was given
//! is worth nothing later. They have the form of the REST API for TURN (draft-uberti-behave-turn-rest-00), so that a
//! relay may name a TURN server of another make.
//!
//! Spec: `docs/protocol/turn.md`.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;
use crate::wire::Wire;

/// The protocol's name in libp2p.
pub const PROTOCOL: &str = "/kith/turn/1";
/// Most servers that a relay names.
pub const MAX_SERVERS: usize = 8;
/// Longest URI of a server in bytes.
pub const MAX_SERVER: usize = 256;

/// What a node asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TurnRequest {
    /// Credentials for a call.
    Credentials,
}

/// What a relay answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TurnResponse {
    /// For this call.
    Granted(Credentials),
    /// No.
    Refused(TurnRefusal),
}

/// What opens STUN and TURN.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// `<end>:<call>`: when it ends, seconds since the Unix epoch by the relay's clock, and 16 random bytes, hexadecimal.
    pub username: String,
    /// Base64 of HMAC-SHA1 over the username, under the server's secret.
    pub password: String,
    /// Until when an allocation may be made with it. One that stands may be used on.
    pub expires_at: Timestamp,
    /// 1 to [`MAX_SERVERS`] URIs (RFC 7064, RFC 7065), each at most [`MAX_SERVER`] bytes.
    pub servers: Vec<String>,
}

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum TurnRefusal {
    /// This relay carries no calls.
    #[error("this relay carries no calls")]
    NotOffered,
    /// The key of this connection is not admitted.
    #[error("not admitted at this relay")]
    NotAdmitted,
    /// Wait this many milliseconds.
    #[error("too many requests")]
    TooSoon {
        /// Milliseconds to wait.
        retry_ms: u32,
    },
}

impl Wire for TurnRequest {
    const LIMIT: usize = 64;
}

impl Wire for TurnResponse {
    const LIMIT: usize = 4 * 1024;
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { username: _, password: _, expires_at, servers } = self;
        f.debug_struct("Credentials")
            .field("expires_at", expires_at)
            .field("servers", servers)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::codec;

    #[test]
    fn the_wire_stays_as_it_is() {
        let granted = TurnResponse::Granted(Credentials {
            username: "7:ab".into(),
            password: "pw".into(),
            expires_at: Timestamp(7_000),
            servers: vec!["turn:x:1".into()],
        });
        let refused = |why| TurnResponse::Refused(why);
        for (response, expected) in [
            (granted, "010004373a616202707 7fb581b01087475726e3a783a31".replace(' ', "")),
            (refused(TurnRefusal::NotOffered), "010100".into()),
            (refused(TurnRefusal::NotAdmitted), "010101".into()),
            (refused(TurnRefusal::TooSoon { retry_ms: 250 }), "010102fa".into()),
        ] {
            let bytes = codec::encode(&response).unwrap();
            assert_eq!(data_encoding::HEXLOWER.encode(&bytes), expected);
            assert_eq!(codec::decode::<TurnResponse>(&bytes).unwrap(), response);
        }
        assert_eq!(codec::encode(&TurnRequest::Credentials).unwrap(), [1, 0]);
    }

    #[test]
    fn what_opens_a_server_is_not_printed() {
        let credentials = Credentials {
            username: "7:name".into(),
            password: "secret".into(),
            expires_at: Timestamp(1),
            servers: Vec::new(),
        };
        let printed = format!("{credentials:?}");
        assert!(!printed.contains("name\"") && !printed.contains("secret"), "{printed}");
        assert!(!printed.contains("7:"), "{printed}");
    }
}
