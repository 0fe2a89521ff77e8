//! The local API over real sockets: a node with a memory store and no network.
//!
//! Each test starts its own server on a port of its own. Numbers in names are the lines of the
//! checklist in `docs/THREAT_MODEL.md`.

#[path = "api/codes.rs"]
mod codes;
#[path = "api/description.rs"]
mod description;
#[path = "api/events.rs"]
mod events;
#[path = "api/perimeter.rs"]
mod perimeter;
#[path = "api/resources.rs"]
mod resources;
#[path = "api/session.rs"]
mod session;
#[path = "api/world.rs"]
mod world;
