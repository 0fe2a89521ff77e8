//! The routes of `/api/v1` and their description, from the same macros.

use std::sync::OnceLock;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi as Document, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::dto;
use super::error::ApiCode;
use super::limits::PICTURE_BYTES;
use super::perimeter::API;
use super::respond::PROBLEM_JSON;
use super::routes::{
    backups, chats, contacts, invites, messages, node, profile, registration, requests, session,
    vault,
};
use super::state::Api;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Kith local API",
        version = "1",
        description = "What a node answers on loopback. Every refusal is a Problem; its codes are listed at the end of this text."
    ),
    servers((url = "/api/v1")),
    security(("token" = [])),
    components(schemas(dto::Problem, dto::Event, dto::EventBody, dto::Hello)),
    modifiers(&BearerToken, &ProblemCodes)
)]
struct Description;

struct BearerToken;

impl Modify for BearerToken {
    fn modify(&self, document: &mut Document) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(
                "From POST /session, or from the file `api-token` of the running profile.",
            ))
            .build();
        document
            .components
            .get_or_insert_default()
            .add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// Lists the codes, so that the committed file changes when one does.
struct ProblemCodes;

impl Modify for ProblemCodes {
    fn modify(&self, document: &mut Document) {
        let own =
            ApiCode::ALL.iter().map(|code| format!("`{}` {}", code.name(), code.status().as_u16()));
        let list = own.collect::<Vec<_>>().join(" · ");
        let text = document.info.description.get_or_insert_default();
        text.push_str("\n\nCodes of the API itself: ");
        text.push_str(&list);
    }
}

fn described() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(session::open_session, session::get_session, session::close_session))
        .routes(routes!(session::create_login_link))
        .routes(routes!(session::list_tokens))
        .routes(routes!(session::revoke_token))
        .routes(routes!(vault::unlock_vault))
        .routes(routes!(vault::lock_vault))
        .routes(routes!(vault::get_vault))
        .routes(routes!(vault::recover_vault))
        .routes(routes!(vault::set_passphrase))
        .routes(routes!(vault::remove_passphrase))
        .routes(routes!(backups::get_backup))
        .routes(routes!(backups::get_unanswered))
        .routes(routes!(backups::show_phrase))
        .routes(routes!(backups::put_restore_file))
        .routes(routes!(backups::restore))
        .routes(routes!(node::get_status))
        .routes(routes!(node::get_health))
        .routes(routes!(node::get_readiness))
        .routes(routes!(node::get_version))
        .routes(routes!(node::get_openapi))
        .routes(routes!(node::get_diagnostics))
        .routes(routes!(node::get_sync))
        .routes(routes!(super::events::events))
        .routes(routes!(registration::get_registration, registration::forget_registration))
        .routes(routes!(registration::create_challenge))
        .routes(routes!(registration::verify_challenge))
        .routes(routes!(registration::resend_challenge))
        .routes(routes!(profile::get_me, profile::update_me))
        .routes(routes!(profile::put_presence))
        .routes(routes!(profile::list_presence))
        .merge(people())
}

fn people() -> OpenApiRouter<Api> {
    let pictures = OpenApiRouter::new()
        .routes(routes!(invites::decode_invite))
        .routes(routes!(contacts::verify_contact, contacts::unverify_contact))
        .layer(DefaultBodyLimit::max(PICTURE_BYTES));
    OpenApiRouter::new()
        .routes(routes!(invites::create_invite, invites::list_invites))
        .routes(routes!(invites::get_invite, invites::revoke_invite))
        .routes(routes!(invites::get_invite_svg))
        .routes(routes!(invites::get_invite_png))
        .routes(routes!(invites::redeem_invite))
        .merge(pictures)
        .routes(routes!(requests::list_requests))
        .routes(routes!(requests::withdraw_request))
        .routes(routes!(requests::accept_request))
        .routes(routes!(requests::reject_request))
        .routes(routes!(contacts::list_contacts))
        .routes(routes!(contacts::get_contact, contacts::update_contact, contacts::remove_contact))
        .routes(routes!(contacts::get_safety_number))
        .routes(routes!(contacts::get_safety_number_svg))
        .routes(routes!(chats::list_chats))
        .routes(routes!(chats::get_chat))
        .routes(routes!(chats::put_draft))
        .routes(routes!(chats::put_read))
        .routes(routes!(chats::put_typing))
        .routes(routes!(chats::list_messages, chats::send_message))
        .routes(routes!(messages::get_message, messages::remove_message))
        .routes(routes!(messages::retry_message))
}

/// The endpoints under [`API`], without layers.
pub(super) fn router() -> Router<Api> {
    let (routes, _) = described().split_for_parts();
    Router::new().nest(API, routes)
}

/// The description as the committed `openapi.json` has it.
#[must_use]
pub fn json() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| {
        let (_, mut document) = described().split_for_parts();
        for item in document.paths.paths.values_mut() {
            operations(item).for_each(add_refusal);
        }
        let mut text = document.to_pretty_json().expect("the description serialises");
        text.push('\n');
        text
    })
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch]
        .into_iter()
        .flatten()
}

fn add_refusal(operation: &mut Operation) {
    let schema = Ref::from_schema_name("Problem");
    let content = ContentBuilder::new().schema(Some(schema)).build();
    let refusal: Response =
        ResponseBuilder::new().description("A refusal.").content(PROBLEM_JSON, content).build();
    operation.responses.responses.insert("default".to_owned(), RefOr::T(refusal));
}
