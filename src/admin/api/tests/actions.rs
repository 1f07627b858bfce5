//! What is done to deployments, over a fleet that says what it was asked, and moving in.

use std::sync::Arc;

use async_trait::async_trait;
use http::StatusCode;
use parking_lot::Mutex;

use crate::admin::api::answer::Refusal;
use crate::admin::api::fleet::{FleetActions, FleetAnswer, Pinged};
use crate::admin::drains::DrainAsked;
use crate::admin::testing::{Asked, ask, sources};

/// A fleet of `a/ft`, which is lost, and `b/ft`, which is there.
#[derive(Default)]
struct Two(Mutex<Vec<String>>);

#[async_trait]
impl FleetActions for Two {
    fn fleet(&self) -> FleetAnswer {
        FleetAnswer {
            fleet: None,
            deployments: Vec::new(),
            regions: Vec::new(),
        }
    }

    async fn ping(&self, deployment: &str) -> Result<Pinged, Refusal> {
        self.0.lock().push(format!("ping {deployment}"));
        Ok(Pinged {
            outcome: "refused",
            status: Some(404),
            took_ms: 5,
            text: "status 404: no such deployment".to_owned(),
        })
    }

    fn recreate(&self, deployment: &str) -> Result<(), Refusal> {
        self.0.lock().push(format!("recreate {deployment}"));
        if deployment == "a/ft" {
            Ok(())
        } else {
            Err(Refusal::conflict(
                "it is there, so there is nothing to make",
                "cannot_recreate",
            ))
        }
    }
}

/// An answer, what the fleet was asked, and what the audit has of it, newest first.
async fn post(path: &str, body: &str) -> (Asked, Vec<String>, Vec<String>) {
    let fleet = Arc::new(Two::default());
    let mut sources = sources();
    sources.api.fleet = Arc::clone(&fleet) as Arc<dyn FleetActions>;
    sources.drains = Box::new(|asked| match asked {
        DrainAsked::Begin { name, .. } if name == "nowhere" => Err(Refusal::not_found("none such", "unknown_name")),
        _ => Ok(Vec::new()),
    });
    let sources = Arc::new(sources);
    let answer = ask(&sources, "POST", path, body).await;
    let entries = sources.api.audit.audit(0, 10).await.expect("read");
    let entered = entries.into_iter().map(|entry| {
        let (asked, outcome) = (entry.asked.unwrap_or_default(), entry.outcome.unwrap_or_default());
        format!("{} {asked}: {outcome}", entry.target)
    });
    let asked = fleet.0.lock().clone();
    (answer, asked, entered.collect())
}

#[tokio::test]
async fn a_call_says_what_came_of_it_and_is_entered() {
    let (answer, asked, entered) = post("/api/v1/deployments/ping", r#"{"deployment":"a/ft"}"#).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    let told = answer.json();
    assert_eq!(
        (told["outcome"].as_str(), told["status"].as_u64()),
        (Some("refused"), Some(404))
    );
    assert_eq!(asked, ["ping a/ft"]);
    let target = "/api/v1/deployments/ping call a/ft: ";
    assert_eq!(entered, [format!("{target}done"), target.to_owned()]);
}

#[tokio::test]
async fn making_again_wants_the_name_twice_and_says_why_not() {
    let path = "/api/v1/deployments/recreate";
    let (answer, asked, _) = post(path, r#"{"deployment":"a/ft","confirm":"a/ft"}"#).await;
    assert_eq!(
        (answer.status, &answer.json()["accepted"]),
        (StatusCode::ACCEPTED, &true.into())
    );
    assert_eq!(asked, ["recreate a/ft"]);
    let (answer, asked, entered) = post(path, r#"{"deployment":"a/ft","confirm":"ft"}"#).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(answer.json()["error"]["param"], "confirm");
    assert!(asked.is_empty() && entered.is_empty(), "{entered:?}");
    let (answer, _, entered) = post(path, r#"{"deployment":"b/ft","confirm":"b/ft"}"#).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    assert!(answer.body.contains("it is there"), "{}", answer.body);
    assert!(
        entered[0].ends_with("make b/ft again: 409 cannot_recreate"),
        "{entered:?}"
    );
}

#[tokio::test]
async fn drains_of_the_page_are_those_of_the_command_line() {
    let body = r#"{"kind":"region","name":"swedencentral","for_s":60}"#;
    let (answer, _, entered) = post("/api/v1/drains", body).await;
    assert_eq!((answer.status, &*answer.body), (StatusCode::OK, r#"{"drains":[]}"#));
    assert_eq!(entered[0], "/api/v1/drains drain region swedencentral for 60 s: done");
    let (answer, _, _) = post("/api/v1/drains", r#"{"kind":"region","name":"nowhere"}"#).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    let (answer, _, _) = post("/api/v1/drains", "{}").await;
    assert_eq!(
        (answer.status, &answer.json()["error"]["code"]),
        (StatusCode::BAD_REQUEST, &"bad_body".into())
    );
    let (answer, _, _) = post("/api/v1/drains", &format!("{{\"kind\":\"{}\"}}", "x".repeat(20_000))).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn what_is_sent_or_asked_wrongly_is_told_so() {
    let (answer, _, _) = post("/api/v1/import", r#"{"from":"nginx","text":""}"#).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let (answer, _, _) = post("/api/v1/import", r#"{"from":"litellm","text":"model_list: ["}"#).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    let (answer, _, _) = post("/api/v1/fleet", "{}").await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(answer.json()["error"]["code"], "wrong_method");
}
