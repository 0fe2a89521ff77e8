//! What the person says of themselves, and the card that contacts get.

use protocol::contact::{ContactCard, MAX_ABOUT, MAX_ADDRESSES, displayable_name};
use protocol::ids::AccountId;

use super::error::{ErrorKind, Refusal};
use super::identity::{me, put_me};
use super::{contact, queue, registration};
use crate::engine::{Ctx, Event, Failure};
use crate::store::StoreError;

/// Why a profile was not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// Nothing is left of the name once it is made fit to be shown.
    #[error("A name needs at least one visible character.")]
    EmptyName,
    /// The name is too long.
    #[error("That name is too long: {MAX} bytes at most.", MAX = protocol::contact::MAX_NAME)]
    NameTooLong,
    /// The line is too long.
    #[error("That is too long: {MAX_ABOUT} bytes at most.")]
    AboutTooLong,
}

impl Refusal for ProfileError {
    fn code(&self) -> &'static str {
        match self {
            Self::EmptyName => "empty_name",
            Self::NameTooLong => "name_too_long",
            Self::AboutTooLong => "about_too_long",
        }
    }

    fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

/// Changes name or about, and tells the contacts.
///
/// # Errors
/// [`Failure`] when a text is not fit.
pub fn update(ctx: &mut Ctx<'_>, name: Option<&str>, about: Option<&str>) -> Result<(), Failure> {
    let mut record = me(ctx)?;
    if let Some(name) = name {
        if name.len() > protocol::contact::MAX_NAME {
            return Err(ProfileError::NameTooLong.into());
        }
        let name = displayable_name(name);
        if name.is_empty() {
            return Err(ProfileError::EmptyName.into());
        }
        record.name = Some(name);
    }
    if let Some(about) = about {
        if about.len() > MAX_ABOUT {
            return Err(ProfileError::AboutTooLong.into());
        }
        record.about = about.to_owned();
    }
    put_me(ctx, &record)?;
    ctx.emit(Event::MeChanged);
    contact::send_cards(ctx)?;
    Ok(())
}

/// The card for one account. Before acceptance it says how to answer, and not who we are.
///
/// # Errors
/// [`StoreError`] when the store cannot be read.
pub fn card_for(
    ctx: &mut Ctx<'_>,
    account: AccountId,
    named: bool,
) -> Result<ContactCard, StoreError> {
    let mailboxes = queue::capability_for(ctx, account)?.into_iter().collect();
    let mut record = me(ctx)?;
    // With the clock, so that whoever was put back does not say what was said before.
    record.card_version = (record.card_version + 1).max(ctx.now.seconds());
    put_me(ctx, &record)?;
    let homes = registration::home(ctx)?.into_iter().collect();
    let listening = ctx.state.listening.iter().take(MAX_ADDRESSES).cloned().collect();
    Ok(ContactCard {
        version: record.card_version,
        name: if named { record.name.clone().unwrap_or_default() } else { String::new() },
        about: if named { record.about.clone() } else { String::new() },
        addresses: listening,
        homes,
        mailboxes,
        shares_presence: true,
        at: ctx.now,
    })
}
