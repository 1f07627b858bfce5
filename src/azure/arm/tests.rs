//! Scripted answers of ARM: what is followed, what is tried again, what is refused.

use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::json;

use super::*;
use crate::azure::arm::operations::Deleted;
use crate::azure::credential_error::CredentialError;
use crate::azure::resources::{Deployment, Model, NewDeployment, NewProperties, Sku};
use crate::azure::testing::Server;
use crate::azure::token::TokenSource;
use crate::core::arm_id::AccountId;

const ID: &str =
    "/subscriptions/s/resourceGroups/g/providers/Microsoft.CognitiveServices/accounts/contoso/deployments/support";
const ACCOUNT: &str = "/subscriptions/s/resourceGroups/g/providers/Microsoft.CognitiveServices/accounts/contoso";

/// Tokens that are numbered.
#[derive(Debug)]
struct Numbered(&'static str, Mutex<u32>);

#[async_trait]
impl TokenSource for Numbered {
    async fn token(&self, scope: &str) -> Result<AccessToken, CredentialError> {
        assert_eq!(scope, "scope/.default");
        let mut number = self.1.lock();
        *number += 1;
        Ok(AccessToken::new(
            &format!("{}{number}", self.0),
            Instant::now() + Duration::from_hours(1),
        ))
    }
}

/// What was heard, and how many writes may yet be written down.
struct Heard(Mutex<Vec<String>>, Mutex<u32>);

impl Default for Heard {
    fn default() -> Self {
        Self(Mutex::default(), Mutex::new(u32::MAX))
    }
}

#[async_trait]
impl Witness for Heard {
    async fn sending(&self, write: Write<'_>) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let mut left = self.1.lock();
        *left = left.checked_sub(1).ok_or("the disk is full")?;
        self.0.lock().push(format!("{} sent", write.request.method));
        Ok(())
    }

    async fn followed(&self, write: Write<'_>, outcome: Result<(), &AzureError>) {
        let outcome = outcome.map_or_else(
            |error| error.code().unwrap_or_default().to_owned(),
            |()| "succeeded".to_owned(),
        );
        self.0
            .lock()
            .push(format!("{} followed: {outcome}", write.request.method));
    }

    async fn ended(&self, write: Write<'_>, ended: Ended<'_>) {
        let outcome = match ended.outcome {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        let id = ended.request_id.unwrap_or("-");
        self.0.lock().push(format!("{} {outcome} {id}", write.request.method));
    }
}

fn cache(prefix: &'static str) -> Arc<TokenCache> {
    Arc::new(TokenCache::new(Arc::new(Numbered(prefix, Mutex::new(0)))))
}

fn settings(server: &Server, writes: bool) -> ArmSettings {
    ArmSettings {
        address: ArmAddress {
            management: server.url.clone(),
            api_version: "2024-10-01".to_owned(),
        },
        audience: "scope/.default".to_owned(),
        writes,
        writes_per_minute: 1_000,
        patience: Patience {
            look: Duration::ZERO,
            again: Duration::ZERO,
            ..Patience::default()
        },
    }
}

fn arm(settings: ArmSettings, heard: &Arc<Heard>) -> Arm {
    let tokens = Tokens {
        own: cache("own"),
        tenants: vec![("src.example".to_owned(), cache("other"))],
    };
    Arm::new(
        settings,
        Http::new(None).expect("a client"),
        tokens,
        Some(Arc::clone(heard) as Arc<dyn Witness>),
    )
}

async fn start() -> (Server, Arm, Arc<Heard>) {
    let (server, heard) = (Server::start().await, Arc::<Heard>::default());
    let arm = arm(settings(&server, true), &heard);
    (server, arm, heard)
}

fn id() -> DeploymentArmId {
    ID.parse().expect("an id")
}

fn new() -> NewDeployment {
    NewDeployment {
        sku: Sku {
            name: "Standard".to_owned(),
            capacity: Some(1),
        },
        properties: NewProperties {
            model: Model {
                format: "OpenAI".to_owned(),
                name: "m.ft-0".to_owned(),
                version: "1".to_owned(),
                source: None,
                source_account: Some(ACCOUNT.to_owned()),
            },
            spillover_deployment_name: None,
            rai_policy_name: None,
            version_upgrade_option: None,
        },
    }
}

fn deployment(state: &str) -> Value {
    json!({"id": ID, "name": "support", "sku": {"name": "Standard", "capacity": 1}, "properties": {"provisioningState": state, "model": null}})
}

fn refusal(code: &str) -> Value {
    json!({"error": {"code": code, "message": "m"}})
}

/// Creates with somebody who listens; what was heard, and how it ended.
async fn create(arm: &Arm) -> (Vec<String>, Result<Deployment, AzureError>) {
    let states = Mutex::new(Vec::new());
    let hear = |progress: Progress<'_>| states.lock().push(progress.state.to_owned());
    let ended = arm.create(&id(), &new(), Some("SRC.example"), Some(&hear)).await;
    (states.into_inner(), ended)
}

#[tokio::test]
async fn a_creation_is_repeated_while_the_account_is_busy_and_followed_to_its_end() {
    let (server, arm, heard) = start().await;
    let operation = ("azure-asyncoperation", "{url}/operations/1?api-version=1");
    server
        .then(409, &[], refusal("RequestConflict"))
        .then(
            201,
            &[operation, ("x-ms-request-id", "r-1"), ("retry-after", "0")],
            deployment("Accepted"),
        )
        .then(200, &[], json!({"status": "InProgress"}))
        .then(503, &[], Value::Null)
        .then(200, &[("retry-after", "0")], json!({"status": "Succeeded"}))
        .then(200, &[], deployment("Succeeded"));
    let (states, ended) = create(&arm).await;
    assert_eq!(
        ended.expect("created").properties.provisioning_state.as_deref(),
        Some("Succeeded")
    );
    assert_eq!(states, ["RequestConflict", "InProgress"]);
    let put = format!("PUT {ID}?api-version=2024-10-01");
    let poll = "GET /operations/1?api-version=1".to_owned();
    let looked = format!("GET {ID}?api-version=2024-10-01");
    assert_eq!(
        server.lines(),
        [put.clone(), put, poll.clone(), poll.clone(), poll, looked]
    );
    let seen = server.seen();
    assert_eq!(seen[1].header("authorization"), "Bearer own1");
    assert_eq!(seen[1].header("x-ms-authorization-auxiliary"), "Bearer other1");
    assert_eq!(seen[1].header("x-ms-return-client-request-id"), "true");
    assert_ne!(
        seen[0].header("x-ms-client-request-id"),
        seen[1].header("x-ms-client-request-id")
    );
    assert!(
        seen[1].body.contains("\"sourceAccount\":\"/subscriptions/s/"),
        "{}",
        seen[1].body
    );
    assert_eq!(
        *heard.0.lock(),
        [
            "PUT sent",
            "PUT 409 -",
            "PUT sent",
            "PUT 201 r-1",
            "PUT followed: succeeded"
        ]
    );
}

#[tokio::test]
async fn what_cannot_be_written_down_is_not_sent() {
    let (server, arm, heard) = start().await;
    *heard.1.lock() = 1;
    // The second try of the same write needs an entry of its own.
    server.then(409, &[], refusal("RequestConflict"));
    let error = create(&arm).await.1.expect_err("not written down");
    assert!(matches!(error, AzureError::Unwitnessed(_)), "{error}");
    assert_eq!(server.lines().len(), 1);
    assert_eq!(*heard.0.lock(), ["PUT sent", "PUT 409 -"]);
    server.then(200, &[], deployment("Succeeded"));
    arm.deployment(&id()).await.expect("reading goes on");
}

#[tokio::test]
async fn a_conflict_that_shows_later_is_repeated_too() {
    let (server, arm, heard) = start().await;
    let operation = [("azure-asyncoperation", "{url}/operations/1")];
    let failed = |code: &str| json!({"status": "Failed", "error": {"code": code, "message": "m"}});
    server
        .then(201, &operation, deployment("Accepted"))
        .then(200, &[], failed("RequestConflict"))
        .then(201, &operation, deployment("Accepted"))
        .then(200, &[], failed("InsufficientQuota"));
    let (_, ended) = create(&arm).await;
    assert_eq!(ended.expect_err("no quota").code(), Some("InsufficientQuota"));
    assert_eq!(server.lines().len(), 4);
    let followed: Vec<String> = heard
        .0
        .lock()
        .iter()
        .filter(|line| line.contains("followed"))
        .cloned()
        .collect();
    assert_eq!(
        followed,
        ["PUT followed: RequestConflict", "PUT followed: InsufficientQuota"]
    );
}

#[tokio::test]
async fn without_a_status_the_resource_is_looked_at() {
    let (server, arm, _) = start().await;
    server
        .then(201, &[], deployment("Accepted"))
        .then(200, &[], deployment("Creating"))
        .then(200, &[], deployment("Failed"));
    let (states, ended) = create(&arm).await;
    assert_eq!(
        (states, ended.expect_err("failed").code()),
        (vec!["Creating".to_owned()], Some("Failed"))
    );
    // A status that is gone already is no reason to give up.
    server
        .then(
            201,
            &[("azure-asyncoperation", "{url}/operations/1")],
            deployment("Accepted"),
        )
        .then(404, &[], refusal("ResourceNotFound"))
        .then(200, &[], deployment("Succeeded"))
        .then(200, &[], deployment("Succeeded"));
    create(&arm).await.1.expect("created");
}

#[tokio::test]
async fn an_operation_has_a_deadline() {
    let server = Server::start().await;
    let mut settings = settings(&server, true);
    settings.patience.operation = Duration::ZERO;
    let arm = arm(settings, &Arc::default());
    server.then(201, &[], deployment("Creating"));
    let error = create(&arm).await.1.expect_err("too long");
    assert!(matches!(error, AzureError::OutOfTime { .. }), "{error}");
}

#[tokio::test]
async fn deletions_end_when_nothing_is_there() {
    let (server, arm, _) = start().await;
    let hear = |_: Progress<'_>| {};
    server.then(204, &[], Value::Null);
    assert_eq!(
        arm.delete(&id(), Some(&hear)).await.expect("deleted"),
        Deleted::NothingThere
    );
    server
        .then(202, &[("location", "{url}/results/1")], Value::Null)
        .then(202, &[], Value::Null)
        .then(204, &[], Value::Null);
    assert_eq!(arm.delete(&id(), Some(&hear)).await.expect("deleted"), Deleted::Done);
    server
        .then(202, &[], Value::Null)
        .then(200, &[], deployment("Deleting"))
        .then(404, &[], refusal("ResourceNotFound"));
    assert_eq!(arm.delete(&id(), Some(&hear)).await.expect("deleted"), Deleted::Done);
    // Without somebody who waits, the first answer is all.
    server.then(202, &[("location", "{url}/results/2")], Value::Null);
    assert_eq!(arm.delete(&id(), None).await.expect("accepted"), Deleted::Done);
    assert_eq!(server.lines().len(), 8);
}

#[tokio::test]
async fn lists_are_read_to_their_end() {
    let (server, arm, _) = start().await;
    let page = |next: Value| json!({"value": [deployment("Succeeded")], "nextLink": next});
    server
        .then(429, &[("retry-after", "0")], refusal("TooManyRequests"))
        .then(200, &[], page(json!("{url}/next?$skiptoken=2")))
        .then(200, &[], page(Value::Null));
    let account: AccountId = ACCOUNT.parse().expect("an id");
    assert_eq!(arm.deployments(&account).await.expect("a list").len(), 2);
    assert_eq!(server.lines()[2], "GET /next?$skiptoken=2");
    // One that never ends is given up.
    for _ in 0..PAGES_MAX {
        server.then(200, &[], page(json!("{url}/next")));
    }
    let error = arm.deployments(&account).await.expect_err("endless");
    assert!(matches!(error, AzureError::Endless(_)), "{error}");
}

#[tokio::test]
async fn the_token_goes_to_the_management_host_only() {
    let (server, arm, _) = start().await;
    let elsewhere = Server::start().await;
    let account: AccountId = ACCOUNT.parse().expect("an id");
    let link = format!("{}next", elsewhere.url);
    server.then(200, &[], json!({"value": [], "nextLink": link}));
    let error = arm.deployments(&account).await.expect_err("another host");
    assert!(matches!(error, AzureError::Elsewhere(_)), "{error}");
    server.then(201, &[("azure-asyncoperation", link.as_str())], deployment("Accepted"));
    let error = create(&arm).await.1.expect_err("another host");
    assert!(matches!(error, AzureError::Elsewhere(_)), "{error}");
    server.then(302, &[("location", link.as_str())], Value::Null);
    let error = arm.deployment(&id()).await.expect_err("a redirect");
    assert_eq!(error.code(), Some("status 302"));
    assert_eq!(elsewhere.lines(), [] as [&str; 0]);
}

#[tokio::test]
async fn passing_failures_are_tried_so_often_and_others_not_at_all() {
    let (server, arm, _) = start().await;
    for _ in 0..5 {
        server.then(503, &[], Value::Null);
    }
    assert_eq!(
        arm.deployment(&id()).await.expect_err("down").code(),
        Some("status 503")
    );
    assert_eq!(server.lines().len(), 5);
    server.then(403, &[], refusal("AuthorizationFailed"));
    assert_eq!(
        arm.deployment(&id()).await.expect_err("forbidden").code(),
        Some("AuthorizationFailed")
    );
    assert_eq!(server.lines().len(), 6);
    server.then(200, &[], json!({"name": 7}));
    let error = arm.deployment(&id()).await.expect_err("not a deployment");
    assert!(matches!(error, AzureError::Unreadable { .. }), "{error}");
}

#[tokio::test]
async fn a_refused_token_is_replaced_once() {
    let (server, arm, _) = start().await;
    server
        .then(401, &[], refusal("ExpiredAuthenticationToken"))
        .then(200, &[], deployment("Succeeded"))
        .then(401, &[], refusal("InvalidAuthenticationToken"))
        .then(401, &[], refusal("InvalidAuthenticationToken"));
    arm.deployment(&id()).await.expect("with another token");
    assert_eq!(
        arm.deployment(&id()).await.expect_err("refused").code(),
        Some("InvalidAuthenticationToken")
    );
    let tokens: Vec<String> = server
        .seen()
        .iter()
        .map(|seen| seen.header("authorization").to_owned())
        .collect();
    assert_eq!(tokens, ["Bearer own1", "Bearer own2", "Bearer own2", "Bearer own3"]);
}

#[tokio::test]
async fn with_the_kill_switch_nothing_is_written_and_reading_goes_on() {
    let server = Server::start().await;
    let heard = Arc::default();
    let arm = arm(settings(&server, false), &heard);
    for error in [
        create(&arm).await.1.expect_err("off"),
        arm.delete(&id(), None).await.expect_err("off"),
        arm.switch(&id(), "pause").await.expect_err("off"),
    ] {
        assert!(matches!(error, AzureError::WritesOff), "{error}");
    }
    assert_eq!((server.lines().len(), heard.0.lock().len()), (0, 0));
    server
        .then(200, &[], json!({"key1": "secret"}))
        .then(200, &[], deployment("Succeeded"));
    let account: AccountId = ACCOUNT.parse().expect("an id");
    let keys = arm.keys(&account).await.expect("keys");
    assert!(!format!("{keys:?}").contains("secret"));
    arm.deployment(&id()).await.expect("read");
}

#[tokio::test]
async fn an_unknown_tenant_is_told_before_anything_is_sent() {
    let (server, arm, _) = start().await;
    let error = arm
        .create(&id(), &new(), Some("nobody.example"), None)
        .await
        .expect_err("unknown");
    assert!(matches!(error, AzureError::UnknownTenant(_)), "{error}");
    assert_eq!(server.lines(), [] as [&str; 0]);
}

#[tokio::test]
async fn where_nobody_is_there_that_is_said_soon() {
    let server = Server::start().await;
    let mut settings = settings(&server, true);
    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .expect("a port")
        .local_addr()
        .expect("an address");
    settings.address.management = Url::parse(&format!("http://{free}/")).expect("a URL");
    let heard = Arc::default();
    let error = arm(settings, &heard)
        .delete(&id(), None)
        .await
        .expect_err("nobody")
        .to_string();
    let expected =
        format!("no answer from `{free}`: connection refused; check the network, `azure.management` and any proxy");
    assert_eq!(error, expected);
    assert_eq!(
        *heard.0.lock(),
        [
            "DELETE sent".to_owned(),
            format!("DELETE {expected} -"),
            "DELETE sent".to_owned(),
            format!("DELETE {expected} -")
        ]
    );
}
