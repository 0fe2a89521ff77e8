//! What a log may say.

use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{FilterExt, Targets};
use tracing_subscriber::layer::Filter;
use tracing_subscriber::registry::LookupSpan;

/// `asked`, in which the libraries that say where people are, or what is sent to them, may only warn, even one that
/// is asked for by its name.
pub fn discreet<S>(asked: EnvFilter) -> impl Filter<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    asked.and(quiet())
}

fn quiet() -> Targets {
    Targets::new()
        .with_default(LevelFilter::TRACE)
        .with_target("libp2p", LevelFilter::WARN)
        // It warns of knowing nobody, as every relay and node does at first.
        .with_target("libp2p_kad", LevelFilter::ERROR)
        .with_target("quinn", LevelFilter::WARN)
        .with_target("yamux", LevelFilter::WARN)
        .with_target("hickory", LevelFilter::WARN)
        .with_target("multistream_select", LevelFilter::WARN)
        .with_target("sled", LevelFilter::WARN)
        // They print what they send: a code, a number, what signs in.
        .with_target("ureq", LevelFilter::WARN)
        .with_target("lettre", LevelFilter::WARN)
        // It prints what a statement is about: accounts, queues, frames.
        .with_target("tokio_postgres", LevelFilter::WARN)
        // It names the addresses of calls in its errors.
        .with_target("turn", LevelFilter::OFF)
        .with_target("stun", LevelFilter::OFF)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    #[test]
    fn libraries_name_no_address_and_our_own_words_are_free() {
        let quiet = quiet();
        for library in [
            "libp2p_swarm",
            "libp2p_tcp::provider",
            "quinn_proto",
            "hickory_proto",
            "ureq::run",
            "ureq_proto::util",
            "tokio_postgres::query",
            "lettre::transport::smtp::client",
        ] {
            assert!(!quiet.would_enable(library, &Level::INFO), "{library}");
            assert!(quiet.would_enable(library, &Level::WARN), "{library}");
        }
        for library in ["turn::allocation", "turn::server::request", "stun::agent"] {
            assert!(!quiet.would_enable(library, &Level::ERROR), "{library}");
        }
        assert!(!quiet.would_enable("libp2p_kad::behaviour", &Level::WARN));
        assert!(quiet.would_enable("bootstrap::relay", &Level::TRACE));
        assert!(quiet.would_enable("node::net", &Level::TRACE));
    }
}
