//! The built program: what it prints, on which stream, and how it exits.
//!
//! `SNAPSHOTS=overwrite cargo test --test it cli` rewrites the expected texts below; read the change before committing it.
#![expect(clippy::needless_raw_string_hashes, reason = "snapbox writes them so")]

use snapbox::{assert_data_eq, str};

use crate::harness::{Setup, World};

mod clock;
mod control_plane;
mod doctor;
mod drains;
mod ends;
mod fleet;
mod logins;
mod manager;
pub(crate) mod program;
mod replay;
mod upgrade;
mod watching;

use program::Place;

/// A configuration that compiles, in front of nothing.
pub(crate) const CONFIG: &str = "\
listeners: [ { address: '127.0.0.1:0' } ]
admin: { address: '127.0.0.1:0' }
usage: { path: 'usage.db' }
clients: [ { name: desk, keys: ['${env:KEY}'] } ]
resources:
  - { name: a, region: swedencentral, endpoint: 'http://127.0.0.1:9', credential: { api_key: '${env:KEY}' },
      deployments: [ { name: ft, sku: Standard, capacity: 10 } ] }
pools: [ { name: ft, tiers: [[a/ft]] } ]
routes: [ { name: bot, pool: ft } ]
";

#[tokio::test]
async fn help_names_the_commands() {
    assert_data_eq!(
        Place::new().run(&["--help"]).await,
        str![[r#"
exit 0
--- stdout
A gateway in front of fine-tuned Azure OpenAI deployments: prompt affinity, failover, usage, and
care for idle deployments.

Usage: emberway <COMMAND>

Commands:
  run          Run the gateway
  check        Check a configuration file and print every mistake in it
  doctor       Ask all that a gateway of this configuration needs, from here, and say what to mend:
               names, certificates, credentials, deployments, limits, quota, clocks, disk and ports
  import       Make a configuration from another gateway's, and say what became of each line
  schema       Print the JSON Schema of the configuration file
  demo         Show what it does: simulated fleet, gateway, load and an outage in one process
  status       Show how a running gateway and its deployments are, and what needs somebody
  top          Watch the traffic of a running gateway: rates, errors, times, tokens
  healthcheck  Ask a running gateway whether it lives: for container and exec probes
  explain      Ask a running gateway where a chat body would go, and why; nothing is sent there
  drain        Take deployments of a running gateway out of use, and put them back
  drill        Take a region out for real, watch what becomes of the traffic, and put it back
  deployment   Make, show, change and delete deployments by Azure's control plane
  fleet        Show how the declared fleet and Azure differ, and make them alike
  audit        Print what was written to Azure's control plane, by whom, and what came of it
  quota        Show how much of a region's quota is used
  model        Show which models can be deployed, and until when
  finetune     Find the fine-tuned models and checkpoints of an account
  simulate     Run the Azure OpenAI simulator
  load         Send load to an endpoint and print what came back
  replay       Play recorded traces through placement and print what a policy would have saved
  usage        Print recorded usage
  cost         Print what the fleet costs: hosting, provisioned units, tokens and keepalives, with a
               forecast and what could be had cheaper
  help         Print this message or the help of the given subcommand(s)

Options:
  -h, --help     Print help
  -V, --version  Print version

"#]]
    );
}

#[tokio::test]
async fn nothing_asked_is_answered_with_help() {
    let said = Place::new().run(&[]).await;
    assert!(said.starts_with("exit 2\n--- stderr\nA gateway in front of"), "{said}");
}

#[tokio::test]
async fn an_unknown_flag_is_named() {
    assert_data_eq!(
        Place::new().run(&["run", "--port", "80"]).await,
        str![[r#"
exit 2
--- stderr
error: unexpected argument '--port' found

Usage: emberway run [OPTIONS]

For more information, try '--help'.

"#]]
    );
}

#[tokio::test]
async fn check_tells_what_the_configuration_amounts_to() {
    let place = Place::new();
    place.write("emberway.yaml", CONFIG);
    assert_data_eq!(
        place.run(&["check"]).await,
        str![[r#"
exit 0
--- stdout
emberway.yaml: OK
replicas: 1
trace: none

route  pool  policy  waits
bot    ft    nested  5s

pool  tier  deployment  region         sku       prices  cache keys  share  tokens a minute
ft    1     a/ft        swedencentral  Standard  none    auto        100 %            10000

"#]]
    );
}

#[tokio::test]
async fn check_can_do_without_the_secrets() {
    let place = Place::new();
    let config = CONFIG.replacen("${env:KEY}", "${env:EMBERWAY_TEST_NOT_SET}", 1);
    place.write("emberway.yaml", &config);
    let strict = place.run(&["check"]).await;
    assert!(
        strict.starts_with("exit 78\n")
            && strict.contains("the environment variable `EMBERWAY_TEST_NOT_SET` is not set"),
        "{strict}"
    );
    let lenient = place.run(&["check", "--without-secrets"]).await;
    assert!(
        lenient.starts_with("exit 0\n") && lenient.contains("emberway.yaml: OK"),
        "{lenient}"
    );
}

#[tokio::test]
async fn check_tells_every_mistake_at_once() {
    let place = Place::new();
    let wrong = CONFIG
        .replace(
            "usage: { path: 'usage.db' }",
            "usage: { paht: 'usage.db' }\nshutdown: { drain: 10 minuets }",
        )
        .replace("pool: ft }", "pool: fd }");
    place.write("emberway.yaml", &wrong);
    assert_data_eq!(
        place.run(&["check"]).await,
        str![[r#"
exit 78
--- stderr
emberway.yaml:3:10: usage.paht: unknown field `paht`
  hint: did you mean `path`?
emberway.yaml:4:13: shutdown.drain: `10 minuets` is not a duration
  hint: a whole number and `ms`, `s`, `m`, `h` or `d`, such as `250ms`, `30s`, `10m`
emberway.yaml:10:24: routes[0].pool: unknown pool `fd`
  hint: there is `ft`
emberway.yaml: 3 errors

"#]]
    );
}

#[tokio::test]
async fn run_refuses_a_file_that_is_not_there() {
    assert_data_eq!(
        Place::new().run(&["run"]).await,
        str![[r#"
exit 78
--- stderr
emberway.yaml: cannot read the file: No such file or directory (os error 2)
  hint: name it with `--config FILE`

"#]]
    );
}

#[tokio::test]
async fn run_refuses_a_variable_that_is_not_set() {
    let place = Place::new();
    place.write(
        "emberway.yaml",
        &CONFIG.replace("keys: ['${env:KEY}']", "keys: ['${env:DESK_KEY}']"),
    );
    assert_data_eq!(
        place.run(&["run"]).await,
        str![[r#"
exit 78
--- stderr
emberway.yaml:4:33: clients[0].keys[0]: the environment variable `DESK_KEY` is not set
  hint: export it before starting, or fix its name

"#]]
    );
}

#[tokio::test]
async fn run_says_which_address_is_taken() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    for listener in [
        "listeners: [ { address: '127.0.0.1:0' } ]",
        "admin: { address: '127.0.0.1:0' }",
    ] {
        let place = Place::new();
        place.write(
            "emberway.yaml",
            &CONFIG.replace(listener, &listener.replace("127.0.0.1:0", &address)),
        );
        let said = place.run(&["run"]).await.replace(&address, "[ADDRESS]");
        assert_data_eq!(
            said,
            str![[r#"
exit 1
--- stderr
error: cannot listen on `[ADDRESS]` (another program listens there; stop it, or change `address` in the configuration): Address already in use (os error 98)

"#]]
        );
    }
}

#[tokio::test]
async fn usage_without_a_store_makes_none() {
    let place = Place::new();
    assert_data_eq!(
        place.run(&["usage"]).await,
        str![[r#"
exit 1
--- stderr
error: there is no usage store at `emberway-usage.db`; name the gateway's file with --store, or its configuration with --config

"#]]
    );
    assert!(!place.path("emberway-usage.db").exists());
}

#[tokio::test]
async fn what_reads_the_store_finds_the_configuration_that_every_command_takes() {
    let place = Place::new();
    place.write("emberway.yaml", CONFIG);
    for command in ["usage", "cost", "audit"] {
        let said = place.run(&[command]).await;
        assert!(
            said.contains("no usage store at `usage.db`, where `emberway.yaml` has it"),
            "{said}"
        );
    }
    let path = place.path("usage.db");
    drop(
        emberway::storage::sqlite::SqliteStore::open(&path)
            .await
            .expect("a store"),
    );
    for command in ["usage", "cost", "audit"] {
        let said = place.run(&[command]).await;
        assert!(said.starts_with("exit 0"), "{said}");
        assert!(said.contains("reads `usage.db`, as `emberway.yaml` says"), "{said}");
        // Named, it need not be told.
        let said = place.run(&[command, "-c", "emberway.yaml"]).await;
        assert!(!said.contains("--- stderr"), "{said}");
    }
}

#[tokio::test]
async fn usage_of_a_damaged_store_says_what_to_do() {
    let place = Place::new();
    place.write("usage.db", &"no database ".repeat(1000));
    assert_data_eq!(
        place.run(&["usage", "--store", "usage.db"]).await,
        str![[r#"
exit 1
--- stderr
error: `usage.db` is no usage store, or a damaged one; name the gateway's file with --store, or its configuration with --config: error returned from database: (code: 26) file is not a database

"#]]
    );
}

#[tokio::test]
async fn usage_needs_a_configuration_that_can_be_read() {
    let place = Place::new();
    place.write("emberway.yaml", &CONFIG.replace("routes:", "roots:"));
    assert_data_eq!(
        place.run(&["usage", "--config", "emberway.yaml"]).await,
        str![[r#"
exit 78
--- stderr
emberway.yaml:9:1: roots: unknown field `roots`
  hint: did you mean `routes`?

"#]]
    );
}

#[tokio::test]
async fn usage_needs_no_secret_of_the_configuration() {
    let place = Place::new();
    place.write("emberway.yaml", &CONFIG.replace("${env:KEY}", "${env:NOT_SET}"));
    let said = place.run(&["usage", "-c", "emberway.yaml"]).await;
    assert!(
        said.starts_with("exit 1\n--- stderr\nerror: there is no usage store at `usage.db`"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn usage_shows_what_was_answered_while_the_gateway_runs() {
    let world = World::start(Setup::default()).await;
    for _ in 0..3 {
        let answer = world.ask(crate::harness::WHOLE).await;
        assert_eq!(answer.status, 200);
    }
    let refused = world.ask(r#"{"model":"nobody"}"#).await;
    assert_eq!(refused.status, 404);
    // A request that was not let in leaves no record.
    world.records_once(3).await;

    let (place, config) = (Place::new(), world.config_path());
    let by_config = [
        "usage",
        "--config",
        config.to_str().expect("UTF-8"),
        "--by",
        "outcome",
        "--json",
    ];
    let report = json(&place.run(&by_config).await);
    assert_eq!(report["total"]["requests"], 3, "{report}");
    let store = world.directory().path().join("usage.db");
    let by_store = [
        "usage",
        "--store",
        store.to_str().expect("UTF-8"),
        "--by",
        "outcome",
        "--json",
    ];
    let again = json(&place.run(&by_store).await);
    assert_eq!(again["groups"], report["groups"], "the same store");
    assert_eq!(
        (&report["groups"][0]["key"], &report["groups"][0]["requests"]),
        (&"success".into(), &3.into())
    );
    assert!(report["total"]["prompt_tokens"].as_i64().expect("a number") > 0);
}

/// What a successful run printed, as JSON.
fn json(said: &str) -> serde_json::Value {
    let text = said
        .strip_prefix("exit 0\n--- stdout\n")
        .unwrap_or_else(|| panic!("{said}"));
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[tokio::test]
async fn schema_prints_the_committed_one() {
    let committed = include_str!("../../config/emberway.schema.json");
    let said = Place::new().run(&["schema"]).await;
    assert_eq!(said, format!("exit 0\n--- stdout\n{}\n", committed.trim_end()));
}

#[tokio::test]
async fn simulate_refuses_a_wrong_scenario() {
    let place = Place::new();
    place.write("scenario.yaml", "accounts: []\n");
    assert_data_eq!(
        place.run(&["simulate", "--scenario", "scenario.yaml"]).await,
        str![[r#"
exit 78
--- stderr
error: cannot use scenario `scenario.yaml`: `accounts` is wrong: at least one is needed

"#]]
    );
    place.write(
        "scenario.yaml",
        "accounts: [ { name: a, region: x, deploymints: [] } ]\n",
    );
    let said = place.run(&["simulate", "--scenario", "scenario.yaml"]).await;
    assert!(
        said.starts_with("exit 78\n--- stderr\nerror: cannot use scenario `scenario.yaml`"),
        "{said}"
    );
    assert!(said.contains("deploymints"), "{said}");
}

#[tokio::test]
async fn load_against_nobody_fails_and_says_how() {
    // Bound and never listened on: connections are refused, and nobody else is given the port.
    let closed = tokio::net::TcpSocket::new_v4().expect("a socket");
    closed.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let url = format!("http://{}", closed.local_addr().expect("an address"));
    let said = Place::new()
        .run(&["load", "--url", &url, "--model", "bot", "--requests", "3"])
        .await;
    assert_data_eq!(
        said,
        str![[r#"
exit 1
--- stdout
requests  3 in [..] s, [..]/s
ok        0, failed 3
streams   1
tokens    0 prompt, 0 cached (-), 0 completion

failures  status  code     answer  count
refused        -     -  not begun      3

"#]]
    );
}
