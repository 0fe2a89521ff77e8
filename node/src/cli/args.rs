//! The command line's grammar.
//!
//! Where a name, a text, an address or a code may stand there is no `Debug`: nothing prints them.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::config::Overrides;

/// A private messenger that runs on your own computer.
///
/// Without a command Kith starts and opens in your browser.
#[derive(Parser)]
#[command(name = "kith", version = crate::api::build(), disable_help_subcommand = true, propagate_version = false)]
#[command(
    after_help = "Exit codes: 0 done · 1 failed · 2 usage · 3 no node is running · 4 locked or not signed in · \
    5 not found · 6 timed out · 130 interrupted"
)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

/// What every command understands.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct Global {
    /// Which profile; each has its own keys, history and port.
    #[arg(long, global = true, env = "KITH_PROFILE", value_name = "NAME")]
    pub(super) profile: Option<String>,
    /// Where keys and history are, instead of the profile's usual folder.
    #[arg(long, global = true, env = "KITH_DATA_DIR", value_name = "DIR")]
    pub(super) data_dir: Option<PathBuf>,
    /// Print JSON as the API has it; one object a line when there is no end.
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// What the log shows on standard error: error, warn, info, debug, or a filter.
    #[arg(long, global = true, env = "KITH_LOG", value_name = "FILTER")]
    pub(super) log: Option<String>,
}

/// The commands.
#[derive(Subcommand)]
pub(super) enum Command {
    /// Start Kith and open it in the browser.
    Up(Up),
    /// Try Kith with two people and a relay, all on this computer.
    Demo(Demo),
    /// Open the running Kith in the browser.
    Open(Open),
    /// How the node is.
    Status,
    /// Register an e-mail address or a phone number at a relay.
    Register(Register),
    /// Answer the relay with the code it sent.
    Verify {
        /// Six digits, or “-” to read them from standard input.
        code: String,
    },
    /// Who you are.
    Whoami,
    /// Codes that let someone ask to become your contact.
    #[command(subcommand)]
    Invite(Invite),
    /// People who asked to connect, or whom you asked.
    Requests {
        #[command(subcommand)]
        action: Option<RequestAction>,
    },
    /// People you are connected with.
    Contacts,
    /// Compare what you and a contact hold, to know that nobody stands between you.
    Safety(Safety),
    /// Conversations, the latest first.
    Chats,
    /// Send a message.
    Send {
        /// A contact's alias, name, or the beginning of their id.
        to: String,
        /// The text; “-” or nothing reads standard input.
        text: Option<String>,
    },
    /// Show a conversation and mark it read.
    Read(Read),
    /// Show messages as they come, until Ctrl-C.
    Tail {
        /// Start after this event number instead of now.
        #[arg(long, value_name = "SEQ")]
        since: Option<u64>,
    },
    /// Go on from the copy that Kith keeps, when its store is damaged. The damaged one is put aside.
    Recover {
        /// Also when nothing is wrong with the store.
        #[arg(long)]
        force: bool,
    },
    /// Open this computer's copy with its passphrase.
    Unlock,
    /// Close it: no message comes in, and nothing can be read, until it is unlocked.
    Lock,
    /// Set or change the passphrase that opens this computer's copy.
    Passphrase {
        /// Remove it: the copy opens by itself.
        #[arg(long)]
        remove: bool,
    },
    /// Put your account, contacts and messages into a file that your recovery phrase opens.
    Backup {
        /// A new file, or “-” for standard output.
        file: PathBuf,
    },
    /// Show your recovery phrase. Whoever has it is you.
    Phrase,
    /// Make a profile from a backup; its folder must be empty or not there. Reads the recovery phrase from
    /// standard input.
    Restore {
        /// The backup.
        file: PathBuf,
    },
    /// Look for what keeps Kith from working.
    Doctor,
    /// Which version this is.
    Version,
}

/// `kith up`.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct Up {
    /// Do not open the browser.
    #[arg(long, env = "KITH_NO_OPEN")]
    pub(super) no_open: bool,
    /// Serve the web UI from this folder instead of the program's own copy.
    #[arg(long, env = "KITH_UI_DIR", value_name = "DIR")]
    pub(super) ui_dir: Option<PathBuf>,
    /// A relay to register with, as a multiaddr with /p2p/…; may be repeated.
    #[arg(long, env = "KITH_RELAY", value_name = "ADDRESS", value_delimiter = ',')]
    pub(super) relay: Vec<String>,
    /// An address that other nodes may connect to; may be repeated.
    #[arg(long, env = "KITH_LISTEN", value_name = "ADDRESS", value_delimiter = ',')]
    pub(super) listen: Vec<String>,
    /// Run a relay beside this node, for a household or a LAN.
    #[arg(long, env = "KITH_HOST_RELAY")]
    pub(super) host_relay: bool,
    /// Do not look for contacts on the local network.
    #[arg(long, env = "KITH_NO_LAN")]
    pub(super) no_lan: bool,
    /// The port on loopback.
    #[arg(long, env = "KITH_PORT", value_name = "PORT")]
    pub(super) port: Option<u16>,
}

/// `kith demo`.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct Demo {
    /// Keep the demonstration in this folder.
    #[arg(long, value_name = "DIR")]
    pub(super) dir: Option<PathBuf>,
    /// Let the two be contacts from the start.
    #[arg(long)]
    pub(super) connected: bool,
    /// Do not open the browser.
    #[arg(long, env = "KITH_NO_OPEN")]
    pub(super) no_open: bool,
    /// Serve the web UI from this folder instead of the program's own copy.
    #[arg(long, env = "KITH_UI_DIR", value_name = "DIR")]
    pub(super) ui_dir: Option<PathBuf>,
}

/// `kith open`.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(super) struct Open {
    /// Print the link instead. Whoever has it first is signed in.
    #[arg(long)]
    pub(super) print: bool,
}

/// `kith register`.
#[derive(Clone, Args)]
pub(super) struct Register {
    /// An e-mail address, or a phone number with its country code; “-” reads standard input.
    pub(super) identifier: String,
    /// The relay, as a multiaddr with /p2p/…; the suggested one without.
    #[arg(long, value_name = "ADDRESS")]
    pub(super) relay: Option<String>,
}

/// `kith invite`.
#[derive(Subcommand)]
pub(super) enum Invite {
    /// Make a code and show it.
    New(NewInvite),
    /// The codes you made.
    List,
    /// Show an active code again.
    Show {
        /// The invite's id, or its beginning.
        id: String,
        #[command(flatten)]
        drawing: Drawing,
    },
    /// Take a code back.
    Revoke {
        /// The invite's id, or its beginning.
        id: String,
    },
    /// Ask someone to connect, with their code.
    Redeem {
        /// The code's text, a picture of it (.png, .jpg, .webp), or “-” to read the text from standard input.
        code: String,
    },
}

/// `kith invite new`.
#[derive(Clone, Default, Args)]
pub(super) struct NewInvite {
    /// A link to send by other means: a day instead of ten minutes.
    #[arg(long)]
    pub(super) link: bool,
    /// A note for yourself.
    #[arg(long, default_value = "")]
    pub(super) label: String,
    /// How long it works: 30m, 12h, 7d.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(super) expires_in: Option<Duration>,
    #[command(flatten)]
    pub(super) drawing: Drawing,
}

/// `kith safety`.
#[derive(Args)]
pub(super) struct Safety {
    /// A contact's alias, name, or the beginning of their id.
    pub(super) who: String,
    /// You compared the digits: they are the same.
    #[arg(long, conflicts_with_all = ["code", "undo"])]
    pub(super) same: bool,
    /// What a camera read on their screen: a text that begins with KITH:V1/, a picture's file, or “-”.
    #[arg(long, conflicts_with = "undo", value_name = "CODE")]
    pub(super) code: Option<String>,
    /// Take back that they were verified.
    #[arg(long)]
    pub(super) undo: bool,
    #[command(flatten)]
    pub(super) drawing: Drawing,
}

/// How a code is drawn.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(super) struct Drawing {
    /// Draw with “#” and spaces.
    #[arg(long)]
    pub(super) ascii: bool,
    /// Exchange dark and light.
    #[arg(long)]
    pub(super) invert: bool,
}

/// `kith requests`.
#[derive(Subcommand)]
pub(super) enum RequestAction {
    /// Become contacts.
    Accept {
        /// The request's id or its beginning, or the name shown.
        who: String,
    },
    /// Turn them down.
    Reject {
        /// The request's id or its beginning, or the name shown.
        who: String,
    },
    /// Take your own request back.
    Withdraw {
        /// The request's id or its beginning, or the name shown.
        who: String,
    },
}

/// `kith read`.
#[derive(Clone, Args)]
pub(super) struct Read {
    /// A contact's alias, name, or the beginning of their id.
    pub(super) who: String,
    /// How many messages, the latest.
    #[arg(long, short = 'n', default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=200))]
    pub(super) limit: u16,
    /// Do not mark them read.
    #[arg(long)]
    pub(super) keep_unread: bool,
}

impl Global {
    /// As overrides of the configuration.
    pub(super) fn overrides(&self) -> Overrides {
        Overrides {
            profile: self.profile.clone(),
            data_dir: self.data_dir.clone(),
            log: self.log.clone(),
            ..Overrides::default()
        }
    }
}

impl Up {
    /// The same with what `up` adds.
    pub(super) fn overrides(self, global: &Global) -> Overrides {
        Overrides {
            port: self.port,
            relays: self.relay,
            listen: self.listen,
            lan: self.no_lan.then_some(false),
            open_browser: self.no_open.then_some(false),
            ui_dir: self.ui_dir,
            host_relay: self.host_relay.then_some(true),
            ..global.overrides()
        }
    }
}

/// `90`, `90s`, `30m`, `12h` or `7d`.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err("a time is a number with s, m, h or d".to_owned()),
    };
    let number: u64 =
        digits.parse().map_err(|_| "a time is a number with s, m, h or d".to_owned())?;
    number.checked_mul(unit).map(Duration::from_secs).ok_or_else(|| "that is too long".to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_grammar_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_command_is_up_and_json_may_stand_anywhere() {
        assert!(Cli::try_parse_from(["kith"]).unwrap().command.is_none());
        let cli = Cli::try_parse_from(["kith", "chats", "--json", "--profile", "work"]).unwrap();
        assert!(cli.global.json);
        assert_eq!(cli.global.overrides().profile.as_deref(), Some("work"));
    }

    #[test]
    fn no_flag_takes_a_passphrase_or_a_token() {
        let mut names = Vec::new();
        let mut open = vec![Cli::command()];
        while let Some(command) = open.pop() {
            names.extend(command.get_arguments().map(|arg| arg.get_id().to_string()));
            open.extend(command.get_subcommands().cloned());
        }
        assert!(names.contains(&"profile".to_owned()));
        for secret in ["passphrase", "password", "token", "secret", "key"] {
            assert!(!names.iter().any(|name| name.contains(secret)), "{secret}");
        }
    }

    #[test]
    fn a_time_has_a_unit() {
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("30m"), Ok(Duration::from_secs(1_800)));
        assert_eq!(duration("7d"), Ok(Duration::from_secs(604_800)));
        for bad in ["", "m", "1w", "-1h", "1.5h", "99999999999999999999d", "18446744073709551615d"]
        {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
