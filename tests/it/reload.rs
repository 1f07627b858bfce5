//! A configuration is replaced while requests run: the new one holds for new requests, nobody notices the change itself.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::harness::{KEY, STREAM, Setup, V1, WHOLE, World, eventually, preset, upstreams};
use crate::wire::{Wire, request};

impl World {
    /// Replaces the configuration file at once, as editors and orchestrators do; the gateway is to notice by itself.
    pub(crate) async fn replace_config(&self, text: &str) {
        let new = self.config_path().with_extension("new");
        tokio::fs::write(&new, text).await.unwrap();
        tokio::fs::rename(&new, self.config_path()).await.unwrap();
    }

    /// Keeps the key of account `a` in a file from now on, with this in it: the second configuration. Returns the file.
    pub(crate) async fn key_in_a_file(&self, key: &str) -> PathBuf {
        let file = self.config_path().with_file_name("token");
        tokio::fs::write(&file, key).await.unwrap();
        let config = tokio::fs::read_to_string(self.config_path()).await.unwrap();
        self.replace_config(&config.replace("${env:KEY_a}", "${file:token}"))
            .await;
        self.generation(2).await;
        file
    }

    /// Waits for this many configurations to have been put to use.
    pub(crate) async fn generation(&self, generation: u64) {
        let status = self.gateway.config_watch().expect("a watch").status();
        eventually("a reload", || async {
            let now = status.load();
            assert_eq!(now.last_error, None);
            (now.generation == generation).then_some(())
        })
        .await;
    }

    /// Asks for a reload whatever the file says, as SIGHUP does.
    fn reload(&self) {
        self.gateway.config_watch().expect("a watch").reload();
    }

    /// Waits for the file to be refused, and returns why.
    async fn refusal(&self) -> String {
        let status = self.gateway.config_watch().expect("a watch").status();
        eventually("a refusal", || async { status.load().last_error.clone() }).await
    }

    /// The configuration as it is, with the accounts in the opposite order of preference.
    fn reversed_config(&self, setup: &Setup) -> String {
        let mut upstreams = upstreams(setup, &self.sim);
        upstreams.reverse();
        setup.config(&upstreams, self.config_path().parent().unwrap())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_under_load_is_noticed_by_nobody() {
    let setup = Setup {
        engine: "base_latency_ms: 2, prefill_us_per_token: 0, decode_tokens_per_s: 2000",
        ..Setup::default()
    };
    let world = Arc::new(World::start(setup.clone()).await);
    let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..8)
        .map(|number| {
            let (world, stop, asked) = (Arc::clone(&world), Arc::clone(&stop), Arc::clone(&asked));
            let question = if number % 2 == 0 { WHOLE } else { STREAM };
            tokio::spawn(async move {
                while !stop.load(Ordering::Acquire) {
                    let answer = world.ask(question).await;
                    assert_eq!(
                        (answer.status.as_u16(), answer.header("x-emberway-attempts")),
                        (200, "1")
                    );
                    if question == STREAM {
                        assert!(answer.text().ends_with("data: [DONE]\n\n"), "{answer:?}");
                    }
                    asked.fetch_add(1, Ordering::AcqRel);
                }
            })
        })
        .collect();
    let original = tokio::fs::read_to_string(world.config_path()).await.unwrap();
    for generation in 2..8 {
        let before = asked.load(Ordering::Acquire);
        eventually("load", || async {
            (asked.load(Ordering::Acquire) > before + 20).then_some(())
        })
        .await;
        let is_reversed = generation % 2 == 0;
        let text = if is_reversed {
            world.reversed_config(&setup)
        } else {
            original.clone()
        };
        world.replace_config(&text).await;
        world.generation(generation).await;
        let expect = if is_reversed { "b/ft" } else { "a/ft" };
        assert_eq!(world.ask(WHOLE).await.header("x-emberway-deployment"), expect);
    }
    world.reload();
    world.generation(8).await;
    stop.store(true, Ordering::Release);
    for client in clients {
        client.await.expect("no error");
    }
    assert_eq!(
        world.metric("emberway_config_reloads_total{result=\"loaded\"}").await,
        Some(7.0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_ends_in_the_configuration_it_began_in() {
    let setup = Setup {
        engine: "base_latency_ms: 1, prefill_us_per_token: 0, decode_tokens_per_s: 60, min_output_tokens: 40, max_output_tokens: 40",
        ..Setup::default()
    };
    let world = World::start(setup.clone()).await;
    let mut wire = Wire::connect(world.address()).await;
    wire.send(request(KEY, STREAM)).await;
    let head = wire.read_until("\r\n\r\n").await;
    assert!(head.contains("x-emberway-deployment: a/ft"), "{head}");
    // The resource and the key it came with go away.
    let text = world.reversed_config(&setup);
    let text = text
        .replace("${env:KEY}", "${env:OTHER_KEY}")
        .replace("[[b/ft], [a/ft]]", "[[b/ft]]");
    world.replace_config(&text).await;
    world.generation(2).await;
    assert_eq!(world.ask(WHOLE).await.status, 401, "the key is withdrawn");
    let rest = wire.read_until("data: [DONE]\n\n").await;
    assert!(!rest.contains("\"error\""), "{rest}");
    let record = world.records_once(1).await.remove(0);
    assert_eq!(
        (record.outcome.as_str(), record.deployment.as_deref()),
        ("success", Some("a/ft"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_file_changes_nothing_and_readiness_tells() {
    let world = World::start(Setup::default()).await;
    let good = tokio::fs::read_to_string(world.config_path()).await.unwrap();
    for (what, bad) in [
        ("not YAML", "listeners: [".to_owned()),
        ("unknown field", good.clone() + "nonsense: 1\n"),
        ("unknown pool", good.replace("pool: ft", "pool: nowhere")),
        ("fixed at start", good.replace("drain: 10s", "drain: 11s")),
    ] {
        world.replace_config(&bad).await;
        let error = world.refusal().await;
        assert_eq!(world.ask(WHOLE).await.status, 200, "{what}");
        let ready = world.admin("/readyz").await;
        assert_eq!(ready.status, 200, "{what}: it still serves");
        assert_eq!(ready.json()["config"]["last_error"], error, "{what}");
        assert_eq!(ready.json()["config"]["generation"], 1, "{what}");
        assert_eq!(world.metric("emberway_config_reload_failed").await, Some(1.0), "{what}");
        world.replace_config(&good).await;
        let status = world.gateway.config_watch().unwrap().status();
        eventually("the good file", || async {
            status.load().last_error.is_none().then_some(())
        })
        .await;
        assert_eq!(world.metric("emberway_config_reload_failed").await, Some(0.0), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_credential_is_read_anew_and_the_request_sent_again() {
    let world = World::start(Setup::default()).await;
    let token = world.key_in_a_file("an-older-key-of-this-resource").await;
    // Whoever renews it writes the file, and tells nobody.
    tokio::fs::write(&token, "key-a").await.unwrap();
    let answer = world.ask(WHOLE).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("x-emberway-attempts")),
        (200, "1")
    );
    assert_eq!(answer.header("x-emberway-deployment"), "a/ft");
    assert_eq!(world.requests_to("a").len(), 2, "refused, and sent again");
    // One that is wrong is not read with each request, and others answer meanwhile.
    tokio::fs::write(&token, "a-wrong-key-of-this-resource").await.unwrap();
    world.reload();
    eventually("the wrong key is in use", async || {
        let answer = world.ask(WHOLE).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        (answer.header("x-emberway-deployment") == "b/ft").then_some(())
    })
    .await;
    let generation = world
        .gateway
        .config_watch()
        .expect("a watch")
        .status()
        .load()
        .generation;
    assert_eq!(generation, 4, "two by the test, one for the first refusal");
    // With the right one the resource is as good as new at once, alarm and all.
    tokio::fs::write(&token, "key-a").await.unwrap();
    world.reload();
    world.generation(5).await;
    assert_eq!(world.ask(WHOLE).await.header("x-emberway-deployment"), "a/ft");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_learned_of_a_deployment_survives_a_reload() {
    let setup = Setup {
        health: "consecutive_failures: 1, open_for: 60s",
        ..Setup::default()
    };
    let world = World::start(setup.clone()).await;
    world.fault_times("a", 1, preset("server_error"));
    assert_eq!(world.ask(WHOLE).await.header("x-emberway-attempts"), "2");
    let before = world.deployment("b/ft").await["last_success_at_ms"].clone();
    assert!(before.is_i64());
    let text = tokio::fs::read_to_string(world.config_path()).await.unwrap();
    world
        .replace_config(&text.replace("capacity: 10000,", "capacity: 20000,"))
        .await;
    world.generation(2).await;
    assert_eq!(world.deployment("a/ft").await["breaker"], "open");
    assert_eq!(world.deployment("b/ft").await["last_success_at_ms"], before);
    assert_eq!(world.ask(WHOLE).await.header("x-emberway-deployment"), "b/ft");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_smaller_body_limit_holds_from_the_next_request_on() {
    let world = World::start(Setup::default()).await;
    let text = tokio::fs::read_to_string(world.config_path()).await.unwrap();
    world
        .replace_config(&text.replace("limits: {", "limits: { body_size: 1KiB,"))
        .await;
    world.generation(2).await;
    let body = WHOLE.replace("parcel", &"parcel ".repeat(200));
    assert_eq!(world.post(V1, body).send().await.unwrap().status(), 413);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_room_for_bodies_grows_with_a_reload() {
    let world = World::start(Setup {
        limits: "body_size: 64KiB, held_bodies: 64KiB",
        simulated: "capacity: 1000, context_tokens: 100000000",
        ..Setup::default()
    })
    .await;
    let body = WHOLE.replace("parcel", &"parcel ".repeat(40_000));
    assert_eq!(world.ask(body.clone()).await.status, 413);
    let text = tokio::fs::read_to_string(world.config_path()).await.unwrap();
    world.replace_config(&text.replace("64KiB", "1MiB")).await;
    world.generation(2).await;
    assert_eq!(world.ask(body.clone()).await.status, 200);
    world.replace_config(&text).await;
    world.generation(3).await;
    assert_eq!(world.ask(body).await.status, 413);
    assert_eq!(world.ask(WHOLE).await.status, 200);
    assert_eq!(world.metric("emberway_held_body_bytes").await, Some(0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_comes_back_remembers_its_last_success() {
    let setup = Setup::default();
    let world = World::start(setup.clone()).await;
    let answer = world.ask(WHOLE).await;
    assert_eq!(answer.header("x-emberway-deployment"), "a/ft");
    world.record(&answer.headers).await;
    let before = world.deployment("a/ft").await;
    let original = tokio::fs::read_to_string(world.config_path()).await.unwrap();
    let mut upstreams = upstreams(&setup, &world.sim);
    upstreams.retain(|(name, _)| name != "a");
    let without = setup.config(&upstreams, world.config_path().parent().unwrap());
    world.replace_config(&without).await;
    world.generation(2).await;
    assert_eq!(world.ask(WHOLE).await.header("x-emberway-deployment"), "b/ft");
    world.replace_config(&original).await;
    world.generation(3).await;
    let after = world.deployment("a/ft").await;
    // The store dates a success by its request's beginning.
    let at = |deployment: &serde_json::Value, what: &str| deployment[what].as_i64().unwrap_or_default();
    assert!(at(&after, "last_success_at_ms") > 0, "{after}");
    assert!(at(&after, "last_success_at_ms") <= at(&before, "last_success_at_ms"));
    assert!(at(&after, "deletion_at_ms") > 0, "{after}");
    assert!(at(&after, "deletion_at_ms") <= at(&before, "deletion_at_ms"));
}

#[tokio::test(flavor = "multi_thread")]
async fn running_requests_are_counted_across_a_reload() {
    let world = World::start(Setup::default()).await;
    world.fault("a", emberway::simulator::faults::Action::Delay { ms: 60_000 });
    let asking = tokio::spawn(world.post(V1, WHOLE).send());
    let series = r#"emberway_requests_in_flight{route="bot"}"#;
    let shows = async |count: f64| {
        eventually("the number of running requests", || async {
            (world.metric(series).await == Some(count)).then_some(())
        })
        .await;
    };
    shows(1.0).await;
    world.reload();
    world.generation(2).await;
    assert_eq!(world.metric(series).await, Some(1.0));
    asking.abort();
    shows(0.0).await;
}
