//! What the file may say, and that the page about it says the same.

use super::*;

/// `docs/configuration.md`, between its marks.
fn table() -> String {
    let mut text = String::from(
        "| option | default | takes | environment | meaning | who controls it gains |\n|---|---|---|---|---|---|\n",
    );
    let config = Config::default();
    for row in OPTIONS {
        let env = row.env.map(|e| format!("`{e}`")).unwrap_or_default();
        text.push_str(&format!(
            "| `{}` | `{}` | {} | {env} | {} | {} |\n",
            row.name,
            config.value(row.name),
            row.range,
            row.meaning,
            row.attacker,
        ));
    }
    text
}

/// The page about configuration has this table.
fn is_on_the_page(table: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let page = std::fs::read_to_string(path).unwrap();
    assert!(page.contains(table), "paste this into docs/configuration.md:\n\n{table}");
}

/// What is said of a configuration that cannot be used, and the remedy.
pub(super) fn refused(text: &str) -> String {
    let config: Config = toml::from_str(text).unwrap();
    let error = config.check().unwrap_err();
    assert_eq!(error.code, "config-out-of-range");
    format!("{} {}", error.message, error.remedy)
}

/// The page has a table of these rows, one for each of `members`.
pub(super) fn documents(rows: &[OptionRow], members: &Object) {
    let mut table =
        String::from("| member | takes | meaning | who controls it gains |\n|---|---|---|---|\n");
    for OptionRow { name, range, meaning, attacker, .. } in rows {
        table.push_str(&format!("| `{name}` | {range} | {meaning} | {attacker} |\n"));
    }
    is_on_the_page(&table);
    let documented: Vec<&str> = rows.iter().map(|row| row.name).collect();
    assert_eq!(members.iter().map(|(name, _)| name).collect::<Vec<_>>(), documented);
}

#[test]
fn the_page_about_configuration_says_what_the_table_of_options_says() {
    is_on_the_page(&table());
}

#[test]
fn the_written_file_reads_back_as_the_same_configuration() {
    let config = Config { public_url: "http://localhost:7417".into(), ..Config::default() };
    let read: Config = toml::from_str(&config.to_toml()).unwrap();
    assert_eq!(read, config);
}

/// What the pages tell to add at the end of the file, as they write it.
#[test]
fn the_tables_of_the_pages_can_be_pasted_into_the_file_that_init_writes() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let config = Config { public_url: "http://localhost:7417".into(), ..Config::default() };
    let mut pasted = 0;
    for page in std::fs::read_dir(docs).unwrap() {
        let text = std::fs::read_to_string(page.unwrap().path()).unwrap_or_default();
        for block in text.split("```toml\n").skip(1) {
            let block = block.split("```").next().unwrap();
            let read = toml::from_str::<Config>(&format!("{}\n{block}", config.to_toml()));
            assert!(read.is_ok(), "{block}: {:?}", read.err());
            pasted += 1;
        }
    }
    assert!(pasted >= 2, "{pasted}");
}

#[test]
fn every_option_is_documented_and_every_documented_option_exists() {
    let config = Config::default();
    for row in OPTIONS {
        assert_ne!(config.value(row.name), Json::Null, "{}", row.name);
    }
    let written = config.to_toml();
    assert_eq!(written.matches(" = ").count(), OPTIONS.len());
}

#[test]
fn values_out_of_range_are_refused_by_name() {
    let bad = |c: Config| c.check().unwrap_err().message;
    assert!(bad(Config { staleness_seconds: 61, ..Config::default() }).contains("staleness"));
    assert!(bad(Config { listen: "here".into(), ..Config::default() }).contains("listen"));
    for url in ["http://example.com", "ftp://x", "https://a b", "https://x/path"] {
        let config = Config { public_url: url.into(), ..Config::default() };
        assert!(bad(config).contains("public_url"), "{url}");
    }
}

#[test]
fn a_listener_that_agents_miss_or_others_reach_is_doubted() {
    let codes = |public_url: &str, address: &str| -> Vec<String> {
        let config = Config { public_url: public_url.into(), ..Config::default() };
        let doubts = config.doubts(address.parse().unwrap());
        assert!(doubts.iter().all(|d| !d.remedy.is_empty()));
        doubts.into_iter().map(|d| d.code).collect()
    };
    assert!(codes("http://localhost:7417", "127.0.0.1:7417").is_empty());
    assert!(codes("", "[::1]:7417").is_empty());
    assert!(codes("https://gate.example.com", "127.0.0.1:9000").is_empty());
    assert_eq!(codes("http://localhost:7417", "127.0.0.1:9000"), ["public-url-port"]);
    assert_eq!(codes("http://127.0.0.1", "127.0.0.1:9000"), ["public-url-port"]);
    let url = "https://gate.example.com";
    let proxied = Config { public_url: url.into(), behind_proxy: true, ..Config::default() };
    let doubts = |address: &str| proxied.doubts(address.parse().unwrap());
    assert_eq!(doubts("0.0.0.0:443")[0].code, "listening-in-the-clear");
    assert!(doubts("127.0.0.1:443").is_empty());
}

fn with_tls(public_url: &str, certificate: &str, key: &str) -> Config {
    let tls = TlsOptions { certificate: certificate.into(), key: key.into() };
    Config { public_url: public_url.into(), tls, ..Config::default() }
}

#[test]
fn plain_http_is_for_loopback_unless_a_proxy_is_answered_for() {
    let check = |config: &Config, address: &str| config.check_address(address.parse().unwrap());
    let plain = Config::default();
    for near in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1"] {
        assert!(check(&plain, near).is_ok(), "{near}");
    }
    let url = "https://gate.example.com";
    let tls = with_tls(url, "c.pem", "k.pem");
    let proxied = Config { public_url: url.into(), behind_proxy: true, ..Config::default() };
    for far in ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "[::ffff:127.0.0.1]:1", "192.0.2.1:1"] {
        assert_eq!(check(&plain, far).unwrap_err().code, "listening-in-the-clear", "{far}");
        assert!(check(&tls, far).is_ok() && check(&proxied, far).is_ok(), "{far}");
    }
}

#[test]
fn tls_and_a_proxy_need_an_https_name_and_tls_both_its_files() {
    let url = "https://gate.example.com";
    assert!(with_tls(url, "c.pem", "k.pem").check().is_ok());
    let refused = |config: Config, name: &str| {
        let message = config.check().unwrap_err().message;
        assert!(message.contains(&format!("`{name}`")), "{message}");
    };
    for insecure in ["", "http://localhost:7417"] {
        refused(with_tls(insecure, "c.pem", "k.pem"), "tls.certificate");
        let public_url = insecure.into();
        refused(Config { public_url, behind_proxy: true, ..Config::default() }, "behind_proxy");
    }
    refused(with_tls(url, "c.pem", ""), "tls.certificate");
    refused(with_tls(url, "", "k.pem"), "tls.key");
}

#[test]
fn documents_of_clients_on_this_machine_are_for_an_authority_on_localhost_that_says_so() {
    let with = |public_url: &str, loopback: bool| Config {
        public_url: public_url.into(),
        client_documents: ClientDocuments { loopback },
        ..Config::default()
    };
    assert!(!Config::default().client_documents.loopback);
    assert!(with("http://localhost:7417", true).check().is_ok());
    assert!(with("https://gate.example.com", false).check().is_ok());
    let refused = with("https://gate.example.com", true).check().unwrap_err();
    assert!(refused.message.contains("client_documents.loopback"), "{}", refused.message);
}

#[test]
fn tls_may_be_written_as_a_table() {
    let text = "public_url = \"https://a.example\"\n[tls]\ncertificate = \"c\"\nkey = \"k\"\n";
    let config: Config = toml::from_str(text).unwrap();
    assert_eq!(config, with_tls("https://a.example", "c", "k"));
    assert!(toml::from_str::<Config>("[tls]\ncertificat = \"c\"\n").is_err());
}

#[test]
fn the_host_of_a_public_url_is_its_name_alone() {
    for url in ["https://a.example", "https://a.example:8443", "https://a.example/"] {
        assert_eq!(host_of(url), "a.example");
    }
}

/// What loading a data dir with this file says.
fn told(text: &[u8]) -> CliError {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(FILE), text).unwrap();
    let mut error = Config::load(dir.path()).unwrap_err();
    // The folder has another name every time.
    error.message = error.message.replace(&dir.path().display().to_string(), "DIR");
    error
}

#[test]
fn what_is_wrong_with_the_file_is_said_with_file_line_column_and_a_remedy() {
    let provider =
        "[[provider]]\nname = \"a\"\nissuer = \"https://a.example\"\nclient_id = \"b\"\n";
    let alike = format!("{provider}\n{provider}");
    for (text, code, place, said, remedy) in [
        (
            "org = \"a\"\norg = \"b\"\n",
            "config-malformed",
            "2, column 1",
            "`org` stands twice, first in line 1",
            "once",
        ),
        (
            "[tls]\nkey = \"a\"\n[tls]\n",
            "config-malformed",
            "3, column 2",
            "`tls` stands twice, first in line 1",
            "once",
        ),
        (
            "org = \"a\"\nmetrics.listen = \"\"\n\n[metrics]\nlisten = \"\"\n",
            "config-malformed",
            "4, column 2",
            "`metrics` stands twice, first in line 2",
            "once",
        ),
        (
            "[[webhook]]\nname = \"a\"\n[[webhook]]\nname = \"b\"\nname = \"c\"\n",
            "config-malformed",
            "5, column 1",
            "`name` stands twice, first in line 4",
            "once",
        ),
        ("a = 1\n", "config-malformed", "1, column 1", "unknown field `a`", "mend this line"),
        ("\n  root_minutes = \"x\"\n", "config-malformed", "2, column 18", "invalid type", "mend"),
        ("org = \"é\"  x\n", "config-malformed", "1, column 12", "", "mend this line"),
        ("listen = \n", "config-malformed", "1, column 10", "", "mend this line"),
        (
            "org = \"a\"\nroot_minutes = 0\n",
            "config-out-of-range",
            "2, column 1",
            "`root_minutes`",
            "1440",
        ),
        ("tls.key = \"k\"\n", "config-out-of-range", "1, column 5", "`tls.key`", "0600"),
        (
            "[serves]\n\"a b\" = []\n",
            "config-out-of-range",
            "1, column 2",
            "`serves`",
            "tool servers",
        ),
        (&alike, "config-out-of-range", "7, column 1", "alike", "of its own"),
        (
            &provider.replace("https", "ftp"),
            "config-out-of-range",
            "3, column 1",
            "`issuer`",
            "https",
        ),
    ] {
        let error = told(text.as_bytes());
        assert_eq!(error.code, code, "{text}: {}", error.message);
        let place = format!("`DIR/bailiwick.toml`, line {place}: ");
        assert!(error.message.starts_with(&place), "{text}: {}", error.message);
        assert!(error.message.contains(said), "{text}: {}", error.message);
        assert!(error.remedy.contains(remedy), "{text}: {}", error.remedy);
        assert!(!error.message.contains('\n'), "{text}: {}", error.message);
    }
    let error = told(b"org = \"a\"\nlog = \"\xff\"\n");
    assert!(error.message.contains("line 2, column 8: the file is not UTF-8"), "{}", error.message);
    // Of two options that do not fit together, the first.
    let error = told(b"tls.certificate = \"c\"\ntls.key = \"k\"\n");
    assert!(
        error.message.contains("line 1, column 5: option `tls.certificate`"),
        "{}",
        error.message
    );
}
