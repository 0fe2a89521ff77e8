//! `kith-relay admin`: the command line's side of the operator's interface.
//!
//! It finds the relay by the token file in its data directory, so it runs where the relay runs, as the same user.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bootstrap::{RelayError, admin, token_file};
use clap::{Args, Subcommand};
use protocol::ids::AccountId;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use ureq::http::Method;

/// For a whole answer; erasing a full account takes a while.
const ANSWER: Duration = Duration::from_secs(120);
/// Longest answer in bytes: a page of accounts, with room to spare.
const MAX_ANSWER: u64 = 4 * 1024 * 1024;
/// Longest address that is read from standard input, in bytes.
const MAX_INPUT: u64 = 4 * 1024;

/// What an operator asks of a running relay.
#[derive(Debug, Args)]
pub(crate) struct Admin {
    /// Where identity and store of the relay are
    #[arg(long, env = "KITH_RELAY_DATA_DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Print the answers as the relay gives them
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// How it runs
    Status,
    /// Codes that did not leave, and why
    DeadLetters,
    /// All accounts, by their keys
    Accounts,
    /// The account of a person
    Show(Who),
    /// Serve an account no more, until it is restored
    Suspend(Who),
    /// Serve a suspended account again
    Restore(Who),
    /// Forget an account, its queues and what waits in them
    Erase {
        #[command(flatten)]
        who: Who,
        /// Really: it cannot be undone
        #[arg(long)]
        yes: bool,
    },
}

/// Whose account.
#[derive(Debug, Args)]
struct Who {
    /// Its key, the address it was registered with, or “-” to read one of the two from standard input
    account: String,
}

impl Admin {
    /// Asks the relay of this data directory, and words its answer.
    pub(crate) fn ask(&self, data_dir: &Path) -> Result<String, RelayError> {
        let relay = Relay::find(data_dir)?;
        let answer = self.what.ask(&relay)?;
        match self.json {
            true => Ok(answer.to_string()),
            false => Ok(self.what.words(&answer)),
        }
    }
}

impl What {
    fn ask(&self, relay: &Relay) -> Result<Value, RelayError> {
        let of = |account: &str| format!("/v1/accounts/{account}");
        let each = |accounts: Vec<String>, ask: &dyn Fn(&str) -> Result<Value, RelayError>| {
            let told: Result<Vec<_>, _> = accounts.iter().map(|account| ask(account)).collect();
            told.map(|accounts| json!({ "accounts": accounts }))
        };
        let suspension = |who: &Who, method: &Method| {
            // Who had the address before is not admitted anyway.
            let first = who.accounts(relay)?.into_iter().take(1).collect();
            each(first, &|account| relay.call(method, &format!("{}/suspension", of(account)), None))
        };
        match self {
            Self::Status => relay.call(&Method::GET, "/v1/status", None),
            Self::DeadLetters => relay.call(&Method::GET, "/v1/dead-letters", None),
            Self::Accounts => relay.accounts(),
            Self::Show(who) => {
                each(who.accounts(relay)?, &|account| relay.call(&Method::GET, &of(account), None))
            }
            Self::Suspend(who) => suspension(who, &Method::PUT),
            Self::Restore(who) => suspension(who, &Method::DELETE),
            Self::Erase { who, yes } => {
                let accounts = who.accounts(relay)?;
                if !yes {
                    let why = format!(
                        "this forgets {}, with its queues and what waits in them; if you mean it, say --yes",
                        accounts.join(" and ")
                    );
                    return Err(RelayError::Asked(why));
                }
                each(accounts, &|account| {
                    relay.call(&Method::DELETE, &of(account), None)?;
                    Ok(json!({ "account": account, "standing": "erased" }))
                })
            }
        }
    }

    fn words(&self, answer: &Value) -> String {
        match self {
            Self::Status => status(answer),
            Self::DeadLetters => dead_letters(answer),
            Self::Accounts => list(answer),
            Self::Show(_) | Self::Suspend(_) | Self::Restore(_) | Self::Erase { .. } => {
                let all = answer.get("accounts").and_then(Value::as_array);
                let all: Vec<_> = all.into_iter().flatten().map(account).collect();
                all.join("\n\n")
            }
        }
    }
}

impl Who {
    /// The account of that key, or those of that address: the one that it admits, then those that had it before.
    fn accounts(&self, relay: &Relay) -> Result<Vec<String>, RelayError> {
        let mut given = self.account.clone();
        if given == "-" {
            given.clear();
            let read = std::io::stdin().lock().take(MAX_INPUT).read_to_string(&mut given);
            read.map_err(|error| RelayError::Asked(format!("standard input: {error}")))?;
        }
        let given = given.trim();
        if !given.contains('@') && !given.starts_with('+') {
            let account: Result<AccountId, _> = given.parse();
            return account.map(|account| vec![account.to_string()]).map_err(|_| {
                let why = "that is neither an account (64 hexadecimal digits) nor an address";
                RelayError::Asked(why.to_owned())
            });
        }
        let wanted = json!({ "identifier": given });
        let found = relay.call(&Method::POST, "/v1/accounts/find", Some(wanted))?;
        let found = found.get("accounts").and_then(Value::as_array);
        Ok(found.into_iter().flatten().map(|each| text(each, "account").to_owned()).collect())
    }
}

/// A relay that runs.
struct Relay {
    agent: ureq::Agent,
    base: String,
    authorization: zeroize::Zeroizing<String>,
}

impl Relay {
    fn find(data_dir: &Path) -> Result<Self, RelayError> {
        let folder = data_dir.join(admin::RUN_FOLDER);
        let found = token_file::read(&folder, admin::TOKEN_FILES).ok_or_else(|| {
            RelayError::Asked(format!(
                "no relay with an operator's interface runs here ({} has no token that you may read); set \
                 admin = \"127.0.0.1:4703\" in its configuration, and run this as its user",
                folder.display()
            ))
        })?;
        let (base, token) = found;
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(ANSWER))
            .http_status_as_error(false)
            .proxy(None)
            .build()
            .into();
        let authorization = zeroize::Zeroizing::new(format!("Bearer {}", *token));
        Ok(Self { agent, base, authorization })
    }

    fn call(&self, method: &Method, path: &str, body: Option<Value>) -> Result<Value, RelayError> {
        let failed = |why: String| RelayError::Asked(why);
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header("Authorization", self.authorization.as_str())
            .header("Content-Type", "application/json")
            .body(body.map(|body| body.to_string()).unwrap_or_default())
            .map_err(|error| failed(error.to_string()))?;
        let mut answer = self.agent.run(request).map_err(|error| {
            failed(format!(
                "the relay does not answer at {} ({error}); does it still run?",
                self.base
            ))
        })?;
        let status = answer.status();
        let text = answer.body_mut().with_config().limit(MAX_ANSWER).read_to_string();
        let text = text.map_err(|error| failed(error.to_string()))?;
        let told: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        if status.is_success() {
            return Ok(told);
        }
        match told.get("message").and_then(Value::as_str) {
            Some(message) => Err(failed(message.to_owned())),
            None => Err(failed(format!("the relay answered {status}"))),
        }
    }

    /// All pages as one.
    fn accounts(&self) -> Result<Value, RelayError> {
        let (mut all, mut path) = (Vec::new(), "/v1/accounts".to_owned());
        loop {
            let mut page = self.call(&Method::GET, &path, None)?;
            if let Some(Value::Array(accounts)) = page.get_mut("accounts").map(Value::take) {
                all.extend(accounts);
            }
            match page.get("next").and_then(Value::as_str) {
                Some(next) => path = format!("/v1/accounts?after={next}"),
                None => return Ok(json!({ "accounts": all })),
            }
        }
    }
}

fn text<'a>(answer: &'a Value, key: &str) -> &'a str {
    answer.get(key).and_then(Value::as_str).unwrap_or("?")
}

fn number(answer: &Value, key: &str) -> u64 {
    answer.get(key).and_then(Value::as_u64).unwrap_or(0)
}

/// A moment in seconds since 1970 as a date.
fn date(answer: &Value, key: &str) -> String {
    let seconds = i64::try_from(number(answer, key)).unwrap_or(i64::MAX);
    let moment = OffsetDateTime::from_unix_timestamp(seconds).ok();
    moment.and_then(|moment| moment.format(&Rfc3339).ok()).unwrap_or_else(|| "?".to_owned())
}

fn status(answer: &Value) -> String {
    let running = number(answer, "running_seconds");
    let (days, hours, minutes) = (running / 86_400, running / 3_600 % 24, running / 60 % 60);
    let counts = ["connections", "requests", "refused", "reservations", "circuits", "dead_letters"];
    let mut lines = vec![
        format!("name          {}", text(answer, "name")),
        format!("relay         {}", text(answer, "relay")),
        format!("version       {}", text(answer, "version")),
        format!("running       {days} d {hours} h {minutes} min"),
    ];
    lines.extend(counts.map(|key| format!("{:13} {}", key.replace('_', " "), number(answer, key))));
    lines.join("\n")
}

fn dead_letters(answer: &Value) -> String {
    let Some(kept) = answer.get("kept").and_then(Value::as_array).filter(|kept| !kept.is_empty())
    else {
        return "Every code has left since the relay started.".to_owned();
    };
    let line = |letter: &Value| {
        let (via, tries) = (text(letter, "via"), number(letter, "tries"));
        format!("{}  {via:7}  {tries} tries  {}", date(letter, "at"), text(letter, "why"))
    };
    let mut lines: Vec<_> = kept.iter().map(line).collect();
    lines.push(format!("{} since the relay started, {} shown", number(answer, "ever"), kept.len()));
    lines.join("\n")
}

fn list(answer: &Value) -> String {
    let Some(all) = answer.get("accounts").and_then(Value::as_array).filter(|all| !all.is_empty())
    else {
        return "Nobody has registered yet.".to_owned();
    };
    let line = |each: &Value| {
        format!(
            "{}  {:9}  {}",
            text(each, "account"),
            text(each, "standing"),
            date(each, "renewed")
        )
    };
    let mut lines = vec![format!("{:64}  {:9}  last renewed", "account", "standing")];
    lines.extend(all.iter().map(line));
    lines.push(format!("{} accounts", all.len()));
    lines.join("\n")
}

fn account(answer: &Value) -> String {
    let mut lines = vec![
        format!("account   {}", text(answer, "account")),
        format!("standing  {}", text(answer, "standing")),
    ];
    for key in ["created", "renewed", "displaced"] {
        if answer.get(key).is_some() {
            lines.push(format!("{key:9} {}", date(answer, key)));
        }
    }
    lines.join("\n")
}
