//! A person at a desk: the built program, told by its environment where the simulator's control plane is and what token to show.
//!
//! The world has two tenants. `home` in Sweden, `trainer` in North Central US, `paris` and `forming` are accounts of one subscription,
//! `branch` of another of the same tenant, and `partner` is of the other tenant. [`MODEL`] is trained in `home`, [`NANO`] in `trainer`,
//! [`THEIRS`] in `partner`.

use std::fmt::Write as _;

use emberway::simulator::arm::reads::ArmStatus;
use emberway::simulator::scenario::Scenario;
use emberway::simulator::{self, Simulator};

use crate::cli::program::Place;

/// Trained in `home`, with a checkpoint.
pub(crate) const MODEL: &str = "gpt-4.1-mini-2025-04-14.ft-0123456789abcdef0123456789abcdef";
/// A checkpoint of it.
pub(crate) const CHECKPOINT: &str = "ftchkpt-e559c011ecc04fc68eaa339d8227d02d";
/// Trained in `trainer`.
pub(crate) const NANO: &str = "gpt-4.1-nano-2025-04-14.ft-fedcba9876543210fedcba9876543210";
/// Trained in `partner`.
pub(crate) const THEIRS: &str = "gpt-4o-2024-08-06.ft-00112233445566778899aabbccddeeff";
/// The subscription of most accounts, of the first tenant.
pub(crate) const SUBSCRIPTION: &str = "11111111-1111-4111-8111-111111111111";
/// The subscription of `branch`, of the same tenant.
pub(crate) const SECOND_SUBSCRIPTION: &str = "11111111-1111-4111-8111-222222222222";
/// The subscription of `partner`, of the other tenant.
pub(crate) const PARTNERS_SUBSCRIPTION: &str = "11111111-1111-4111-8111-333333333333";
/// The first tenant.
pub(crate) const TENANT: &str = "22222222-2222-4222-8222-222222222222";
/// The other tenant.
pub(crate) const PARTNERS_TENANT: &str = "22222222-2222-4222-8222-333333333333";
/// The application that may do everything.
pub(crate) const CLIENT: &str = "33333333-3333-4333-8333-333333333333";
/// A token of the application that may do everything, in the first tenant.
pub(crate) const TOKEN: &str = "sim-arm-token";
/// A token of the same application in the other tenant.
pub(crate) const PARTNERS_TOKEN: &str = "token-of-the-other-tenant";
/// A token of somebody who only reads.
pub(crate) const READERS_TOKEN: &str = "token-of-a-reader";
/// A token of somebody who may deploy in `home` and `branch`, and has no right on `trainer`.
pub(crate) const HOMES_TOKEN: &str = "token-of-the-home-team";
/// A token in the other tenant of somebody who has no right on `partner`.
pub(crate) const GUESTS_TOKEN: &str = "token-of-a-guest-there";

/// What is built of one world.
const ACCOUNTS: &str = "\
accounts:
  - { name: home, region: swedencentral, api_keys: [key-home], fine_tuned_models: [{ model: MODEL, checkpoints: [CHECKPOINT] },
      { model: gpt-4o-mini-2024-07-18.ft-44444444444444444444444444444444 }] }
  - { name: trainer, region: northcentralus, api_keys: [key-trainer], fine_tuned_models: [{ model: NANO }] }
  - { name: paris, region: francecentral, fine_tuned_models: [{ model: gpt-4.1-nano-2025-04-14.ft-1 }] }
  - { name: forming, region: swedencentral, provisioning_state: Creating, fine_tuned_models: [{ model: MODEL }] }
  - { name: branch, region: swedencentral, subscription: SECOND }
  - { name: partner, region: northcentralus, subscription: PARTNERS, fine_tuned_models: [{ model: THEIRS }] }
";

/// The built program in a place of its own, in front of a control plane.
pub(crate) struct Desk {
    pub(crate) sim: Simulator,
    pub(crate) place: Place,
}

impl Desk {
    /// Starts the world; `arm` is more of the scenario's section of that name, such as `durations: { create_s: 1 }`.
    pub(crate) async fn start(arm: &str) -> Self {
        let of_home = ["home", "branch"].map(account);
        let rights = |role: &str, scopes: &[String]| {
            let one = |scope: &String| format!("{{ scope: '{scope}', role: {role} }}");
            scopes.iter().map(one).collect::<Vec<_>>().join(", ")
        };
        let everywhere = [SUBSCRIPTION, SECOND_SUBSCRIPTION].map(|id| format!("/subscriptions/{id}"));
        let mut text = format!(
            "starts_at: 2026-06-01T00:00:00Z\nengine: {{ time_scale: 0 }}\nlimits: {{ enabled: false }}\narm:\n\
             \x20 {arm}\n\
             \x20 subscriptions: [{{ id: {SECOND_SUBSCRIPTION}, tenant: {TENANT} }}, {{ id: {PARTNERS_SUBSCRIPTION}, tenant: {PARTNERS_TENANT} }}]\n\
             \x20 tokens:\n"
        );
        for (token, principal, tenant) in [
            (TOKEN, "operator", TENANT),
            (PARTNERS_TOKEN, "operator", PARTNERS_TENANT),
            (READERS_TOKEN, "reader", TENANT),
            (HOMES_TOKEN, "home", TENANT),
            (GUESTS_TOKEN, "reader", PARTNERS_TENANT),
        ] {
            writeln!(
                text,
                "  - {{ token: {token}, principal: {principal}, tenant: {tenant} }}"
            )
            .expect("text");
        }
        write!(
            text,
            "\x20 principals:\n\
             \x20 - {{ name: operator, client_id: {CLIENT}, object_id: 44444444-4444-4444-8444-444444444444,\n\
             \x20     client_secret: sim-client-secret, managed_identity: system }}\n\
             \x20 - {{ name: reader, client_id: 33333333-3333-4333-8333-444444444444, object_id: 44444444-4444-4444-8444-555555555555,\n\
             \x20     rights: [{}] }}\n\
             \x20 - {{ name: home, client_id: 33333333-3333-4333-8333-555555555555, object_id: 44444444-4444-4444-8444-666666666666,\n\
             \x20     rights: [{}] }}\n",
            rights("reader", &everywhere),
            rights("openai_contributor", &of_home),
        )
        .expect("text");
        let mut accounts = ACCOUNTS.to_owned();
        for (word, meant) in [
            ("MODEL", MODEL),
            ("CHECKPOINT", CHECKPOINT),
            ("NANO", NANO),
            ("THEIRS", THEIRS),
            ("SECOND", SECOND_SUBSCRIPTION),
            ("PARTNERS", PARTNERS_SUBSCRIPTION),
        ] {
            accounts = accounts.replace(word, meant);
        }
        text.push_str(&accounts);
        let scenario = Scenario::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        Self {
            sim: simulator::start(scenario).await.expect("a simulator"),
            place: Place::new(),
        }
    }

    /// Where the control plane is.
    pub(crate) fn url(&self) -> String {
        self.sim.arm().expect("a control plane").url()
    }

    /// Runs the program as whoever may do everything.
    pub(crate) async fn run(&self, arguments: &[&str]) -> String {
        self.run_as(TOKEN, arguments).await
    }

    /// Runs the program with another token.
    pub(crate) async fn run_as(&self, token: &str, arguments: &[&str]) -> String {
        self.run_with(arguments, &[("AZURE_ACCESS_TOKEN", token)]).await
    }

    /// Runs the program with variables beside those that say where the control plane is.
    pub(crate) async fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> String {
        let url = self.url();
        let usual = [
            ("AZURE_RESOURCE_MANAGER_URL", url.as_str()),
            ("AZURE_SUBSCRIPTION_ID", SUBSCRIPTION),
            ("AZURE_RESOURCE_GROUP", "emberway-sim"),
        ];
        self.place.run_with(arguments, &[&usual[..], variables].concat()).await
    }

    /// The control plane's own state.
    pub(crate) fn status(&self) -> ArmStatus {
        let control = self.sim.control();
        let arm = control.arm().expect("a control plane");
        arm.plane().status(control.unix_ms(), String::new(), true)
    }
}

/// The ARM id of an account of this world.
pub(crate) fn account(name: &str) -> String {
    let subscription = match name {
        "branch" => SECOND_SUBSCRIPTION,
        "partner" => PARTNERS_SUBSCRIPTION,
        _ => SUBSCRIPTION,
    };
    format!(
        "/subscriptions/{subscription}/resourceGroups/emberway-sim/providers/Microsoft.CognitiveServices/accounts/{name}"
    )
}

/// The arguments of `deployment create` for an account, a deployment's name and a model.
pub(crate) fn create<'a>(account: &'a str, deployment: &'a str, model: &'a str) -> Vec<&'a str> {
    let flags = ["--deployment-name", deployment, "--model-name", model];
    [&["deployment", "create", "-n", account][..], &flags].concat()
}
