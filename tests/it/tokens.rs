//! Tokens of Microsoft Entra ID and of managed identities, from the simulator's endpoints to where they are shown: kept, renewed early
//! and by one request, used on while a renewal fails, replaced when they are refused.
//!
//! The simulator's clock decides which tokens count, and a token's lifetime when it is due; nothing is slept for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use emberway::app;
use emberway::azure::cache::{RENEW_BEFORE, TokenCache};
use emberway::azure::identity::{self, Authorities, Identity, Login};
use emberway::azure::transport::Http;
use emberway::core::arm_id::DeploymentArmId;
use emberway::fleet::connect;
use emberway::simulator::arm::faults::{ArmAction, ArmFault};
use emberway::simulator::faults::Fault;
use emberway::simulator::scenario::Scenario;
use emberway::simulator::{self, Simulator};

use crate::harness::{KEY, WHOLE, client, compile, eventually, preset, read};

const SCOPE: &str = "https://management.azure.com/.default";
const TENANT: &str = "22222222-2222-4222-8222-222222222222";
const CLIENT: &str = "33333333-3333-4333-8333-333333333333";
const HOUR: Duration = Duration::from_hours(1);

/// Where a token comes from, in paths.
const ENTRA: &str = "/oauth2/v2.0/token";
const METADATA: &str = "/metadata/identity/oauth2/token";

/// A simulator whose tokens live so long.
async fn simulator(lifetime_s: u64) -> Simulator {
    let text = format!(
        "engine: {{ time_scale: 0 }}\nlimits: {{ enabled: false }}\narm: {{ token_lifetime_s: {lifetime_s} }}\naccounts:\n\
         \x20 - {{ name: east, region: swedencentral, key_auth: false,\n\
         \x20     deployments: [{{ name: ft, model: gpt-4.1-mini-2025-04-14.ft-1, sku: Standard, capacity: 50 }}] }}\n"
    );
    let started = simulator::start(Scenario::parse(&text).expect("a scenario")).await;
    started.expect("a simulator")
}

fn arm(sim: &Simulator) -> String {
    sim.arm().expect("a control plane").url()
}

/// The statuses of what was asked of a token endpoint.
fn asked(sim: &Simulator, path: &str) -> Vec<u16> {
    let (_, calls) = sim.arm().expect("a control plane").plane().calls.list();
    let to_it = calls.iter().filter(|call| call.path.ends_with(path));
    to_it.map(|call| call.status).collect()
}

fn fault(sim: &Simulator, path: &str, action: ArmAction) {
    let fault = ArmFault {
        method: None,
        path: Some(path.to_owned()),
        count: None,
        action,
    };
    let plane = sim.arm().expect("a control plane").plane();
    plane.faults.add(fault).expect("a fault");
}

fn cache(sim: &Simulator, login: Login) -> Arc<TokenCache> {
    let base = url::Url::parse(&format!("{}/", arm(sim))).expect("a URL");
    let authorities = Authorities {
        authority: base.clone(),
        metadata: base,
    };
    let source = identity::source(login, &authorities, &Http::new(None).expect("a client"));
    Arc::new(TokenCache::new(source.expect("a source")))
}

fn secret() -> Login {
    Login::ClientSecret {
        tenant: TENANT.to_owned(),
        client_id: CLIENT.to_owned(),
        secret: "sim-client-secret".to_owned(),
    }
}

async fn token(cache: &TokenCache) -> Result<String, String> {
    let got = cache.token(SCOPE).await;
    got.map(|token| token.expose().to_owned())
        .map_err(|error| error.to_string())
}

/// What ARM answers to whoever shows a token.
async fn shown(sim: &Simulator, token: &str) -> String {
    let url = format!("{}/subscriptions?api-version=2022-12-01", arm(sim));
    let http = client(reqwest::ClientBuilder::http1_only);
    let answer = read(http.get(url).bearer_auth(token).send().await.expect("an answer")).await;
    match answer.status.as_u16() {
        200 => "taken".to_owned(),
        _ => answer.code(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_renewed_five_minutes_before_its_end_by_one_request_while_all_go_on() {
    let early = Duration::from_secs(2);
    for (login, path) in [
        (secret(), ENTRA),
        (Login::ManagedIdentity(Identity::SystemAssigned), METADATA),
    ] {
        let sim = simulator((RENEW_BEFORE + early).as_secs()).await;
        let cache = cache(&sim, login);
        let began = Instant::now();
        let first = token(&cache).await.expect("a token");
        assert_eq!(token(&cache).await.as_ref(), Ok(&first), "it is not due yet");
        assert_eq!(asked(&sim, path), [200]);
        // A renewal that never ends: whoever needs a token has the old one all the same.
        fault(&sim, path, ArmAction::Hang);
        let plane = sim.arm().expect("a control plane").plane();
        let is_renewing = || async {
            assert_eq!(token(&cache).await.as_ref(), Ok(&first));
            (plane.faults.list()[0].met > 0).then_some(())
        };
        eventually("a renewal", is_renewing).await;
        // `expires_on` of a managed identity is in whole seconds.
        assert!(
            began.elapsed() + Duration::from_secs(1) >= early,
            "{:?}",
            began.elapsed()
        );
        let many = (0..50).map(|_| token(&cache));
        for got in futures_util::future::join_all(many).await {
            assert_eq!(got.as_ref(), Ok(&first));
        }
        assert_eq!(plane.faults.list()[0].met, 1, "one asks, of all");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_old_token_serves_while_a_renewal_fails_and_then_an_error_says_what_to_do() {
    let lifetime = Duration::from_secs(3);
    let sim = simulator(lifetime.as_secs()).await;
    let cache = cache(&sim, secret());
    let first = token(&cache).await.expect("a token");
    let until = Instant::now() + lifetime;
    fault(
        &sim,
        ENTRA,
        ArmAction::Respond {
            status: 401,
            code: "invalid_client".to_owned(),
            message: "AADSTS7000222: The provided client secret keys are expired.".to_owned(),
            retry_after_s: None,
        },
    );
    // It is due from the beginning.
    let has_failed = || async {
        assert_eq!(token(&cache).await.as_ref(), Ok(&first));
        (asked(&sim, ENTRA).len() > 1).then_some(())
    };
    eventually("a renewal that fails", has_failed).await;
    let error = eventually("its end", || async { token(&cache).await.err() }).await;
    assert!(
        Instant::now() + Duration::from_millis(100) >= until,
        "it was given up too early"
    );
    assert!(
        error.contains("AADSTS7000222") && error.ends_with("make a new secret for the application"),
        "{error}"
    );
    assert_eq!(
        shown(&sim, &first).await,
        "ExpiredAuthenticationToken",
        "the simulator agrees"
    );
    assert_eq!(asked(&sim, ENTRA)[..2], [200, 401], "it is not asked again and again");
    assert!(asked(&sim, ENTRA).len() <= 3, "{:?}", asked(&sim, ENTRA));

    sim.arm().expect("a control plane").plane().faults.clear();
    let next = eventually("another token", || async { token(&cache).await.ok() }).await;
    assert_eq!(shown(&sim, &next).await, "taken");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machines_identity_is_asked_for_by_its_id() {
    let sim = simulator(3600).await;
    for identity in [Identity::SystemAssigned, Identity::ClientId(CLIENT.to_owned())] {
        let got = token(&cache(&sim, Login::ManagedIdentity(identity))).await;
        assert_eq!(shown(&sim, &got.expect("a token")).await, "taken");
    }
    let stranger = Login::ManagedIdentity(Identity::ClientId("stranger".to_owned()));
    let error = token(&cache(&sim, stranger)).await.expect_err("nobody");
    assert!(
        error.ends_with("assign the identity to this machine or app, or correct its `client_id`"),
        "{error}"
    );
    assert_eq!(asked(&sim, METADATA), [200, 200, 400]);
}

/// A configuration by which the gateway gets its tokens at the simulator.
fn config(sim: &Simulator, directory: &std::path::Path) -> String {
    let arm = arm(sim);
    format!(
        "listeners: [{{ address: '127.0.0.1:0' }}]\nadmin: {{ address: '127.0.0.1:0' }}\nusage: {{ path: '{}' }}\n\
         azure: {{ management: '{arm}', authority: '{arm}', credential: {{ client_secret: {{ \
         tenant: {TENANT}, client_id: {CLIENT}, secret: '${{env:CLIENT_SECRET}}' }} }} }}\n\
         clients: [{{ name: desk, keys: ['${{env:KEY}}'], debug_headers: true }}]\n\
         resources: [{{ name: a, region: swedencentral, endpoint: '{}', credential: {{ entra: {{}} }}, \
         deployments: [{{ name: ft, sku: Standard, capacity: 50 }}] }}]\n\
         pools: [{{ name: ft, tiers: [[a/ft]] }}]\nroutes: [{{ name: bot, pool: ft }}]\n",
        directory.join("usage.db").display(),
        sim.account("east").expect("an account").url,
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_arm_refuses_is_replaced_whatever_its_lifetime() {
    let sim = simulator(3600).await;
    let directory = tempfile::tempdir().expect("a directory");
    let checked = compile(&config(&sim, directory.path()), &directory.path().join("emberway.yaml"));
    let azure = checked.install.azure.as_ref().expect("a control plane");
    let arm = connect::arm(azure, None).expect("a client");
    let id = "/subscriptions/11111111-1111-4111-8111-111111111111/resourceGroups/emberway-sim/providers/Microsoft.CognitiveServices/accounts/east/deployments/ft";
    let id: DeploymentArmId = id.parse().expect("an id");
    assert_eq!(arm.deployment(&id).await.expect("it is there").name, "ft");
    sim.control().advance_clock(HOUR);
    assert_eq!(arm.deployment(&id).await.expect("by another token").name, "ft");
    assert_eq!(asked(&sim, ENTRA), [200, 200]);
    assert_eq!(asked(&sim, "/deployments/ft"), [200, 401, 200]);
}

/// A gateway whose one resource has no key, and a client.
struct World {
    sim: Simulator,
    gateway: app::Running,
    http: reqwest::Client,
    _directory: tempfile::TempDir,
}

impl World {
    async fn start(lifetime_s: u64) -> Self {
        let sim = simulator(lifetime_s).await;
        let directory = tempfile::tempdir().expect("a directory");
        let checked = compile(&config(&sim, directory.path()), &directory.path().join("emberway.yaml"));
        Self {
            gateway: app::start(checked, None, None).await.expect("a gateway"),
            sim,
            http: client(reqwest::ClientBuilder::http1_only),
            _directory: directory,
        }
    }

    /// Asks, and tells the answer's status.
    async fn ask(&self) -> u16 {
        let url = format!("http://{}/openai/v1/chat/completions", self.gateway.addresses()[0]);
        let request = self.http.post(url).header("api-key", KEY).body(WHOLE);
        read(request.send().await.expect("an answer")).await.status.as_u16()
    }

    /// The statuses that the account answered with.
    fn answered(&self) -> Vec<u16> {
        let requests = self.sim.control().requests(100);
        requests.iter().map(|request| request.outcome.status).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_gateway_goes_on_when_its_token_expires() {
    // Due after eight seconds, so that the old one can have ended while the new one has seconds to live.
    let early = 8;
    let lifetime = RENEW_BEFORE.as_secs() + early;
    let world = World::start(lifetime).await;
    let first = Arc::clone(&world.gateway.gateway().live.load().resources[0].login.value());
    // One of the same age as the gateway's, to see when the account refuses it.
    let twin = cache(&world.sim, secret())
        .token("https://cognitiveservices.azure.com/.default")
        .await;
    let twin = twin.expect("a token");
    assert_eq!(world.ask().await, 200);
    assert_eq!(asked(&world.sim, ENTRA).len(), 2);
    eventually("a renewal", || async {
        (asked(&world.sim, ENTRA).len() == 3).then_some(())
    })
    .await;
    let live = world.gateway.gateway().live.load_full();
    let login = &live.resources[0].login;
    // It is put to use at the next look.
    eventually("its use", || async { (**login.value() != *first).then_some(()) }).await;
    world
        .sim
        .control()
        .advance_clock(Duration::from_secs(lifetime - early + 3));
    let account = &world.sim.account("east").expect("an account").url;
    let url = format!("{account}/openai/v1/chat/completions");
    let refused = world
        .http
        .post(url)
        .bearer_auth(twin.expose())
        .body(WHOLE)
        .send()
        .await
        .expect("an answer");
    assert_eq!(refused.status(), 401, "the first token has ended");
    assert_eq!(world.ask().await, 200);
    assert_eq!(
        world.answered(),
        [200, 401, 200],
        "the gateway showed no token that had ended"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_whose_token_is_refused_is_sent_again_with_another_one() {
    let world = World::start(3600).await;
    assert_eq!(world.ask().await, 200);
    world.sim.control().advance_clock(HOUR);
    assert_eq!(world.ask().await, 200);
    assert_eq!(world.answered(), [200, 401, 200]);
    assert_eq!(asked(&world.sim, ENTRA), [200, 200]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resource_that_refuses_every_token_is_no_reason_to_ask_for_one_each_time() {
    let world = World::start(3600).await;
    let fault = preset("missing_role");
    world.sim.control().add_fault(Fault::new(fault)).expect("a fault");
    // Tokens of the same second are the same.
    world.sim.control().advance_clock(Duration::from_secs(1));
    for _ in 0..3 {
        assert_eq!(world.ask().await, 502);
    }
    assert_eq!(world.answered(), [401; 4], "the first request was sent again");
    assert_eq!(asked(&world.sim, ENTRA).len(), 2, "the first, and one anew");
}
