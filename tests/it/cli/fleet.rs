//! `emberway fleet` and `emberway audit`: the built program against the simulator's control plane.

use std::process::Stdio;
use std::time::Duration;

use emberway::cli::fleet::routes::AdminRoutes;
use emberway::cli::operator::{Operator, OperatorArgs};
use emberway::core::fleet::key::{AccountKey, DeploymentKey};
use emberway::fleet::apply::Routes as _;
use emberway::simulator::scenario::Scenario;
use emberway::simulator::{self, Simulator};
use snapbox::{assert_data_eq, str};

use super::program::{Place, signal};
use crate::harness::{ADMIN_TOKEN, Setup, World, eventually};

const MODEL: &str = "gpt-4.1-mini-2025-04-14.ft-0123456789abcdef0123456789abcdef";
const APPLY: &[&str] = &["fleet", "apply", "--yes", "--no-gateway"];

/// A control plane with one account, where making a deployment takes an hour.
async fn world() -> Simulator {
    let text = format!(
        "arm: {{ durations: {{ create_s: 3600 }} }}\naccounts:\n\
         \x20 - {{ name: east, region: northcentralus, api_keys: [k], fine_tuned_models: [{{ model: {MODEL} }}],\n\
         \x20     deployments: [{{ name: junk, model: {MODEL}, sku: Standard, capacity: 10 }}] }}\n"
    );
    let scenario = Scenario::parse(&text).expect("a scenario");
    simulator::start(scenario).await.expect("a simulator")
}

/// A place with a configuration for it. The keys of clients and accounts are not known there.
fn place(sim: &Simulator, writes: bool) -> Place {
    let place = Place::new();
    let url = sim.arm().expect("a control plane").url();
    place.write("token", "sim-arm-token");
    place.write(
        "emberway.yaml",
        &format!(
            "listeners: [{{ address: '127.0.0.1:0' }}]\nadmin: {{ address: '127.0.0.1:0' }}\nusage: {{ path: usage.db }}\n\
             azure: {{ subscription: 11111111-1111-4111-8111-111111111111, resource_group: emberway-sim, management: '{url}',\n\
             \x20 credential: {{ token: '${{file:token}}' }}, writes: {writes} }}\n\
             clients: [{{ name: desk, keys: ['${{env:UNSET}}'] }}]\nresources:\n\
             \x20 - {{ name: east, region: northcentralus, account: east, endpoint: 'http://127.0.0.1:9', credential: {{ api_key: '${{env:UNSET_TOO}}' }},\n\
             \x20     deployments: [{{ name: ft, sku: Standard, capacity: 50, fine_tuned_model: {MODEL} }}] }}\n\
             pools: [{{ name: ft, tiers: [[east/ft]] }}]\nroutes: [{{ name: bot, pool: ft }}]\n"
        ),
    );
    place
}

/// Writes that reached the control plane: method and status.
fn writes(sim: &Simulator) -> Vec<String> {
    let control = sim.control();
    let arm = control.arm().expect("a control plane");
    let calls = arm.plane().status(control.unix_ms(), String::new(), true).calls;
    let writes = calls.iter().filter(|call| call.method != "GET");
    writes.map(|call| format!("{} {}", call.method, call.status)).collect()
}

/// The shipped rehearsal: its two halves are of one fleet, and nothing differs until somebody lets time pass.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rehearsal_is_of_one_fleet() {
    let scenario = Scenario::parse(include_str!("../../../config/rehearsal-simulator.yaml")).expect("a scenario");
    let sim = simulator::start(scenario.on_free_ports()).await.expect("a simulator");
    let place = Place::new();
    let management = sim.arm().expect("a control plane").url();
    let config = include_str!("../../../config/rehearsal.yaml");
    assert!(config.contains("http://127.0.0.1:9106"));
    place.write("emberway.yaml", &config.replace("http://127.0.0.1:9106", &management));
    let token = [("SIM_ARM_TOKEN", "sim-arm-token")];
    let planned = place.run_with(&["fleet", "plan", "--no-gateway"], &token).await;
    assert!(planned.starts_with("exit 0"), "{planned}");
    assert!(planned.contains("nothing is to be done"), "{planned}");
    // What is idle for more than fifteen days goes, and the plan makes it again.
    sim.control().advance_clock(Duration::from_hours(24));
    let planned = place.run_with(&["fleet", "plan", "--no-gateway"], &token).await;
    assert!(planned.starts_with("exit 2"), "{planned}");
    assert!(planned.contains("create  rehearsal-east/support"), "{planned}");
}

/// A deletion that the configuration contradicts is told of, and in a script nobody is asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleting_what_is_declared_says_what_its_policy_does() {
    let sim = world().await;
    let place = place(&sim, true);
    let declared = [
        "deployment",
        "delete",
        "--no-wait",
        "-n",
        "east",
        "--deployment-name",
        "ft",
    ];
    let told = "the configuration declares it as `east/ft` with the policy";
    let said = place.run(&declared).await;
    assert!(said.starts_with("exit 0") && !said.contains(told), "{said}");
    let text = std::fs::read_to_string(place.path("emberway.yaml")).expect("the configuration");
    let kept = format!("fine_tuned_model: {MODEL}, inactivity: {{ policy: keep }}");
    place.write(
        "emberway.yaml",
        &text.replace(&format!("fine_tuned_model: {MODEL}"), &kept),
    );
    let said = place.run(&[&declared[..], &["--dry-run"]].concat()).await;
    assert!(said.contains(told), "{said}");
    assert!(said.contains("`keep`: a running gateway makes it again"), "{said}");
    let junk = [
        "deployment",
        "delete",
        "--no-wait",
        "--dry-run",
        "-n",
        "east",
        "--deployment-name",
        "junk",
    ];
    let said = place.run(&junk).await;
    assert!(said.starts_with("exit 0") && !said.contains("declares"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_azure_does_not_know_is_named() {
    let sim = world().await;
    let place = place(&sim, true);
    let said = place.run(&["finetune", "show", "-n", "east", "ftjob-nope"]).await;
    assert!(
        said.starts_with("exit 1") && said.contains("job `ftjob-nope`"),
        "{said}"
    );
    let said = place.run(&["quota", "list", "-l", "sweden"]).await;
    assert!(
        said.contains("warning: `sweden` is not a region") && said.contains("`swedencentral`"),
        "{said}"
    );
    let said = place.run(&["quota", "list", "-l", "Sweden Central"]).await;
    assert!(!said.contains("is not a region"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_tells_what_differs() {
    let sim = world().await;
    let place = place(&sim, true);
    assert_data_eq!(
        place.run(&["fleet", "plan", "--no-gateway", "--allow-delete"]).await,
        str![[r#"
exit 2
--- stdout
finding          of         what
missing          east/ft    Azure has no such deployment; by its policy it was let go, so take it out of the configuration to leave it so
unknown          east/junk  nobody declares it (gpt-4.1-mini-2025-04-14.ft-0123456789abcdef0123456789abcdef (version 1), Standard with capacity 10): it will be deleted
weights_unknown  ft         it is not known what the members run

step    of         what
create  east/ft    make it: gpt-4.1-mini-2025-04-14.ft-0123456789abcdef0123456789abcdef (version 1), Standard with capacity 50
delete  east/junk  delete it: gpt-4.1-mini-2025-04-14.ft-0123456789abcdef0123456789abcdef (version 1), Standard with capacity 10

quota                                                                                      needed  free
11111111-1111-4111-8111-111111111111/northcentralus/openai.standard.gpt-4.1-mini-finetune      50  4990

2 steps are to be done

"#]]
    );
    // A gateway that does not answer is no reason not to look, and one not to touch anything.
    let nobody = ["--url", "http://127.0.0.1:9"];
    let planned = place.run(&[&["fleet", "plan", "--json"][..], &nobody].concat()).await;
    assert!(planned.starts_with("exit 2"), "{planned}");
    for part in [
        r#""differs": true"#,
        "warning: which deployments are routed to is not known",
    ] {
        assert!(planned.contains(part), "{planned}");
    }
    let applied = place.run(&[&["fleet", "apply", "--yes"][..], &nobody].concat()).await;
    assert!(
        applied.starts_with("exit 1") && applied.contains("or `--no-gateway` if none runs"),
        "{applied}"
    );
    let unasked = place.run(&["fleet", "apply", "--no-gateway"]).await;
    assert!(
        unasked.starts_with("exit 1") && unasked.contains("nobody is there to ask"),
        "{unasked}"
    );
    let dry = place.run(&["fleet", "apply", "--no-gateway", "--dry-run"]).await;
    assert!(
        dry.starts_with("exit 0") && dry.contains("/accounts/east/deployments/ft?api-version="),
        "{dry}"
    );
    assert_eq!(writes(&sim), [] as [&str; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_apply_that_is_killed_goes_on_where_it_was_and_the_audit_has_it() {
    let sim = world().await;
    let place = place(&sim, true);
    let mut first = place
        .command(APPLY)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    eventually("a write", || async { (!writes(&sim).is_empty()).then_some(()) }).await;
    let second = place.run(APPLY).await;
    assert!(
        second.starts_with("exit 1") && second.contains("another `emberway fleet apply` runs"),
        "{second}"
    );
    signal(first.id().expect("it runs"), "KILL").await;
    assert!(!first.wait().await.expect("its end").success());
    // What it began is made meanwhile.
    sim.control().advance_clock(Duration::from_hours(1));
    let applied = place.run(APPLY).await;
    assert!(applied.starts_with("exit 0"), "{applied}");
    for part in [
        "an earlier run was cut off",
        "create east/ft: done",
        "0 steps were taken; nothing more is to be done",
    ] {
        assert!(applied.contains(part), "{part}: {applied}");
    }
    assert_eq!(writes(&sim), ["PUT 201"]);
    let planned = place.run(&["fleet", "plan", "--no-gateway"]).await;
    assert!(
        planned.starts_with("exit 0") && planned.contains("nothing is to be done"),
        "{planned}"
    );
    let audit = place.run(&["audit", "--store", "usage.db"]).await;
    for part in ["exit 0", "PUT", "east/ft", "emberway fleet apply by uid "] {
        assert!(audit.contains(part), "{part}: {audit}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_write_of_a_command_is_in_the_audit_and_without_one_nothing_is_sent() {
    let sim = world().await;
    let place = place(&sim, true);
    let id = ["-n", "east", "--deployment-name", "junk"];
    let empty = place.run(&["audit", "-c", "emberway.yaml"]).await;
    assert!(
        empty.starts_with("exit 1") && empty.contains("there is no usage store"),
        "{empty}"
    );
    let to_nowhere = ["deployment", "delete", "--no-wait", "--store", "nowhere/usage.db"];
    let refused = place.run(&[&to_nowhere[..], &id].concat()).await;
    assert!(
        refused.starts_with("exit 1") && refused.contains("every write to Azure is entered in an audit"),
        "{refused}"
    );
    assert_eq!(writes(&sim), [] as [&str; 0]);
    let deleted = place
        .run(&[&["deployment", "delete", "--no-wait"][..], &id].concat())
        .await;
    assert!(deleted.starts_with("exit 0"), "{deleted}");
    let audit = place.run(&["audit", "-c", "emberway.yaml", "--json"]).await;
    let json = audit.split_once("--- stdout\n").expect("an output").1;
    let entries: serde_json::Value = serde_json::from_str(json).expect("JSON");
    let row = |at: usize| (entries[at]["phase"].clone(), entries[at]["outcome"].clone());
    assert_eq!(row(0), ("answered".into(), "202".into()), "{entries}");
    assert_eq!(row(1), ("sent".into(), serde_json::Value::Null), "{entries}");
    assert_eq!(entries[0]["client_request_id"], entries[1]["client_request_id"]);
    assert!(
        entries[0]["actor"]
            .as_str()
            .expect("an actor")
            .starts_with("emberway deployment delete by uid ")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_kill_switch_stops_an_apply() {
    let sim = world().await;
    let applied = place(&sim, false).run(APPLY).await;
    assert!(
        applied.starts_with("exit 1") && applied.contains("`azure.writes: true`"),
        "{applied}"
    );
    assert_eq!(writes(&sim), [] as [&str; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_gateway_is_asked_and_told_by_its_admin_listener() {
    let world = World::start(Setup::default()).await;
    let url = format!("http://{}", world.gateway.admin_address());
    let args = OperatorArgs::new(url.parse().expect("a URL"), Some(ADMIN_TOKEN.to_owned()));
    let account = AccountKey::new("/subscriptions/s/accounts/a");
    let key = DeploymentKey::new(account.clone(), "FT");
    let operator = Operator::new(&args).expect("a client");
    // `a/ft` and `a/embed`; what is not managed is nobody's business here.
    let routes = AdminRoutes::new(operator, [("a".to_owned(), account)].into(), false);
    let is_drained = async || {
        let routing = routes.routing().await.expect("an answer");
        assert_eq!(routing.len(), 2, "{routing:?}");
        routing[&key].is_drained
    };
    assert!(!is_drained().await);
    for _ in 0..2 {
        routes.take_out(&key).await.expect("it is out");
        assert!(is_drained().await);
    }
    for _ in 0..2 {
        routes.put_back(&key).await.expect("it is in");
        assert!(!is_drained().await);
    }
    // The last one of a pool stays in, and the gateway's own words say why.
    let other = ("b".to_owned(), AccountKey::new("/subscriptions/s/accounts/b"));
    let other_key = DeploymentKey::new(other.1.clone(), "ft");
    let operator = Operator::new(&args).expect("a client");
    let routes = AdminRoutes::new(operator, [("a".to_owned(), key.account.clone()), other].into(), false);
    routes.routing().await.expect("an answer");
    routes.take_out(&key).await.expect("it is out");
    let refused = routes.take_out(&other_key).await.expect_err("the last one").to_string();
    assert!(refused.contains("answered 409"), "{refused}");
}
