//! Journal rows as clients see them: what the named thing looks like now.

use crate::api::dto::{EventBody, FailedTry, MessageRef, Notice, Removed};
use crate::engine::{Ctx, Event};
use crate::service;
use crate::store::StoreError;

use super::{chat, contact, invite, me, message, registration, request};

/// `None` when the thing is gone by now: a later row says so.
pub(crate) fn event(ctx: &Ctx<'_>, event: &Event) -> Result<Option<EventBody>, StoreError> {
    Ok(match event {
        Event::RegistrationChanged => Some(EventBody::RegistrationChanged(registration(ctx)?)),
        Event::MeChanged => Some(EventBody::MeChanged(me(ctx)?)),
        Event::InviteChanged(id) => match service::invite::get(ctx, *id)? {
            Some(found) => Some(EventBody::InviteChanged(invite(ctx, &found)?)),
            None => None,
        },
        Event::InviteFailedTry(id) => {
            Some(EventBody::InviteFailedTry(FailedTry { invite_id: id.to_string() }))
        }
        Event::RequestChanged(account) => service::request::get(ctx, *account)?
            .map(|found| EventBody::RequestChanged(request(ctx, &found))),
        Event::ContactChanged(account) => match service::contact::get(ctx, *account)? {
            Some(found) => Some(EventBody::ContactChanged(contact(ctx, &found)?)),
            None => None,
        },
        Event::ContactRemoved(account) => {
            Some(EventBody::ContactRemoved(Removed { id: account.to_string() }))
        }
        Event::ChatChanged(id) => match service::chat::get(ctx, *id)? {
            Some(found) => Some(EventBody::ChatChanged(chat(ctx, &found)?)),
            None => None,
        },
        Event::MessageAdded(id) => service::chat::message(ctx, *id)?
            .map(|found| EventBody::MessageAdded(message(ctx, &found))),
        Event::MessageChanged(id) => service::chat::message(ctx, *id)?
            .map(|found| EventBody::MessageChanged(message(ctx, &found))),
        Event::MessageRemoved(id, chat) => Some(EventBody::MessageRemoved(MessageRef {
            id: id.to_string(),
            chat_id: chat.to_string(),
        })),
        Event::Notice { code, text, contact } => Some(EventBody::Notice(Notice {
            code: code.clone(),
            text: text.clone(),
            contact_id: contact.map(|account| account.to_string()),
        })),
    })
}
