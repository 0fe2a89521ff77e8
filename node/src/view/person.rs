//! This person, and their contacts.

use data_encoding::HEXLOWER;
use protocol::ids::{AccountId, ChatId};
use protocol::invite::Kind;
use sha2::{Digest, Sha256};

use crate::api::dto::{self, PresenceState, ReachPath, Via, rfc3339};
use crate::engine::Ctx;
use crate::net::Path;
use crate::service::contact::ContactRecord;
use crate::service::{identity, pin, rekey, verification};
use crate::store::StoreError;

/// What an avatar's weave is drawn from: a hash of the identity key.
pub(crate) fn symbol_seed(account: AccountId) -> String {
    let digest = Sha256::new().chain_update(b"KITH/1 avatar\0").chain_update(account.0).finalize();
    HEXLOWER.encode(&digest[..8])
}

pub(crate) fn me(ctx: &Ctx<'_>) -> Result<dto::Me, StoreError> {
    let me = identity::me(ctx)?;
    Ok(dto::Me {
        account: ctx.account.id.to_string(),
        name: me.name.clone(),
        about: me.about.clone(),
        symbol_seed: symbol_seed(ctx.account.id),
        created_at: rfc3339(me.created_at),
    })
}

pub(crate) fn contact(ctx: &Ctx<'_>, record: &ContactRecord) -> Result<dto::Contact, StoreError> {
    let account = record.account;
    Ok(dto::Contact {
        id: account.to_string(),
        name: if record.name.is_empty() { account.short() } else { record.name.clone() },
        alias: record.alias.clone(),
        about: record.card.about.clone(),
        symbol_seed: symbol_seed(account),
        symbols: record.symbols,
        since: rfc3339(record.since),
        via: via(record.via),
        verified: verification::get(ctx, account)?.is_some(),
        began_anew: pin::get(ctx, account)?.changes().iter().copied().map(rfc3339).collect(),
        keys_renewed_at: rekey::renewed_at(ctx, account)?.map(rfc3339),
        reach: reach(ctx, account),
        presence: presence(ctx, account),
        chat_id: ChatId::of_pair(ctx.account.id, account).to_string(),
    })
}

pub(crate) fn safety_number(
    ctx: &Ctx<'_>,
    account: AccountId,
) -> Result<dto::SafetyNumber, StoreError> {
    let verified = verification::get(ctx, account)?;
    Ok(dto::SafetyNumber {
        number: verification::number(ctx, account),
        code: verification::code(ctx, account),
        verified_at: verified.map(|verified| rfc3339(verified.at)),
        verified_by: verified.map(|verified| match verified.how {
            verification::How::Number => dto::VerifiedBy::Number,
            verification::How::Code => dto::VerifiedBy::Code,
        }),
    })
}

pub(crate) fn contacts(ctx: &Ctx<'_>) -> Result<Vec<dto::Contact>, StoreError> {
    let mut records = crate::service::contact::all(ctx)?;
    records.sort_by_cached_key(|record| (record.shown_name().to_lowercase(), record.account));
    records.iter().map(|record| contact(ctx, record)).collect()
}

pub(crate) fn presence(ctx: &Ctx<'_>, account: AccountId) -> dto::Presence {
    let seen = ctx.state.seen.get(&account);
    let here = seen.is_some_and(|seen| seen.is_here(ctx.now));
    let last_seen = seen.and_then(protocol::presence::Seen::last_seen);
    dto::Presence {
        account: account.to_string(),
        state: match (here, last_seen) {
            (true, _) => PresenceState::Online,
            (false, Some(_)) => PresenceState::Away,
            (false, None) => PresenceState::Unknown,
        },
        last_seen: last_seen.map(rfc3339),
        typing: seen.is_some_and(|seen| seen.is_typing(ctx.now)),
    }
}

pub(crate) fn all_presence(ctx: &Ctx<'_>) -> Vec<dto::Presence> {
    ctx.state.seen.keys().map(|account| presence(ctx, *account)).collect()
}

pub(super) fn via(kind: Option<Kind>) -> Via {
    match kind {
        Some(Kind::InPerson) => Via::InPerson,
        Some(Kind::Link) => Via::Link,
        None => Via::Unknown,
    }
}

fn reach(ctx: &Ctx<'_>, account: AccountId) -> dto::Reach {
    let (path, detail) = match ctx.state.paths.get(&account) {
        Some(Path::Lan) => (ReachPath::Lan, "Connected on the same network."),
        Some(Path::Direct) => (ReachPath::Direct, "Connected directly."),
        Some(Path::HolePunched) => {
            (ReachPath::HolePunched, "Connected directly, through both routers.")
        }
        Some(Path::Relayed) => {
            (ReachPath::Relayed, "Connected through a relay, which cannot read along.")
        }
        Some(Path::Mailbox) | None => (ReachPath::None, "Not connected now."),
    };
    dto::Reach { path, detail: detail.to_owned() }
}
