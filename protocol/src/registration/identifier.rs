//! One form for every spelling of an address.
//!
//! An e-mail address is trimmed, its domain brought to lower-case ASCII (IDNA, UTS 46). A
//! telephone number becomes E.164. Limits are kept, and accounts remember, a keyed hash:
//! HMAC-SHA256(pepper, kind ‖ address in lower case), so that `Ada@x.org` and `ada@x.org`
//! share one budget although the first spelling is the one that is written to.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::wire::{IdentifierKind, MAX_IDENTIFIER};

/// Longest local part of an e-mail address in bytes (RFC 5321 §4.5.3.1.1).
const MAX_LOCAL: usize = 64;
/// Longest domain in bytes (RFC 1035 §2.3.4).
const MAX_DOMAIN: usize = 253;
/// Longest telephone number as typed, in bytes; E.164 has 15 digits.
const MAX_PHONE: usize = 40;

/// In so many last digits the numbers of a range differ.
pub const RANGE_DIGITS: usize = 4;

/// An address in its one form. Wiped when dropped, and never shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Identifier {
    kind: IdentifierKind,
    address: Zeroizing<String>,
    /// A telephone number's country.
    calling_code: Option<u16>,
}

/// A text that is no address of the kind given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid address")]
pub struct IdentifierError;

/// The keyed hash under which an identifier is known at rest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IdentifierHash(pub [u8; 32]);

impl fmt::Debug for IdentifierHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdentifierHash(..)")
    }
}

impl fmt::Debug for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identifier").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl Identifier {
    /// Brings `text` into its one form.
    ///
    /// # Errors
    /// [`IdentifierError`] for what cannot be an address of that kind; the text is not judged
    /// by whether anybody answers there.
    pub fn parse(kind: IdentifierKind, text: &str) -> Result<Self, IdentifierError> {
        if text.len() > MAX_IDENTIFIER {
            return Err(IdentifierError);
        }
        let (address, calling_code) = match kind {
            IdentifierKind::Email => (email(text.trim())?, None),
            IdentifierKind::Phone => phone(text.trim()).map(|(form, code)| (form, Some(code)))?,
        };
        Ok(Self { kind, address: Zeroizing::new(address), calling_code })
    }

    /// What kind of address it is.
    #[must_use]
    pub fn kind(&self) -> IdentifierKind {
        self.kind
    }

    /// The address to send to. Personal data: for drivers, never for logs.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A telephone number's calling code (ITU-T E.164); several countries may share one.
    #[must_use]
    pub fn calling_code(&self) -> Option<u16> {
        self.calling_code
    }

    /// The address with most of it hidden, for a person who already knows it.
    #[must_use]
    pub fn masked(&self) -> String {
        match self.address.split_once('@') {
            Some((local, domain)) => {
                format!("{}•••@{domain}", local.chars().next().unwrap_or('•'))
            }
            None => {
                let tail = self.address.len().saturating_sub(2);
                format!("+•••{}", self.address.get(tail..).unwrap_or(""))
            }
        }
    }

    /// The keyed hash.
    #[must_use]
    pub fn hash(&self, pepper: &[u8; 32]) -> IdentifierHash {
        let kind = match self.kind {
            IdentifierKind::Email => b"email\0".as_slice(),
            IdentifierKind::Phone => b"phone\0".as_slice(),
        };
        let folded = Zeroizing::new(self.address.to_lowercase());
        keyed(pepper, kind, folded.as_bytes())
    }

    /// The keyed hash of a telephone number's range: the number without its last [`RANGE_DIGITS`] digits.
    #[must_use]
    pub fn range_hash(&self, pepper: &[u8; 32]) -> Option<IdentifierHash> {
        self.calling_code?;
        let range = self.address.len().saturating_sub(RANGE_DIGITS);
        Some(keyed(pepper, b"range\0", self.address.as_bytes().get(..range)?))
    }
}

fn keyed(pepper: &[u8; 32], kind: &[u8], bytes: &[u8]) -> IdentifierHash {
    let mut mac = Hmac::<Sha256>::new_from_slice(pepper).expect("HMAC takes keys of any length");
    mac.update(kind);
    mac.update(bytes);
    IdentifierHash(mac.finalize().into_bytes().into())
}

fn email(text: &str) -> Result<String, IdentifierError> {
    let (local, domain) = text.rsplit_once('@').ok_or(IdentifierError)?;
    let local_is_sane = !local.is_empty()
        && local.len() <= MAX_LOCAL
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..")
        && local.chars().all(is_local);
    if !local_is_sane {
        return Err(IdentifierError);
    }
    let domain = idna::domain_to_ascii_strict(domain).map_err(|_| IdentifierError)?;
    let domain_is_sane = domain.len() <= MAX_DOMAIN
        && domain.contains('.')
        && domain.split('.').all(|label| !label.is_empty() && label.len() <= 63)
        && domain.rsplit('.').next().is_some_and(|top| !top.bytes().all(|b| b.is_ascii_digit()));
    if !domain_is_sane {
        return Err(IdentifierError);
    }
    Ok(format!("{local}@{domain}"))
}

/// RFC 5322 `atext` and the dot, and letters of any script (RFC 6531). Quoted local parts are
/// refused: hardly anybody has one, and they are a way into mail headers.
fn is_local(c: char) -> bool {
    if c.is_ascii() {
        c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c)
    } else {
        c.is_alphanumeric()
    }
}

/// The number's form, and its calling code.
fn phone(text: &str) -> Result<(String, u16), IdentifierError> {
    let plausible = text.len() <= MAX_PHONE
        && text.starts_with('+')
        && text.chars().all(|c| c.is_ascii_digit() || "+ -().".contains(c));
    if !plausible {
        return Err(IdentifierError);
    }
    let number = phonenumber::parse(None, text).map_err(|_| IdentifierError)?;
    if !phonenumber::is_valid(&number) || number.extension().is_some() {
        return Err(IdentifierError);
    }
    Ok((number.format().mode(phonenumber::Mode::E164).to_string(), number.code().value()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(kind: IdentifierKind, text: &str) -> Option<String> {
        Identifier::parse(kind, text).ok().map(|identifier| identifier.address().to_owned())
    }

    #[test]
    fn an_email_has_one_form() {
        use IdentifierKind::Email;
        assert_eq!(parsed(Email, "  Ada@Example.ORG "), Some("Ada@example.org".into()));
        assert_eq!(parsed(Email, "ada@bücher.example"), Some("ada@xn--bcher-kva.example".into()));
        let one = Identifier::parse(Email, "ADA@example.org").expect("valid");
        let two = Identifier::parse(Email, "ada@EXAMPLE.org").expect("valid");
        assert_eq!(one.hash(&[7; 32]), two.hash(&[7; 32]));
        assert_ne!(one.hash(&[7; 32]), one.hash(&[8; 32]));
    }

    #[test]
    fn what_is_no_email_is_refused() {
        for text in [
            "",
            "ada",
            "@example.org",
            "ada@",
            "ada@localhost",
            "a b@example.org",
            "ada@exa mple.org",
            "ada@example..org",
            ".ada@example.org",
            "a..b@example.org",
            "ada@1.2.3.4",
            "ada@example.org\r\nBcc: x@y.z",
            "\"a b\"@example.org",
            "ada@-x.org",
            "a@b@example.org",
        ] {
            assert_eq!(parsed(IdentifierKind::Email, text), None, "{text:?}");
        }
        let long = format!("{}@example.org", "a".repeat(65));
        assert_eq!(parsed(IdentifierKind::Email, &long), None);
    }

    #[test]
    fn a_phone_number_becomes_e164() {
        use IdentifierKind::Phone;
        assert_eq!(parsed(Phone, "+49 (1512) 345-6789"), Some("+4915123456789".into()));
        let ada = Identifier::parse(Phone, "+49 (1512) 345-6789").expect("valid");
        assert_eq!(ada.calling_code(), Some(49));
        let ranges = ["+4915123450000", "+4915123459999", "+4915123460000", "+4915123456789"]
            .map(|text| Identifier::parse(Phone, text).expect("valid").range_hash(&[7; 32]));
        assert_eq!(ranges[0], ranges[1], "of one range");
        assert_ne!(ranges[1], ranges[2], "of two");
        assert_ne!(ranges[3], Some(ada.hash(&[7; 32])));
        let mail = Identifier::parse(IdentifierKind::Email, "ada@example.org").expect("valid");
        assert_eq!((mail.calling_code(), mail.range_hash(&[7; 32])), (None, None));
        for text in ["", "12", "+1", "+999999999999", "0151 23456789", "+49 1512 x3456789", "++49"]
        {
            assert_eq!(parsed(Phone, text), None, "{text:?}");
        }
    }

    #[test]
    fn debug_and_mask_hide_the_person() {
        let ada = Identifier::parse(IdentifierKind::Email, "ada@example.org").expect("valid");
        assert_eq!(format!("{ada:?}"), "Identifier { kind: Email, .. }");
        assert_eq!(ada.masked(), "a•••@example.org");
        let phone = Identifier::parse(IdentifierKind::Phone, "+4915123456789").expect("valid");
        assert_eq!(phone.masked(), "+•••89");
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing(text in "\\PC{0,80}", at in 0usize..3) {
            let text = match at {
                0 => text,
                1 => format!("{text}@example.org"),
                _ => format!("ada@{text}.org"),
            };
            if let Some(once) = parsed(IdentifierKind::Email, &text) {
                prop_assert_eq!(parsed(IdentifierKind::Email, &once), Some(once));
            }
            let _ = parsed(IdentifierKind::Phone, &text);
        }
    }
}
