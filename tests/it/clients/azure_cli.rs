//! The Azure CLI, unmodified, against the simulated control plane over TLS: a cloud of its own, a managed identity, and deployments.
//!
//! Operations take minutes of the simulator's clock, which the test moves: nothing ends before it says so. It prints a table of what was
//! done, to be seen with `cargo test --test it -- --nocapture azure_cli`.

use std::path::PathBuf;
use std::time::Duration;

use emberway::simulator::scenario::Scenario;
use emberway::simulator::{self, Simulator};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::fleet::{ended, folder, interpreter, text};
use super::skip;

/// An account and a source in one tenant, and another source in another. Only a deletion ends by itself: `az` waits for that.
const SCENARIO: &str = r"
starts_at: 2026-06-01T00:00:00Z
engine: {time_scale: 0}
arm:
  tls: generated
  certificate_to: CERTIFICATE
  subscription: 11111111-1111-4111-8111-111111111111
  subscriptions: [{id: 44444444-4444-4444-8444-444444444444, tenant: 55555555-5555-4555-8555-555555555555}]
  tokens: [{token: token-of-the-other-tenant, principal: operator, tenant: 55555555-5555-4555-8555-555555555555}]
  durations: {create_s: 120, update_s: 120, delete_s: 1, propagation_s: 0}
  limits: {page_size: 2}
  quota: [{location: swedencentral, usage: OpenAI.Standard.gpt-4.1-mini-finetune, limit: 200}]
accounts:
  - name: destination
    region: swedencentral
    fine_tuned_models: [{model: gpt-4.1-mini-2025-04-14.ft-0123456789abcdef0123456789abcdef}]
  - name: source
    region: northcentralus
    fine_tuned_models: [{model: gpt-4.1-nano-2025-04-14.ft-fedcba9876543210fedcba9876543210}]
  - name: abroad
    region: northcentralus
    subscription: 44444444-4444-4444-8444-444444444444
    fine_tuned_models: [{model: gpt-4.1-2025-04-14.ft-00112233445566778899aabbccddeeff}]
";

/// What stands for what in commands, so that the table has short lines.
const SHORT: &[(&str, &str)] = &[
    (
        "$MODEL",
        "gpt-4.1-mini-2025-04-14.ft-0123456789abcdef0123456789abcdef --model-version 1 --model-format OpenAI",
    ),
    (
        "$OTHER",
        "gpt-4.1-nano-2025-04-14.ft-fedcba9876543210fedcba9876543210 --model-version 1 --model-format OpenAI",
    ),
    (
        "$SOURCE",
        "/subscriptions/11111111-1111-4111-8111-111111111111/resourceGroups/emberway-sim/providers/Microsoft.CognitiveServices/accounts/source",
    ),
    (
        "$DEPLOYMENTS",
        "/subscriptions/11111111-1111-4111-8111-111111111111/resourceGroups/emberway-sim/providers/Microsoft.CognitiveServices/accounts/destination/deployments",
    ),
    ("$ACCOUNT", "-g emberway-sim -n destination"),
];

/// The words of a command; what is in quotes is one.
fn words(line: &str) -> Vec<&str> {
    let parts = line.split('\'').enumerate();
    let words = parts.map(|(at, part)| {
        if at % 2 == 1 {
            vec![part]
        } else {
            part.split_whitespace().collect()
        }
    });
    words.flatten().collect()
}

/// Longer than any operation that does not end by itself.
const MINUTES: Duration = Duration::from_mins(3);

/// The command line and the world that it talks to.
struct Az {
    program: PathBuf,
    simulator: Simulator,
    directory: TempDir,
}

/// How a command ended.
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
    /// The statuses of what was written by it.
    statuses: Vec<u16>,
}

impl Ran {
    /// What a successful command said.
    fn json(&self) -> Value {
        assert_eq!(self.code, Some(0), "{}", self.err);
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }

    /// The state and the capacity of the deployment that it said.
    fn deployment(&self) -> (String, u64) {
        let said = self.json();
        let state = said["properties"]["provisioningState"].as_str().expect("a state");
        (state.to_owned(), said["sku"]["capacity"].as_u64().expect("a number"))
    }

    /// The code of the refusal.
    fn refusal(&self, code: &str) -> String {
        assert_ne!(self.code, Some(0), "{}", self.out);
        assert!(self.err.contains(code), "{code} was expected: {}", self.err);
        format!("refused: {code}")
    }
}

impl Az {
    async fn start(program: PathBuf) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let certificate = directory.path().join("arm.pem");
        let scenario = SCENARIO.replace("CERTIFICATE", &certificate.display().to_string());
        let simulator = simulator::start(Scenario::parse(&scenario).expect("a scenario"));
        Self {
            program,
            simulator: simulator.await.expect("a simulator"),
            directory,
        }
    }

    /// Runs a command, has its end looked at, and prints a line of the table.
    #[expect(clippy::print_stdout, reason = "the table is for people, and shown on demand only")]
    async fn step<T>(&self, operation: &str, command: &str, look: impl FnOnce(&Ran) -> (T, String)) -> T {
        let ran = self.run(command).await;
        let (found, result) = look(&ran);
        println!("| {operation} | `az {command}` | {result} |");
        found
    }

    async fn run(&self, command: &str) -> Ran {
        let arm = self.simulator.arm().expect("a control plane");
        let home = self.directory.path().display().to_string();
        let line = command.replace("$ARM", &arm.tls_url().expect("TLS"));
        let mut line = line.replace("$DIRECTORY", &home);
        for (short, long) in SHORT {
            line = line.replace(short, long);
        }
        let arguments = words(&line);
        let identity = format!("{}/msi/token", arm.url());
        let certificate = arm.certificate().expect("a certificate").display().to_string();
        let before = arm.plane().calls.list().0;
        let environment = [
            ("HOME", home.as_str()),
            ("AZURE_CONFIG_DIR", &home),
            ("AZURE_CORE_COLLECT_TELEMETRY", "false"),
            ("REQUESTS_CA_BUNDLE", &certificate),
            ("IDENTITY_ENDPOINT", &identity),
            ("IDENTITY_HEADER", "sim-identity-header"),
        ];
        let output = ended(&self.program, &arguments, &environment).await;
        let (after, calls) = arm.plane().calls.list();
        let new = calls.len() - usize::try_from(after - before).expect("few");
        let writes = calls[new..].iter().filter(|call| call.method != "GET");
        Ran {
            code: output.status.code(),
            out: text(&output.stdout),
            err: text(&output.stderr),
            statuses: writes.map(|call| call.status).collect(),
        }
    }

    /// A write that was accepted: its deployment is under way.
    async fn accepted(&self, operation: &str, command: &str, status: u16, capacity: u64) {
        let look = |ran: &Ran| {
            let deployment = ran.deployment();
            assert_eq!(deployment, ("Accepted".to_owned(), capacity));
            assert_eq!(ran.statuses, [status]);
            ((), format!("{status}, Accepted, capacity {capacity}"))
        };
        self.step(operation, command, look).await;
    }

    /// Lets the operation end, seen by polling.
    async fn followed(&self, name: &str, capacity: u64) {
        let command = format!("cognitiveservices account deployment show $ACCOUNT --deployment-name {name}");
        let look = |ran: &Ran| {
            let (state, capacity) = ran.deployment();
            (state.clone(), format!("{state}, capacity {capacity}"))
        };
        let under_way = self.step("show, under way", &command, look).await;
        assert!(under_way != "Succeeded", "it ended by itself");
        self.simulator.control().advance_clock(MINUTES);
        let look = |ran: &Ran| {
            assert_eq!(ran.deployment(), ("Succeeded".to_owned(), capacity));
            let current = &ran.json()["properties"]["currentCapacity"];
            assert_eq!(*current, capacity);
            ((), format!("Succeeded, capacity {current}"))
        };
        self.step("show, in the end", &command, look).await;
    }

    async fn logs_in(&self) {
        let command = "cloud register -n Sim --endpoint-resource-manager $ARM";
        self.step("register a cloud", command, |ran| {
            assert_eq!(ran.code, Some(0), "{}", ran.err);
            ((), "its endpoints are discovered".to_owned())
        })
        .await;
        self.step("use it", "cloud set -n Sim", |ran| {
            assert_eq!(ran.code, Some(0), "{}", ran.err);
            ((), "active".to_owned())
        })
        .await;
        self.step("log in", "login --identity", |ran| {
            let said = ran.json();
            assert_eq!(said[0]["tenantId"], "22222222-2222-4222-8222-222222222222");
            assert_eq!(said[0]["user"]["name"], "systemAssignedIdentity");
            assert_eq!(said.as_array().map(Vec::len), Some(1), "{said}");
            ((), format!("subscription {}", said[0]["id"]))
        })
        .await;
    }

    async fn makes_and_changes(&self) {
        let create = "cognitiveservices account deployment create $ACCOUNT --deployment-name support --model-name $MODEL --sku-name Standard --sku-capacity";
        self.accepted("create", &format!("{create} 50"), 201, 50).await;
        let other = "cognitiveservices account deployment create $ACCOUNT --deployment-name other --model-name $MODEL --sku-name Standard --sku-capacity 1";
        self.step("create while another runs", other, |ran| {
            assert_eq!(ran.statuses, [409]);
            ((), format!("409, {}", ran.refusal("RequestConflict")))
        })
        .await;
        self.followed("support", 50).await;
        self.accepted("update, by create", &format!("{create} 60"), 200, 60)
            .await;
        self.followed("support", 60).await;
        let patch = "rest --method patch --url $DEPLOYMENTS/support?api-version=2026-05-15-preview --body '{\"sku\":{\"name\":\"Standard\",\"capacity\":70}}'";
        self.accepted("update, by PATCH", patch, 202, 70).await;
        self.followed("support", 70).await;
    }

    async fn deploys_models_of_others(&self) {
        let from_region = "cognitiveservices account deployment create $ACCOUNT --deployment-name region --model-name $OTHER --model-source $SOURCE --sku-name Standard --sku-capacity 1";
        self.accepted("create from another region", from_region, 201, 1).await;
        self.followed("region", 1).await;
        let body = json!({"sku": {"name": "Standard", "capacity": 1}, "properties": {"model": {
            "format": "OpenAI", "name": "gpt-4.1-2025-04-14.ft-00112233445566778899aabbccddeeff", "version": "1",
            "sourceAccount": "/subscriptions/44444444-4444-4444-8444-444444444444/resourceGroups/emberway-sim/providers/Microsoft.CognitiveServices/accounts/abroad",
        }}});
        // Too long for a line of the table, so `az` reads it from a file.
        let file = self.directory.path().join("abroad.json");
        std::fs::write(&file, body.to_string()).expect("written");
        let put = "rest --method put --url $DEPLOYMENTS/tenant?api-version=2024-10-01 --body @$DIRECTORY/abroad.json";
        self.step("create from another tenant, without its token", put, |ran| {
            assert_eq!(ran.statuses, [403]);
            ((), format!("403, {}", ran.refusal("LinkedAuthorizationFailed")))
        })
        .await;
        let put = format!("{put} --headers 'x-ms-authorization-auxiliary=Bearer token-of-the-other-tenant'");
        self.accepted("create from another tenant", &put, 201, 1).await;
        self.followed("tenant", 1).await;
    }

    async fn lists(&self) {
        self.step("list", "cognitiveservices account deployment list $ACCOUNT", |ran| {
            let said = ran.json();
            let names: Vec<_> = said
                .as_array()
                .expect("a list")
                .iter()
                .map(|one| &one["name"])
                .collect();
            assert_eq!(names, ["region", "support", "tenant"], "two pages");
            ((), format!("{} deployments of two pages", names.len()))
        })
        .await;
        self.step("quota", "cognitiveservices usage list -l swedencentral", |ran| {
            let said = ran.json();
            let mut lines = said.as_array().expect("a list").iter();
            let line = lines.find(|line| line["name"]["value"] == "OpenAI.Standard.gpt-4.1-mini-finetune");
            let line = line.expect("the line");
            assert_eq!(
                (line["currentValue"].as_f64(), line["limit"].as_f64()),
                (Some(70.0), Some(200.0))
            );
            ((), format!("{} of {} used", line["currentValue"], line["limit"]))
        })
        .await;
        self.step("models", "cognitiveservices account list-models $ACCOUNT", |ran| {
            let said = ran.json();
            let mut models = said.as_array().expect("a list").iter();
            let own =
                models.find(|model| model["name"] == "gpt-4.1-mini-2025-04-14.ft-0123456789abcdef0123456789abcdef");
            let own = own.expect("the fine-tuned model");
            assert_eq!(own["baseModel"]["name"], "gpt-4.1-mini", "{own}");
            (
                (),
                format!("{}, fine-tuned from {}", own["name"], own["baseModel"]["name"]),
            )
        })
        .await;
        let large = "cognitiveservices account deployment create $ACCOUNT --deployment-name large --model-name $MODEL --sku-name Standard --sku-capacity 131";
        self.step("create beyond the quota", large, |ran| {
            assert_eq!(ran.statuses, [400]);
            ((), format!("400, {}", ran.refusal("InsufficientQuota")))
        })
        .await;
    }

    async fn deletes(&self) {
        let command = "cognitiveservices account deployment delete $ACCOUNT --deployment-name support";
        for (operation, status) in [("delete", 202), ("delete again", 204)] {
            self.step(operation, command, |ran| {
                assert_eq!((ran.code, &*ran.statuses), (Some(0), &[status][..]), "{}", ran.err);
                ((), format!("{status}, followed to its end"))
            })
            .await;
        }
        let show = "cognitiveservices account deployment show $ACCOUNT --deployment-name support";
        self.step("show what is gone", show, |ran| {
            assert_eq!(ran.code, Some(3), "how az says that nothing is there");
            ((), ran.refusal("ResourceNotFound"))
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn azure_cli_works_as_against_azure() {
    let usual = folder().join(".venv-azure-cli/bin/az");
    let program = match interpreter("EMBERWAY_TEST_AZ", &usual, &["--help"]).await {
        Ok(program) => program,
        Err(reason) => return skip("azure-cli", &reason),
    };
    let az = Az::start(program).await;
    println!("| operation | command | result |\n| --- | --- | --- |");
    az.logs_in().await;
    az.makes_and_changes().await;
    az.deploys_models_of_others().await;
    az.lists().await;
    az.deletes().await;
}
