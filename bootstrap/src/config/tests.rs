use super::*;

fn parsed(text: &str) -> Result<Config, ConfigError> {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("relay.toml");
    std::fs::write(&path, text).expect("a file");
    Config::load(Some(&path), Overrides::default())
}

#[test]
fn the_example_file_parses_and_says_the_defaults() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/relay.toml");
    let config = Config::load(Some(&example), Overrides::default()).expect("valid");
    let defaults = Config {
        name: config.name.clone(),
        health: config.health,
        admin: config.admin,
        network: Network {
            external_addresses: config.network.external_addresses.clone(),
            ..Network::default()
        },
        ..Config::default()
    };
    assert_eq!(config, defaults, "the example shows what is so anyway");
}

#[test]
fn the_example_shows_the_defaults_of_calls_as_a_comment() {
    let example = include_str!("../../../deploy/relay.toml");
    let (_, section) = example.split_once("# [turn]\n").expect("a section");
    let lines: String = section
        .lines()
        .map_while(|line| line.strip_prefix("# "))
        .map(|line| format!("{line}\n"))
        .collect();
    let turn = parsed(&format!("[turn]\n{lines}")).expect("valid").turn.expect("a section");
    assert_eq!(turn, Turn { external_ip: turn.external_ip, ..Turn::default() });
}

#[test]
fn an_unknown_key_is_refused_in_every_section() {
    for text in ["colour = 1", "[network]\nlisen = []", "[rates]\npeer = {burst=1,refill_ms=1,x=1}"]
    {
        let error = parsed(text).expect_err("unknown key");
        assert!(matches!(error, ConfigError::Invalid { .. }), "{error}");
    }
}

#[test]
fn what_cannot_work_is_refused_with_a_sentence() {
    for text in [
        "name = ''",
        "admin = '0.0.0.0:4703'",
        "[postgres]\nhost = 'database.example.org'",
        "[postgres]\nuser = ''",
        "[registration]\nanswered_percent = 101",
        "data_dir = ''",
        "[network]\nlisten = []",
        "[network]\nrelays = ['/ip4/127.0.0.1/tcp/1']",
        "[network]\nmax_connections = 0",
        "[circuits]\ncircuit_bytes = 0",
        "[registration]\ncredential_days = 8",
        "[registration]\nemail = 'off'\nphone = 'off'",
        "[registration]\nemail = 'smtp'",
        "[registration]\nphone = 'sms'",
        "[registration]\nphone = 'sms'\n[registration.sms]\nurl = 'http://sms.example.org'\nuser = 'a'\nfrom = 'b'",
        "[registration.smtp]\nhost = 'mail.example.org'\nencryption = 'none'",
        "[mailbox]\ndefault_ttl_seconds = 0",
        "[rates]\npeer = { burst = 1, refill_ms = 1 }",
        "[blobs]\nblob_bytes = 0",
        "[blobs]\nblob_bytes = 1073741825",
        "[blobs]\ndefault_ttl_seconds = 0",
        "[blobs]\nmax_ttl_seconds = 1",
        "[postgres]",
        "[turn]",
        "[turn]\nexternal_ip = '2001:db8::1'",
        "[turn]\nexternal_ip = '192.0.2.1'\nfirst_port = 0",
        "[turn]\nexternal_ip = '192.0.2.1'\nfirst_port = 60000\nlast_port = 50000",
        "[turn]\nservers = ['turn:turn.example.org']",
        "[turn]\nsecret_file = 'secret'\nexternal_ip = '192.0.2.1'",
        "[turn]\nservers = ['https://turn.example.org']\nsecret_file = 'secret'",
        "[turn]\nexternal_ip = '192.0.2.1'\ncredential_seconds = 5",
        "[turn]\nexternal_ip = '192.0.2.1'\naccount_bytes_per_second = 0",
    ] {
        let error = parsed(text).expect_err(text);
        assert!(matches!(error, ConfigError::Unusable(_)), "{text}: {error}");
    }
}

#[test]
fn flags_go_over_the_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("relay.toml");
    std::fs::write(&path, "name = 'file'\ndata_dir = 'here'").expect("a file");
    let overrides = Overrides { name: Some("flag".into()), ..Overrides::default() };
    let config = Config::load(Some(&path), overrides).expect("valid");
    assert_eq!((config.name.as_str(), config.data_dir), ("flag", "here".into()));
}

#[test]
fn the_development_preset_is_valid_and_local() {
    let config = Config::development("somewhere");
    assert!(config.validate().is_ok());
    assert!(config.network.listen.iter().all(|at| at.to_string().starts_with("/ip4/127.0.0.1/")));
}
