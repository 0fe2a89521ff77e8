//! Everything at once, with the journal's number that it is true at.

use crate::api::dto::SyncSnapshot;
use crate::engine::Ctx;
use crate::store::StoreError;

pub(crate) fn sync(ctx: &Ctx<'_>) -> Result<SyncSnapshot, StoreError> {
    Ok(SyncSnapshot {
        cursor: ctx.cursor(),
        me: super::me(ctx)?,
        registration: super::registration(ctx)?,
        contacts: super::contacts(ctx)?,
        requests: super::requests(ctx)?,
        invites: super::invites(ctx)?,
        chats: super::chats(ctx)?,
        presence: super::all_presence(ctx),
        status: super::status(ctx)?,
    })
}
