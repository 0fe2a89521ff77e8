//! Verification: that a contact is who they seem, compared outside of this network.
//!
//! Two ways with one meaning: both people compare the safety number, or one reads the code on the other's
//! screen. What is kept is when and how, until the contact is removed.
//!
//! Spec: `docs/protocol/session.md` §10.

use crypto::safety::{Verdict, VerificationCode};
use crypto::safety_number;
use protocol::ids::AccountId;
use protocol::time::Timestamp;
use protocol::wire::Wire;
use serde::{Deserialize, Serialize};

use super::contact;
use super::error::{ErrorKind, Refusal};
use crate::engine::{Ctx, Event, Failure};
use crate::store::{Key, StoreError, Tree};

/// How a contact was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum How {
    /// The person says that the numbers are the same.
    Number,
    /// Their code was read.
    Code,
}

/// That a contact was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    /// Whom.
    pub account: AccountId,
    /// When.
    pub at: Timestamp,
    /// How.
    pub how: How,
}

impl Wire for Verification {
    const LIMIT: usize = 64;
}

/// Why a code did not verify a contact, who is named. Nothing was changed.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerificationError {
    /// Something else was read.
    #[error(
        "This is not a verification code. It is on {0}'s screen, in what their Kith says about you, under \
         “Safety number”."
    )]
    NotACode(String),
    /// The code is that of somebody else than this contact.
    #[error(
        "This code is not from the {0} you are connected with. If it is on {0}'s own screen, in what their \
         Kith says about you, somebody may stand between you: remove each other, and meet again with a new \
         code, in person."
    )]
    AnotherPerson(String),
    /// It is theirs, and was made for somebody else than us.
    #[error(
        "This code is from {0}, and is for somebody else than you. If {0} opened it in what their Kith says \
         about you, somebody may stand between you: remove each other, and meet again with a new code, in \
         person."
    )]
    AnotherReader(String),
}

impl std::fmt::Debug for VerificationError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NotACode(_) => "NotACode(..)",
            Self::AnotherPerson(_) => "AnotherPerson(..)",
            Self::AnotherReader(_) => "AnotherReader(..)",
        })
    }
}

impl Refusal for VerificationError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotACode(_) => "not_a_verification_code",
            Self::AnotherPerson(_) => "code_of_another_person",
            Self::AnotherReader(_) => "code_for_another_person",
        }
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotACode(_) => ErrorKind::Invalid,
            Self::AnotherPerson(_) | Self::AnotherReader(_) => ErrorKind::Conflict,
        }
    }
}

/// How a contact was verified, if they were.
///
/// # Errors
/// [`StoreError`] when it cannot be read.
pub fn get(ctx: &Ctx<'_>, account: AccountId) -> Result<Option<Verification>, StoreError> {
    ctx.get(&key(ctx, account))
}

/// The 60 digits that this person and a contact both see.
#[must_use]
pub fn number(ctx: &Ctx<'_>, account: AccountId) -> String {
    safety_number(&ctx.account.id.into(), &account.into())
}

/// The code to show a contact's camera.
#[must_use]
pub fn code(ctx: &Ctx<'_>, account: AccountId) -> String {
    VerificationCode::new(&ctx.account.id.into(), &account.into()).to_text()
}

/// The person says that they compared the numbers.
///
/// # Errors
/// [`Failure`] when there is no such contact.
pub fn confirm(ctx: &mut Ctx<'_>, account: AccountId) -> Result<(), Failure> {
    contact::expect(ctx, account)?;
    Ok(mark(ctx, account, How::Number)?)
}

/// A camera read `text` on a contact's screen.
///
/// # Errors
/// [`Failure`] when there is no such contact, or the code is not theirs for us.
pub fn read(ctx: &mut Ctx<'_>, account: AccountId, text: &str) -> Result<(), Failure> {
    let name = contact::expect(ctx, account)?.shown_name();
    let Ok(code) = VerificationCode::parse(text) else {
        return Err(VerificationError::NotACode(name).into());
    };
    match code.judge(&ctx.account.id.into(), &account.into()) {
        Verdict::Match => Ok(mark(ctx, account, How::Code)?),
        Verdict::AnotherShower => Err(VerificationError::AnotherPerson(name).into()),
        Verdict::AnotherReader => Err(VerificationError::AnotherReader(name).into()),
    }
}

/// Takes it back.
///
/// # Errors
/// [`Failure`] when there is no such contact.
pub fn withdraw(ctx: &mut Ctx<'_>, account: AccountId) -> Result<(), Failure> {
    contact::expect(ctx, account)?;
    forget(ctx, account);
    ctx.emit(Event::ContactChanged(account));
    Ok(())
}

/// The contact is one no more.
pub(super) fn forget(ctx: &mut Ctx<'_>, account: AccountId) {
    let key = key(ctx, account);
    ctx.delete(key);
}

/// Stores one, of a backup.
pub(super) fn put(ctx: &mut Ctx<'_>, verification: &Verification) -> Result<(), StoreError> {
    let key = key(ctx, verification.account);
    ctx.put(key, verification)
}

fn mark(ctx: &mut Ctx<'_>, account: AccountId, how: How) -> Result<(), StoreError> {
    let at = ctx.now;
    put(ctx, &Verification { account, at, how })?;
    ctx.emit(Event::ContactChanged(account));
    Ok(())
}

fn key(ctx: &Ctx<'_>, account: AccountId) -> Key {
    ctx.key(Tree::Verification, &account.0, &[])
}
