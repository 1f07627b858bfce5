//! Moving in from LiteLLM: the built program makes a configuration of theirs, a person fills in what is marked, and the gateway answers
//! by the old names. What single fields become is tested beside the mapping, on `tests/import`.

use std::fmt::Write as _;

use emberway::simulator;
use http::StatusCode;
use serde_json::Value;

use crate::cli::program::{Gateway, Place};
use crate::harness::{KEY, Setup, read};

/// What the person does to a line that is marked.
fn filled_in(line: &str) -> String {
    let Some((value, _)) = line.split_once(" # FILL IN") else {
        return line.to_owned();
    };
    let indent = " ".repeat(value.len() - value.trim_start().len());
    match value.trim_start().split_once(": ") {
        Some(("sku", _)) => format!("{indent}sku: GlobalStandard\n{indent}capacity: 1000"),
        Some(("region", _)) => format!("{indent}region: swedencentral"),
        other => panic!("nobody told what to do about {other:?}"),
    }
}

/// Imports a file in a place of its own.
async fn import(text: &str, more: &[&str]) -> (Place, String) {
    let place = Place::new();
    place.write("config.yaml", text);
    let arguments = [&["import", "--from", "litellm", "config.yaml"][..], more].concat();
    let told = place.run(&arguments).await;
    (place, told)
}

const SMALL: &str = "\
model_list:
  - model_name: bot
    litellm_params: { model: azure/ft, api_base: 'https://contoso-eastus2.openai.azure.com', api_key: os.environ/KEY, tpm: 1000 }
general_settings: { master_key: os.environ/KEY }
";

#[tokio::test]
async fn a_request_by_the_old_name_is_answered() {
    let sim = simulator::start(Setup::default().scenario())
        .await
        .expect("a simulator");
    let mut text = "model_list:\n".to_owned();
    for account in ["a", "b"] {
        let url = &sim.account(account).expect("an account").url;
        writeln!(
            text,
            "- model_name: helpdesk\n  litellm_params: {{ model: azure/ft, api_base: '{url}/', api_key: os.environ/KEY_{account}, order: 1 }}"
        )
        .expect("text");
    }
    text.push_str(
        "router_settings: { num_retries: 2, model_group_alias: { old-helpdesk: helpdesk } }\n\
         general_settings: { master_key: os.environ/KEY }\n",
    );
    let (place, told) = import(&text, &["--output", "emberway.yaml"]).await;
    assert!(told.starts_with("exit 2\n--- stderr\n"), "{told}");
    assert!(told.contains("`emberway check` accepts emberway.yaml"), "{told}");
    let made = std::fs::read_to_string(place.path("emberway.yaml")).expect("a file");
    assert_eq!(made.matches("# FILL IN").count(), 4, "{made}");
    let accepted = place.run(&["check", "--config", "emberway.yaml"]).await;
    assert!(accepted.starts_with("exit 0"), "{accepted}");

    let lines: Vec<String> = made.lines().map(filled_in).collect();
    let filled = lines.join("\n").replace("127.0.0.1:4000", "127.0.0.1:0");
    place.write(
        "emberway.yaml",
        &(filled + "\nadmin: { address: '127.0.0.1:0' }\nlog: { format: json }\n"),
    );
    let gateway = Gateway::start(&place, &place.path("emberway.yaml")).await;
    for name in ["helpdesk", "old-helpdesk"] {
        let body = format!(r#"{{"model":"{name}","messages":[{{"role":"user","content":"Where is my parcel?"}}]}}"#);
        let url = format!("http://{}/v1/chat/completions", gateway.address);
        let request = reqwest::Client::new().post(url).bearer_auth(KEY).body(body);
        let answer = read(request.send().await.expect("an answer")).await;
        assert_eq!(answer.status, StatusCode::OK, "{name}: {}", answer.text());
    }
    assert_eq!(sim.control().requests(10).len(), 2);
    gateway.terminate().await;
    assert!(gateway.ended().await.success());
}

#[tokio::test]
async fn the_configuration_goes_to_stdout_and_the_report_to_stderr() {
    let (_place, told) = import(SMALL, &["--sku", "GlobalStandard"]).await;
    let (made, report) = told.split_once("--- stderr\n").expect("a report");
    assert!(made.starts_with("exit 0\n--- stdout\n# Made by "), "{told}");
    assert!(made.contains("sku: GlobalStandard\n"), "{told}");
    assert!(report.contains("config.yaml:3:"), "{told}");
    let (_place, told) = import(SMALL, &["--report", "json"]).await;
    let (_, report) = told.split_once("--- stderr\n").expect("a report");
    let report: Value = serde_json::from_str(report).expect("JSON");
    let manual = |line: &&Value| line["grade"] == "manual";
    let lines: Vec<&Value> = report["lines"]
        .as_array()
        .expect("lines")
        .iter()
        .filter(manual)
        .collect();
    assert_eq!(lines.len(), 1, "{report}");
    assert_eq!(
        (&lines[0]["line"], &lines[0]["file"]),
        (&3.into(), &"config.yaml".into())
    );
    assert!(told.starts_with("exit 2\n"), "{told}");
}

#[tokio::test]
async fn no_file_is_written_over_unasked() {
    let (place, _) = import(SMALL, &[]).await;
    place.write("emberway.yaml", "mine");
    let run = async |more: &[&str]| {
        let usual = [
            "import",
            "--from",
            "litellm",
            "config.yaml",
            "--sku",
            "Standard",
            "--output",
        ];
        place.run(&[&usual[..], more].concat()).await
    };
    let refused = run(&["emberway.yaml"]).await;
    assert!(
        refused.starts_with("exit 1\n--- stderr\nerror: `emberway.yaml` is there already"),
        "{refused}"
    );
    let kept = || std::fs::read_to_string(place.path("emberway.yaml")).expect("a file");
    assert_eq!(kept(), "mine");
    let own = run(&["./config.yaml", "--force"]).await;
    assert!(
        own.starts_with("exit 1\n--- stderr\nerror: `./config.yaml` is the file that is read"),
        "{own}"
    );
    assert_eq!(
        std::fs::read_to_string(place.path("config.yaml")).expect("a file"),
        SMALL
    );
    let forced = run(&["emberway.yaml", "--force"]).await;
    assert!(forced.starts_with("exit 0\n"), "{forced}");
    assert!(kept().starts_with("# Made by "), "{}", kept());
}

#[tokio::test]
async fn what_cannot_be_carried_over_ends_with_a_code_of_its_own() {
    let (_, told) = import("model_list:\n  - model_name: [\n", &[]).await;
    assert!(told.starts_with("exit 78\n--- stderr\nerror: config.yaml:"), "{told}");
    let (_, told) = import("model_list: none\n", &[]).await;
    assert!(
        told.starts_with("exit 78\n--- stderr\nerror: config.yaml:1:1: model_list: "),
        "{told}"
    );
    let (_, told) = import(
        "model_list:\n- { model_name: a, litellm_params: { model: openai/x } }\n",
        &[],
    )
    .await;
    assert!(told.starts_with("exit 1\n--- stderr\nconfig.yaml: "), "{told}");
    assert!(
        told.contains("error: `config.yaml` has no model of Azure OpenAI"),
        "{told}"
    );
    assert!(!told.contains("`emberway check`"), "nothing was written: {told}");
    let (_, told) = import(SMALL, &["--sku", "Standart"]).await;
    assert!(
        told.starts_with("exit 2\n") && told.contains("no deployment type"),
        "{told}"
    );
}
