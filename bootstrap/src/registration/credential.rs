//! Admission credentials: EdDSA JSON Web Tokens bound to a key (RFC 7519, 7800, 8037).
//!
//! `{iss, aud, sub, jti, iat, exp, tier, cnf: {jwk: OKP}}`: issuer and audience are the relay,
//! subject is the account, `cnf` is the key that must have authenticated the connection. No
//! identifier and no hash of one.
//!
//! # Invariants
//! * The algorithm is fixed to EdDSA and the key id to this relay's before anything is
//!   verified: what a token says about itself chooses nothing.
//! * Time is the caller's: `exp` and `iat` are compared with `now` here.

use crypto::identity::SigningKey;
use crypto::secret::Secret;
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use protocol::ids::{AccountId, RelayId};
use protocol::time::{HOUR, Timestamp};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::config::MAX_NAME;

/// What stands before an Ed25519 seed in PKCS #8 (RFC 8410 §7).
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];
/// How far in the future a token may have been issued: a clock that was set back.
const MAX_BACKWARDS: u64 = HOUR;

/// The one tier there is.
const TIER: &str = "member";

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    jti: String,
    /// Seconds.
    iat: u64,
    /// Seconds.
    exp: u64,
    tier: String,
    cnf: Confirmation,
}

#[derive(Debug, Serialize, Deserialize)]
struct Confirmation {
    jwk: OctetKeyPair,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct OctetKeyPair {
    kty: String,
    crv: String,
    x: String,
}

/// A token could not be made.
#[derive(Debug, thiserror::Error)]
#[error("a credential could not be made: {0}")]
pub(crate) struct IssueError(String);

/// Issues and checks the credentials of one relay.
#[derive(Clone)]
pub(crate) struct Credentials {
    relay: String,
    key_id: String,
    signing: EncodingKey,
    verifying: DecodingKey,
    lifetime: u64,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

impl Credentials {
    /// With a key of its own, derived from the relay's identity; `lifetime` in milliseconds.
    pub(crate) fn new(relay: RelayId, seed: &Secret<32>, lifetime: u64) -> Self {
        let public = *SigningKey::from_seed(seed).verifying_key().as_bytes();
        let mut document = Zeroizing::new(PKCS8_PREFIX.to_vec());
        document.extend_from_slice(seed.expose());
        Self {
            relay: HEXLOWER.encode(&relay.0),
            key_id: HEXLOWER.encode(&public[..8]),
            signing: EncodingKey::from_ed_der(&document),
            verifying: DecodingKey::from_ed_der(&public),
            lifetime,
        }
    }

    /// A fresh credential for `account`, and when it ends.
    pub(crate) fn issue(
        &self,
        account: AccountId,
        now: Timestamp,
    ) -> Result<(String, Timestamp), IssueError> {
        let ends = Timestamp::from_seconds(now.plus(self.lifetime).seconds());
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(self.key_id.clone());
        let claims = Claims {
            iss: self.relay.clone(),
            aud: self.relay.clone(),
            sub: HEXLOWER.encode(&account.0),
            jti: HEXLOWER.encode(&rand::random::<[u8; 16]>()),
            iat: now.seconds(),
            exp: ends.seconds(),
            tier: TIER.into(),
            cnf: Confirmation { jwk: key_of(account) },
        };
        let token = jsonwebtoken::encode(&header, &claims, &self.signing)
            .map_err(|error| IssueError(error.to_string()))?;
        Ok((token, ends))
    }

    /// Whether `token` is this relay's, in time, and bound to `account`, which is the key that
    /// the connection authenticated.
    pub(crate) fn holds(&self, token: &str, account: AccountId, now: Timestamp) -> bool {
        self.claims(token).is_some_and(|claims| {
            claims.sub == HEXLOWER.encode(&account.0)
                && claims.cnf.jwk == key_of(account)
                && claims.tier.len() <= MAX_NAME
                && now.seconds() < claims.exp
                && claims.iat <= now.plus(MAX_BACKWARDS).seconds()
        })
    }

    fn claims(&self, token: &str) -> Option<Claims> {
        let header = jsonwebtoken::decode_header(token).ok()?;
        if header.alg != Algorithm::EdDSA || header.kid.as_deref() != Some(&self.key_id) {
            return None;
        }
        let mut rules = Validation::new(Algorithm::EdDSA);
        rules.set_audience(&[&self.relay]);
        rules.set_issuer(&[&self.relay]);
        rules.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
        // The library would ask the system's clock.
        rules.validate_exp = false;
        jsonwebtoken::decode::<Claims>(token, &self.verifying, &rules).ok().map(|data| data.claims)
    }
}

fn key_of(account: AccountId) -> OctetKeyPair {
    OctetKeyPair { kty: "OKP".into(), crv: "Ed25519".into(), x: BASE64URL_NOPAD.encode(&account.0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::time::DAY;

    const RELAY: RelayId = RelayId([1; 32]);
    const ADA: AccountId = AccountId([2; 32]);
    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn credentials(seed: u8) -> Credentials {
        Credentials::new(RELAY, &Secret::from_bytes([seed; 32]), 7 * DAY)
    }

    fn parts(token: &str) -> [Vec<u8>; 3] {
        let parts: Vec<_> = token
            .split('.')
            .map(|part| BASE64URL_NOPAD.decode(part.as_bytes()).expect("base64url"))
            .collect();
        parts.try_into().expect("three parts")
    }

    fn joined(parts: &[Vec<u8>; 3]) -> String {
        parts.each_ref().map(|part| BASE64URL_NOPAD.encode(part)).join(".")
    }

    #[test]
    fn a_credential_holds_for_its_key_for_seven_days() {
        let here = credentials(9);
        let (token, ends) = here.issue(ADA, NOW).expect("issued");
        assert_eq!(ends, NOW.plus(7 * DAY));
        assert!(here.holds(&token, ADA, NOW));
        assert!(here.holds(&token, ADA, ends.minus(1_000)));
        assert!(!here.holds(&token, ADA, ends));
        assert!(!here.holds(&token, AccountId([3; 32]), NOW));
        assert!(!here.holds(&token, ADA, NOW.minus(DAY)), "issued in the future");
    }

    #[test]
    fn another_relay_or_another_key_is_refused() {
        let here = credentials(9);
        let (token, _) = credentials(8).issue(ADA, NOW).expect("issued");
        assert!(!here.holds(&token, ADA, NOW));
        let elsewhere = Credentials::new(RelayId([7; 32]), &Secret::from_bytes([9; 32]), DAY);
        let (token, _) = elsewhere.issue(ADA, NOW).expect("issued");
        assert!(!here.holds(&token, ADA, NOW), "same key, other audience");
    }

    #[test]
    fn every_changed_bit_and_every_other_algorithm_is_refused() {
        let here = credentials(9);
        let (token, _) = here.issue(ADA, NOW).expect("issued");
        let good = parts(&token);
        assert_eq!(joined(&good), token);
        for part in 0..3 {
            for bit in 0..good[part].len() * 8 {
                let mut bad = good.clone();
                bad[part][bit / 8] ^= 1 << (bit % 8);
                assert!(!here.holds(&joined(&bad), ADA, NOW), "part {part}, bit {bit}");
            }
        }
        let text = String::from_utf8(good[0].clone()).expect("JSON");
        for algorithm in ["none", "HS256", "ES256", "RS256"] {
            let mut bad = good.clone();
            bad[0] = text.replace("EdDSA", algorithm).into_bytes();
            assert!(!here.holds(&joined(&bad), ADA, NOW), "{algorithm}");
            bad[2].clear();
            assert!(!here.holds(&joined(&bad), ADA, NOW), "{algorithm}, unsigned");
        }
        for text in ["", ".", "..", "a.b.c", &token[1..], &format!("{token}.x")] {
            assert!(!here.holds(text, ADA, NOW), "{text:?}");
        }
    }

    #[test]
    fn a_credential_names_nobody_and_fits() {
        let (token, _) = credentials(9).issue(ADA, NOW).expect("issued");
        assert!(token.len() <= protocol::mailbox::wire::MAX_CREDENTIAL);
        let claims: serde_json::Value = serde_json::from_slice(&parts(&token)[1]).expect("JSON");
        let mut names: Vec<_> = claims.as_object().expect("an object").keys().collect();
        names.sort();
        assert_eq!(names, ["aud", "cnf", "exp", "iat", "iss", "jti", "sub", "tier"]);
    }
}
