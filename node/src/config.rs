//! How a node is started: one struct from file, environment and flags.
//!
//! A flag beats `KITH_*` in the environment (both arrive in [`Overrides`]), which beats the
//! profile's file, which beats the defaults. Folders follow the XDG base directories; a profile,
//! or `--data-dir`, isolates everything.
//!
//! # Invariants
//! * An unknown key or an address that is none stops the start.
//! * The same profile in the same folder always has the same port.
//!
//! Example: `config/example.toml`, checked by a test.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// The documented example, which is also the list of defaults.
pub const EXAMPLE: &str = include_str!("config/example.toml");
/// The profile when none is named.
pub const DEFAULT_PROFILE: &str = "default";
/// Ports given to profiles: below what systems hand out by themselves, above what services take.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
/// Longest name of a profile, in bytes.
const PROFILE_BYTES: usize = 32;
/// Largest configuration file, in bytes.
const FILE_BYTES: u64 = 64 * 1024;

/// Everything a node needs to know to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeConfig {
    /// The profile's name.
    pub profile: String,
    /// Keys and history: a folder for its owner alone.
    pub data_dir: PathBuf,
    /// The token file of the running node.
    pub runtime_dir: PathBuf,
    /// The port on loopback; `None` for the profile's own, 0 for any.
    pub port: Option<u16>,
    /// Relays, as multiaddrs with `/p2p/…`.
    pub relays: Vec<String>,
    /// Addresses that other nodes may connect to.
    pub listen: Vec<String>,
    /// Whether to look for contacts on the local network.
    pub lan: bool,
    /// Whether to open the browser.
    pub open_browser: bool,
    /// A folder to serve the web UI from instead of the program's own copy.
    pub ui_dir: Option<PathBuf>,
    /// Whether to run a relay beside the node.
    pub host_relay: bool,
    /// The log's filter.
    pub log: String,
}

impl NodeConfig {
    /// The port to serve the API at.
    #[must_use]
    pub fn api_port(&self) -> u16 {
        self.port.unwrap_or_else(|| own_port(&self.profile, &self.data_dir))
    }
}

/// How a demonstration is started: a relay and two nodes in one folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DemoConfig {
    /// Where it lives; `None` for a temporary folder that goes when it ends.
    pub dir: Option<PathBuf>,
    /// Whether the two are contacts from the start.
    pub connected: bool,
    /// Whether to open two browser windows.
    pub open_browser: bool,
    /// A folder to serve the web UI from instead of the program's own copy.
    pub ui_dir: Option<PathBuf>,
    /// The log's filter.
    pub log: String,
}

/// What flags and environment say; `None` where they say nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--profile`, `KITH_PROFILE`.
    pub profile: Option<String>,
    /// `--data-dir`, `KITH_DATA_DIR`.
    pub data_dir: Option<PathBuf>,
    /// `--port`, `KITH_PORT`.
    pub port: Option<u16>,
    /// `--relay`, `KITH_RELAY`: instead of the file's.
    pub relays: Vec<String>,
    /// `--listen`, `KITH_LISTEN`: instead of the file's.
    pub listen: Vec<String>,
    /// `--no-lan`, `KITH_LAN`.
    pub lan: Option<bool>,
    /// `--no-open`, `KITH_OPEN_BROWSER`.
    pub open_browser: Option<bool>,
    /// `--ui-dir`, `KITH_UI_DIR`.
    pub ui_dir: Option<PathBuf>,
    /// `--host-relay`, `KITH_HOST_RELAY`.
    pub host_relay: Option<bool>,
    /// `--log`, `KITH_LOG`.
    pub log: Option<String>,
}

/// Why a configuration is not usable.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file is there and cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not what it should be.
    #[error("{} is not a configuration of Kith: {message}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Line, column and key.
        message: String,
    },
    /// A profile's name becomes a folder's.
    #[error("a profile's name is 1 to 32 letters, digits, “-” and “_”")]
    Profile,
    /// A relay's address has to name the relay's key.
    #[error(
        "{0:?} is not a relay's address; it looks like /dns4/relay.example.org/udp/4001/quic-v1/p2p/12D3…"
    )]
    Relay(String),
    /// An address to listen on.
    #[error("{0:?} is not an address to listen on; it looks like /ip4/0.0.0.0/udp/0/quic-v1")]
    Listen(String),
    /// Neither `HOME` nor an XDG variable says where files belong.
    #[error("there is no home folder; say where Kith shall live with --data-dir")]
    NoHome,
}

/// The file as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawConfig {
    port: Option<u16>,
    relays: Vec<String>,
    listen: Vec<String>,
    lan: bool,
    open_browser: bool,
    ui_dir: Option<PathBuf>,
    host_relay: bool,
    log: String,
}

impl Default for RawConfig {
    fn default() -> Self {
        let any = [
            "/ip4/0.0.0.0/udp/0/quic-v1",
            "/ip6/::/udp/0/quic-v1",
            "/ip4/0.0.0.0/tcp/0",
            "/ip6/::/tcp/0",
        ];
        Self {
            port: None,
            relays: Vec::new(),
            listen: any.map(str::to_owned).to_vec(),
            lan: true,
            open_browser: true,
            ui_dir: None,
            host_relay: false,
            log: "info".to_owned(),
        }
    }
}

/// Where a profile's files belong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// The profile's name.
    pub profile: String,
    /// Keys and history.
    pub data_dir: PathBuf,
    /// The token file.
    pub runtime_dir: PathBuf,
    /// The configuration file, which may be absent.
    pub file: PathBuf,
}

impl Places {
    /// For what flags and this process's environment say.
    ///
    /// # Errors
    /// When the profile's name is not one, or there is no home folder.
    pub fn of(overrides: &Overrides) -> Result<Self, ConfigError> {
        Self::within(overrides, |name| std::env::var_os(name).map(PathBuf::from))
    }

    fn within(
        overrides: &Overrides,
        env: impl Fn(&str) -> Option<PathBuf>,
    ) -> Result<Self, ConfigError> {
        let profile = overrides.profile.clone().unwrap_or_else(|| DEFAULT_PROFILE.to_owned());
        if !is_profile(&profile) {
            return Err(ConfigError::Profile);
        }
        // A relative XDG path is to be ignored, says its specification.
        let xdg = |name: &str| env(name).filter(|path| path.is_absolute());
        let home =
            |rest: &str| env("HOME").filter(|path| path.is_absolute()).map(|home| home.join(rest));
        let name = format!("{profile}.toml");
        if let Some(data_dir) = &overrides.data_dir {
            let (runtime_dir, file) = (data_dir.join("run"), data_dir.join(name));
            return Ok(Self { profile, data_dir: data_dir.clone(), runtime_dir, file });
        }
        let data =
            xdg("XDG_DATA_HOME").or_else(|| home(".local/share")).ok_or(ConfigError::NoHome)?;
        let config =
            xdg("XDG_CONFIG_HOME").or_else(|| home(".config")).ok_or(ConfigError::NoHome)?;
        let data_dir = data.join("kith").join(&profile);
        let runtime = xdg("XDG_RUNTIME_DIR").map(|run| run.join("kith").join(&profile));
        let runtime_dir = runtime.unwrap_or_else(|| data_dir.join("run"));
        Ok(Self { profile, data_dir, runtime_dir, file: config.join("kith").join(name) })
    }
}

/// Reads the profile's file, if there is one, and lays the overrides over it.
///
/// # Errors
/// [`ConfigError`]: everything that is wrong is said before anything is started.
pub fn load(overrides: Overrides) -> Result<NodeConfig, ConfigError> {
    let places = Places::of(&overrides)?;
    let raw = match read(&places.file)? {
        Some(text) => parse(&text)
            .map_err(|message| ConfigError::Parse { path: places.file.clone(), message })?,
        None => RawConfig::default(),
    };
    combine(places, raw, overrides)
}

fn combine(places: Places, raw: RawConfig, over: Overrides) -> Result<NodeConfig, ConfigError> {
    let config = NodeConfig {
        profile: places.profile,
        data_dir: places.data_dir,
        runtime_dir: places.runtime_dir,
        port: over.port.or(raw.port),
        relays: if over.relays.is_empty() { raw.relays } else { over.relays },
        listen: if over.listen.is_empty() { raw.listen } else { over.listen },
        lan: over.lan.unwrap_or(raw.lan),
        open_browser: over.open_browser.unwrap_or(raw.open_browser),
        ui_dir: over.ui_dir.or(raw.ui_dir),
        host_relay: over.host_relay.unwrap_or(raw.host_relay),
        log: over.log.unwrap_or(raw.log),
    };
    if let Some(bad) = config.relays.iter().find(|relay| !is_relay(relay)) {
        return Err(ConfigError::Relay(bad.clone()));
    }
    if let Some(bad) = config.listen.iter().find(|address| address.parse::<Multiaddr>().is_err()) {
        return Err(ConfigError::Listen(bad.clone()));
    }
    Ok(config)
}

fn parse(text: &str) -> Result<RawConfig, String> {
    toml::from_str(text).map_err(|error| error.to_string())
}

fn read(path: &Path) -> Result<Option<String>, ConfigError> {
    let failed = |source| ConfigError::Read { path: path.to_owned(), source };
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error)),
        Ok(data) if data.len() > FILE_BYTES => {
            Err(failed(io::Error::other("it is larger than 64 KiB")))
        }
        Ok(_) => fs::read_to_string(path).map(Some).map_err(failed),
    }
}

fn is_profile(name: &str) -> bool {
    (1..=PROFILE_BYTES).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// A multiaddr that ends in the relay's own key.
fn is_relay(address: &str) -> bool {
    address.parse::<Multiaddr>().is_ok_and(|address| {
        address.iter().count() > 1 && matches!(address.iter().last(), Some(Protocol::P2p(_)))
    })
}

/// A profile's own port. The folder counts as well, so that two people on one computer do not meet.
fn own_port(profile: &str, data_dir: &Path) -> u16 {
    let digest = Sha256::new()
        .chain_update(b"kith port\0")
        .chain_update(profile.as_bytes())
        .chain_update([0])
        .chain_update(data_dir.as_os_str().as_encoded_bytes())
        .finalize();
    let number = u16::from_be_bytes([digest[0], digest[1]]);
    PORTS.start + number % (PORTS.end - PORTS.start)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const RELAY: &str =
        "/ip4/192.0.2.1/udp/4001/quic-v1/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";

    fn places() -> Places {
        let env = |name: &str| (name == "HOME").then(|| PathBuf::from("/home/ada"));
        Places::within(&Overrides::default(), env).unwrap()
    }

    #[test]
    fn the_documented_example_is_the_list_of_defaults() {
        assert_eq!(parse(EXAMPLE).unwrap(), RawConfig::default());
        let mentions =
            |key: &str| EXAMPLE.lines().any(|line| line.trim_start_matches("# ").starts_with(key));
        for key in
            ["port =", "relays =", "listen =", "lan =", "open_browser =", "host_relay =", "log ="]
        {
            assert!(mentions(key), "{key} is not documented");
        }
    }

    #[test]
    fn a_flag_beats_the_file_and_the_file_beats_the_default() {
        let raw = parse("port = 21000\nlan = false\n").unwrap();
        let over = Overrides { port: Some(22_000), ..Overrides::default() };
        let config = combine(places(), raw.clone(), over).unwrap();
        assert_eq!((config.port, config.lan, config.open_browser), (Some(22_000), false, true));
        let config =
            combine(places(), raw, Overrides { lan: Some(true), ..Overrides::default() }).unwrap();
        assert_eq!((config.api_port(), config.lan), (21_000, true));
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_it() {
        assert!(parse("prot = 21000\n").unwrap_err().contains("prot"));
        assert!(parse("port = 70000\n").is_err());
        assert!(parse("lan = \"yes\"\n").is_err());
    }

    #[test]
    fn a_relay_needs_its_key_and_an_address() {
        let with = |relay: &str| {
            let over = Overrides { relays: vec![relay.to_owned()], ..Overrides::default() };
            combine(places(), RawConfig::default(), over)
        };
        assert!(with(RELAY).is_ok());
        for bad in [
            "",
            "relay.example.org",
            "/ip4/192.0.2.1/udp/4001/quic-v1",
            "/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN",
        ] {
            assert!(matches!(with(bad), Err(ConfigError::Relay(_))), "{bad}");
        }
        let over = Overrides { listen: vec!["0.0.0.0:80".to_owned()], ..Overrides::default() };
        assert!(matches!(
            combine(places(), RawConfig::default(), over),
            Err(ConfigError::Listen(_))
        ));
    }

    #[test]
    fn a_port_is_stable_and_differs_by_profile_and_folder() {
        let port = own_port("default", Path::new("/home/ada/.local/share/kith/default"));
        assert_eq!(port, own_port("default", Path::new("/home/ada/.local/share/kith/default")));
        assert_ne!(port, own_port("work", Path::new("/home/ada/.local/share/kith/work")));
        assert_ne!(port, own_port("default", Path::new("/home/ben/.local/share/kith/default")));
        assert!(PORTS.contains(&port));
    }

    #[test]
    fn folders_follow_xdg_and_a_data_dir_holds_everything() {
        assert_eq!(places().data_dir, Path::new("/home/ada/.local/share/kith/default"));
        assert_eq!(places().file, Path::new("/home/ada/.config/kith/default.toml"));
        assert_eq!(places().runtime_dir, Path::new("/home/ada/.local/share/kith/default/run"));
        let env = |name: &str| match name {
            "HOME" => Some(PathBuf::from("/home/ada")),
            "XDG_RUNTIME_DIR" => Some(PathBuf::from("/run/user/1000")),
            "XDG_DATA_HOME" => Some(PathBuf::from("relative")),
            _ => None,
        };
        let work = Overrides { profile: Some("work".into()), ..Overrides::default() };
        let places = Places::within(&work, env).unwrap();
        assert_eq!(places.runtime_dir, Path::new("/run/user/1000/kith/work"));
        assert_eq!(places.data_dir, Path::new("/home/ada/.local/share/kith/work"));
        let here = Overrides { data_dir: Some("/srv/k".into()), ..Overrides::default() };
        let places = Places::within(&here, |_| None).unwrap();
        assert_eq!(places.runtime_dir, Path::new("/srv/k/run"));
        assert!(matches!(
            Places::within(&Overrides::default(), |_| None),
            Err(ConfigError::NoHome)
        ));
    }

    #[test]
    fn a_profile_is_a_plain_name() {
        for bad in ["", "..", "a/b", "a b", &"x".repeat(33)] {
            let over = Overrides { profile: Some(bad.to_owned()), ..Overrides::default() };
            assert!(matches!(Places::within(&over, |_| None), Err(ConfigError::Profile)), "{bad}");
        }
    }
}
