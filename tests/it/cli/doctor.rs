//! `emberway doctor`, the built program: what is well, and each thing that can be wrong, with how to mend it.

use std::path::Path;

use emberway::simulator::{self, Simulator};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use serde_json::Value;

use super::program::{Gateway, Place};
use crate::fleet::setup::{DAY_MS, Terms, config_text, scenario};
use crate::harness::{ADMIN_TOKEN, Setup, upstreams};

/// The names of variables that the fleet's configuration asks for.
const SECRETS: [(&str, &str); 3] = [
    ("KEY_east", "key-east"),
    ("KEY_west", "key-west"),
    ("CONTROL", "sim-arm-token"),
];

/// A fleet of two accounts with their control plane, and a file for it.
async fn fleet() -> (Simulator, Place, String) {
    let sim = simulator::start(scenario(Terms::default())).await.expect("a simulator");
    let place = Place::new();
    let text = config_text(&sim, place.path("").as_path(), Terms::default());
    (sim, place, text)
}

/// What it says of a file: exit code and the lines.
async fn examined(place: &Place, text: &str, more: &[&str], variables: &[(&str, &str)]) -> String {
    place.write("emberway.yaml", text);
    let arguments = [&["doctor", "--timeout", "5s"], more].concat();
    place.run_with(&arguments, variables).await
}

/// Checks the exit code, and that one line holds all of these parts.
#[track_caller]
fn says(said: &str, code: u8, parts: &[&str]) {
    assert!(said.starts_with(&format!("exit {code}\n")), "{said}");
    let holds = |line: &str| parts.iter().all(|part| line.contains(part));
    assert!(said.lines().any(holds), "no line with {parts:?} in:\n{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_that_is_well_is_said_to_be() {
    let (sim, place, text) = fleet().await;
    let said = examined(&place, &text, &[], &SECRETS).await;
    for line in [
        [
            "  ok",
            "compiles, with its secrets: 1 route, 1 pool, 2 deployments of 2 resources",
        ],
        ["  ok", "usage.path: `[PLACE]/usage.db` can be written"],
        ["  ok", "east: takes the credential, and knows API version `2024-10-21`"],
        ["  ok", "west: the clocks agree"],
        ["  ok", "azure: there is a token for Azure Resource Manager"],
        ["  ok", "east: account `east` is in `northcentralus`"],
        ["  ok", "west/ft: is there as declared: Standard, 50 units"],
        ["  ok", "swedencentral: quota is left"],
        ["  skipped", "west/ft: not called"],
        ["  skipped", "webhook: not configured"],
    ] {
        says(&said, 0, &line);
    }
    assert!(said.contains(", 0 fail, "), "{said}");
    let chats = || {
        sim.control()
            .requests(100)
            .into_iter()
            .filter(|request| request.path.contains("chat"))
            .count()
    };
    assert_eq!(chats(), 0, "no model is called");

    let said = examined(&place, &text, &["--call"], &SECRETS).await;
    says(&said, 0, &["  ok", "east/ft: answers a chat in", "tokens"]);
    assert_eq!(chats(), 2, "one a deployment");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_thing_that_is_wrong_is_told_with_its_remedy() {
    let (sim, place, text) = fleet().await;
    let east = sim.account("east").expect("an account").url;
    let wrong_key = [("KEY_east", "another-key"), SECRETS[1], SECRETS[2]];
    let said = examined(&place, &text, &[], &wrong_key).await;
    says(&said, 1, &["  fail", "east: refuses the credential"]);
    says(&said, 1, &["-> compare the key with the account's"]);
    says(&said, 1, &["  ok", "west: takes the credential"]);

    let wrong_token = [SECRETS[0], SECRETS[1], ("CONTROL", "another-token")];
    let said = examined(&place, &text, &[], &wrong_token).await;
    says(&said, 1, &["  fail", "east: Azure says `InvalidAuthenticationToken`"]);

    let said = examined(&place, &text.replace(&east, "https://nobody.invalid"), &[], &SECRETS).await;
    says(&said, 1, &["  fail", "east: `nobody.invalid` has no address"]);
    says(&said, 1, &["  skipped", "east: not asked"]);

    // A port that was free a moment ago, and that nobody listens on.
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .expect("a port")
        .local_addr()
        .expect("its address");
    let said = examined(&place, &text.replace(&east, &format!("http://{free}")), &[], &SECRETS).await;
    says(&said, 1, &["  fail", &format!("east: `{free}` refuses connections")]);

    let said = examined(
        &place,
        &text.replace("name: ft, sku", "name: gone, sku").replace("/ft", "/gone"),
        &["--call"],
        &SECRETS,
    )
    .await;
    says(&said, 1, &["  fail", "east/gone: is not there", "does not exist"]);
    says(
        &said,
        1,
        &["-> `emberway fleet apply` or `emberway deployment create` makes it"],
    );

    let said = examined(&place, &text.replacen("capacity: 50", "capacity: 70", 1), &[], &SECRETS).await;
    says(&said, 0, &["  warn", "east/ft: has a capacity of 50, not 70"]);

    let said = examined(
        &place,
        &text.replace("region: swedencentral", "region: eastus2"),
        &[],
        &SECRETS,
    )
    .await;
    says(
        &said,
        1,
        &["  fail", "west: account `west` is in `swedencentral`, not in `eastus2`"],
    );

    let said = examined(&place, &text.replace("pool: ft", "pool: nowhere"), &[], &SECRETS).await;
    says(&said, 78, &["  fail", "emberway.yaml:", "nowhere"]);

    let held = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = held.local_addr().expect("its address").to_string();
    let said = examined(&place, &text.replacen("127.0.0.1:0", &address, 1), &[], &SECRETS).await;
    says(&said, 1, &["  fail", &format!("{address}: is held by another program")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_variables_a_file_is_examined_as_far_as_that_goes() {
    let (sim, place, text) = fleet().await;
    let said = examined(&place, &text, &[], &SECRETS[1..2]).await;
    for name in ["KEY_east", "CONTROL"] {
        let told = format!("the environment variable `{name}` is not set");
        says(&said, 78, &["  fail", "emberway.yaml:", &told]);
        says(&said, 78, &["  skipped", &format!("not asked: {told}")]);
    }
    says(&said, 78, &["  ok", "east: 127.0.0.1:", "takes connections"]);
    says(&said, 78, &["  ok", "west: takes the credential"]);
    says(&said, 78, &["  ok", "usage.path: "]);
    assert!(!said.contains("not-set"), "{said}");
    assert!(!said.contains("`127.0.0.1` is "), "{said}");
    let asked = sim.control().requests(100);
    assert!(asked.iter().all(|request| request.account != "east"), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_ends_is_told_before_and_after() {
    let in_five_days = jiff::Timestamp::now().as_millisecond() + 5 * DAY_MS;
    let soon = jiff::Timestamp::from_millisecond(in_five_days)
        .expect("a time")
        .to_string();
    let soon = soon.split('T').next().expect("a date");
    let number = |at: usize| {
        soon.split('-')
            .nth(at)
            .and_then(|part| part.parse::<u16>().ok())
            .expect("a number")
    };
    let day = (
        i32::from(number(0)),
        number(1).to_le_bytes()[0],
        number(2).to_le_bytes()[0],
    );
    let expired = "the certificate of `127.0.0.1` has expired".to_owned();
    let good = "TLS, with a certificate that is good for weeks".to_owned();
    for (end, code, state, part) in [
        ((2021, 1, 1), 1, "  fail", expired),
        (day, 0, "  warn", format!("ends on {soon}")),
        ((2090, 1, 1), 0, "  ok", good),
    ] {
        let place = Place::new();
        certify(place.path("").as_path(), end);
        let folder = place.path("");
        let files = crate::tls::files(&folder, "certificate_file", "key_file");
        let setup = Setup {
            account: files,
            ..Setup::default()
        };
        let sim = simulator::start(setup.scenario()).await.expect("a simulator");
        let text = setup.config(&upstreams(&setup, &sim), &folder);
        let trusted = place.path("cert.pem");
        let said = examined(
            &place,
            &text,
            &[],
            &[("SSL_CERT_FILE", trusted.to_str().expect("UTF-8"))],
        )
        .await;
        says(&said, code, &[state, "a: ", &part]);
        if code != 0 {
            continue;
        }
        // Trusted by nobody here.
        let another = Place::new();
        certify(another.path("").as_path(), (2090, 1, 1));
        let trusted = another.path("cert.pem");
        let variables = [("SSL_CERT_FILE", trusted.to_str().expect("UTF-8"))];
        let said = examined(&place, &text, &[], &variables).await;
        says(&said, 1, &["  fail", "a: nobody whom this machine trusts"]);
    }
}

/// A certificate for this machine that ends on a day, as `crate::tls::certify` makes one.
fn certify(folder: &Path, (year, month, day): (i32, u8, u8)) {
    let mut parameters = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).expect("names");
    parameters.not_before = date_time_ymd(2020, 1, 1);
    parameters.not_after = date_time_ymd(year, month, day);
    let key = KeyPair::generate().expect("a key");
    let made = parameters.self_signed(&key).expect("a certificate");
    std::fs::write(folder.join("cert.pem"), made.pem()).expect("written");
    std::fs::write(folder.join("key.pem"), key.serialize_pem()).expect("written");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_gateway_is_compared_with_the_file() {
    let setup = Setup {
        admin: "token: '${env:ADMIN_TOKEN}'",
        ..Setup::default()
    };
    let sim = simulator::start(setup.scenario()).await.expect("a simulator");
    let place = Place::new();
    let text = format!(
        "{}log: {{ format: json }}\n",
        setup.config(&upstreams(&setup, &sim), place.path("").as_path())
    );
    place.write("emberway.yaml", &text);
    let secrets = [("ADMIN_TOKEN", ADMIN_TOKEN)];
    let gateway = Gateway::start_with(&place, &place.path("emberway.yaml"), &[], &secrets).await;
    // The same file, with the ports that it got.
    let (listener, admin) = (gateway.address.to_string(), gateway.admin.to_string());
    let text = text
        .replacen("127.0.0.1:0", &listener, 1)
        .replacen("127.0.0.1:0", &admin, 1);
    let said = examined(&place, &text, &["--json"], &secrets).await;
    let report: Value = serde_json::from_str(said.split_once("--- stdout\n").expect("an output").1).expect("JSON");
    assert_eq!(report["ok"], true, "{said}");
    let findings = report["findings"].as_array().expect("findings");
    let has = |group: &str, state: &str, part: &str| {
        let found = findings.iter().any(|finding| {
            finding["group"] == group
                && finding["state"] == state
                && finding["what"].as_str().is_some_and(|what| what.contains(part))
        });
        assert!(found, "no {group} {state} `{part}` in {said}");
    };
    has("machine", "ok", "is held, and a gateway runs here");
    has("gateway", "ok", "runs and is ready");
    has("gateway", "ok", "is of version");
    // It was written again after the gateway had read it.
    has("gateway", "warn", "older than the file");
    gateway.terminate().await;
    assert!(gateway.ended().await.success());
}
