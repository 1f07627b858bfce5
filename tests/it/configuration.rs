//! The configuration is changed over the admin listener: checked, played, applied, restored, and refused where it must be.

use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::thread::JoinHandle;

use notify::event::AccessKind;
use notify::{EventKind, RecursiveMode, Watcher as _};
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, KEY, Setup, WHOLE, World, eventually, read, sha256, upstreams};

impl World {
    /// Asks the API.
    async fn ask_config(&self, method: Method, path: &str, body: Value) -> Answer {
        let url = format!("http://{}/api/v1{path}", self.gateway.admin_address());
        let request = self.client.request(method, url).header("x-emberway-csrf", "1");
        let request = if body.is_null() { request } else { request.json(&body) };
        read(request.send().await.expect("an answer")).await
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.ask_config(Method::GET, path, Value::Null).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// Applies a text in place of what the file holds.
    async fn apply(&self, text: &str) -> Answer {
        let base = self.get("/config").await["sha256"].clone();
        let body = json!({ "text": text, "base_sha256": base, "note": "a test" });
        self.ask_config(Method::POST, "/config/apply", body).await
    }

    async fn held(&self) -> String {
        tokio::fs::read_to_string(self.config_path()).await.expect("a file")
    }

    /// Who answers a question.
    async fn answered_by(&self) -> String {
        self.ask(WHOLE).await.header("x-emberway-deployment").to_owned()
    }
}

/// The usual configuration with the accounts in the opposite order.
fn reversed(world: &World, setup: &Setup) -> String {
    let mut upstreams = upstreams(setup, &world.sim);
    upstreams.reverse();
    setup.config(&upstreams, world.config_path().parent().expect("a folder"))
}

/// The problems of an answer as `emberway check --json` names their members.
fn as_checked(problems: &Value) -> Vec<Value> {
    let problems = problems.as_array().expect("a list").iter();
    let renamed = problems.map(|problem| {
        let mut own = json!({
            "field": problem["path"],
            "line": problem["line"].as_u64().unwrap_or(0),
            "column": problem["column"].as_u64().unwrap_or(0),
            "message": problem["message"],
        });
        if !problem["help"].is_null() {
            own["hint"] = problem["help"].clone();
        }
        own
    });
    renamed.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_is_checked_as_the_command_checks_it() {
    let world = World::start(Setup::default()).await;
    let text = world.held().await;
    let wrong = text
        .replace("pool: embed }", "pool: embedd }")
        .replace("debug_headers: true", "debug_header: true");
    for broken in [wrong.as_str(), "listeners: [", "routes: []\n"] {
        let file = world.config_path().with_file_name("typed.yaml");
        tokio::fs::write(&file, broken).await.expect("written");
        let command = Command::new(env!("CARGO_BIN_EXE_emberway"))
            .args(["check", "--json", "--config"])
            .arg(&file)
            .envs([("KEY", KEY), ("KEY_a", "key-a"), ("KEY_b", "key-b")])
            .output()
            .expect("it runs");
        let printed: Value = serde_json::from_slice(&command.stdout).expect("JSON");
        let answer = world
            .ask_config(Method::POST, "/config/check", json!({ "text": broken }))
            .await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let answer = answer.json();
        assert_eq!(answer["ok"], false);
        assert_eq!(
            Value::from(as_checked(&answer["problems"])),
            printed["errors"],
            "{broken}"
        );
    }
    let moved = text.replace("pool: ft }", "pool: embed }");
    let answer = world
        .ask_config(Method::POST, "/config/check", json!({ "text": moved }))
        .await
        .json();
    assert_eq!(answer["ok"], true, "{answer}");
    assert_eq!(
        answer["changes"],
        json!([{ "text": "route `bot`: pool changed from `ft` to `embed`", "needs_restart": false }])
    );
    let diff = answer["diff"].as_str().expect("a text");
    assert!(diff.contains("+routes: [{ name: bot, pool: embed }"), "{diff}");
    let schema = world.get("/config/schema").await;
    assert_eq!(schema["title"], "Emberway configuration");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_applied_routes_at_once_and_can_be_restored() {
    let setup = Setup::default();
    let world = World::start(setup.clone()).await;
    let (first, second) = (world.held().await, reversed(&world, &setup));
    assert_eq!(world.answered_by().await, "a/ft");

    let shown = world.get("/config").await;
    assert_eq!(
        (&shown["writable"], &shown["text"]),
        (&json!(true), &json!(first)),
        "{shown}"
    );
    assert!(!shown.to_string().contains("key-a") && !shown.to_string().contains(KEY));
    let applied = world.apply(&second).await;
    assert_eq!(applied.status, 200, "{applied:?}");
    assert_eq!(applied.json()["generation"], 2);
    assert_eq!(world.answered_by().await, "b/ft", "the very next request");
    assert_eq!(world.held().await, second);

    let late = json!({ "text": first, "base_sha256": shown["sha256"], "note": "" });
    let late = world.ask_config(Method::POST, "/config/apply", late).await;
    assert_eq!((late.status.as_u16(), late.code().as_str()), (409, "config_changed"));
    assert_eq!(late.json()["sha256"], sha256(&second), "what it holds now");
    assert_eq!(world.apply(&second).await.code(), "config_unchanged");

    let versions = world.get("/config/versions").await["versions"].clone();
    let told = |at: usize, member: &str| versions[at][member].clone();
    assert_eq!(versions.as_array().map(Vec::len), Some(2), "{versions}");
    assert_eq!(
        (told(0, "who"), told(0, "note"), told(0, "current")),
        (json!("local"), json!("a test"), json!(true))
    );
    assert_eq!((told(1, "who"), told(1, "current")), (json!("file"), json!(false)));
    assert!(
        told(0, "summary")
            .as_str()
            .expect("a text")
            .contains("pool `ft`: tiers"),
        "{versions}"
    );

    let oldest = told(1, "id").as_i64().expect("a number");
    let body = json!({ "base_sha256": sha256(&second), "note": "" });
    let restored = world
        .ask_config(
            Method::POST,
            &format!("/config/versions/{oldest}/restore"),
            body.clone(),
        )
        .await;
    assert_eq!(restored.status, 200, "{restored:?}");
    assert_eq!(
        (world.answered_by().await, world.held().await),
        ("a/ft".to_owned(), first.clone())
    );
    let none = world
        .ask_config(Method::POST, "/config/versions/99/restore", body)
        .await;
    assert_eq!((none.status.as_u16(), none.code().as_str()), (404, "unknown_version"));

    entered(&world, oldest).await;
}

/// What the audit tells of the changes before: what was done, in whole sentences.
async fn entered(world: &World, restored: i64) {
    let audit = world.get("/audit").await;
    let of = |path: &str, result: &str| {
        let mut entries = audit["entries"].as_array().expect("a list").iter();
        let entry = entries.find(|entry| entry["subject"] == path && entry["result"] == result);
        entry.expect("an entry")["text"].as_str().expect("a text").to_owned()
    };
    let versions = world.get("/config/versions").await["versions"].clone();
    let newest = &versions[0]["id"];
    let text = of("/api/v1/config/versions/{id}/restore", "done");
    let expected = format!("restored version {restored} of the configuration as version {newest}, by local: pool `");
    assert!(text.starts_with(&expected) && !text.contains("note"), "{text}");
    let text = of("/api/v1/config/apply", "done");
    assert!(
        text.starts_with("changed the configuration to version ") && text.ends_with("; note: a test"),
        "{text}"
    );
    // What was refused did nothing that could be told.
    let refused = of("/api/v1/config/versions/{id}/restore", "404 unknown_version");
    assert_eq!(refused, "restore version 99 of the configuration");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_by_hand_becomes_a_version_too() {
    let setup = Setup::default();
    let world = World::start(setup.clone()).await;
    let second = reversed(&world, &setup);
    let newest_of = async |count: usize| {
        eventually("a version by the file", || async {
            let versions = world.get("/config/versions").await["versions"].clone();
            (versions.as_array().map(Vec::len) == Some(count)).then(|| versions[0].clone())
        })
        .await
    };
    newest_of(1).await;
    world.replace_config(&second).await;
    let newest = newest_of(2).await;
    assert_eq!((&newest["who"], &newest["current"]), (&json!("file"), &json!(true)));
    assert!(
        newest["summary"].as_str().expect("a text").contains("lines added"),
        "{newest}"
    );
    let text = world.get(&format!("/config/versions/{}", newest["id"])).await["text"].clone();
    assert_eq!(text, json!(second));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_was_never_in_use_becomes_no_version() {
    let world = World::start(Setup::default()).await;
    let text = world.held().await;
    let broken = text.clone() + "\nno_such_section: {}\n";
    world.replace_config(&broken).await;
    eventually("the refusal", || async {
        let shown = world.get("/config").await;
        (shown["last_error"] != Value::Null).then_some(())
    })
    .await;
    let mended = text.clone() + "\n# mended\n";
    let applied = world.apply(&mended).await;
    assert_eq!(applied.status, 200, "{applied:?}");
    let versions = world.get("/config/versions").await["versions"].clone();
    for version in versions.as_array().expect("a list") {
        let kept = world.get(&format!("/config/versions/{}", version["id"])).await["text"].clone();
        assert_ne!(kept, json!(broken), "{versions}");
    }
}

/// A file that holds a usable key for its first reader, and for every later one a key that cannot travel in a header: as if it were
/// replaced between the check and the reload.
fn good_once_then_bad(path: &Path) -> JoinHandle<io::Result<()>> {
    let bad = path.with_extension("bad");
    std::fs::write(path, "a-key-that-can-be-sent-and-is-long").expect("written");
    std::fs::write(&bad, "a-key-with-a-\u{7f}-in-it-that-is-long").expect("written");
    let (seen, events) = mpsc::channel();
    let mut watcher = notify::recommended_watcher(seen).expect("a watcher");
    watcher.watch(path, RecursiveMode::NonRecursive).expect("watched");
    let path = path.to_owned();
    std::thread::spawn(move || {
        let _watcher = watcher;
        let is_open = |event: notify::Result<notify::Event>| {
            event.is_ok_and(|event| matches!(event.kind, EventKind::Access(AccessKind::Open(_))))
        };
        // The first reader has opened what it reads; whoever opens it after this finds the other.
        if !events.into_iter().any(is_open) {
            return Err(io::Error::other("nobody read it"));
        }
        std::fs::rename(&bad, &path)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_the_reload_refuses_is_taken_back() {
    let world = World::start(Setup::default()).await;
    let text = world.held().await;
    let feeding = good_once_then_bad(&world.config_path().with_file_name("key"));
    let bad = text.replace("${env:KEY_b}", "${file:key}");
    let refused = world.apply(&bad).await;
    feeding.join().expect("it was read").expect("and fed");
    assert_eq!(
        (refused.status.as_u16(), refused.code().as_str()),
        (422, "config_refused"),
        "{refused:?}"
    );
    assert!(refused.text().contains("cannot travel in a header"), "{refused:?}");
    assert!(!refused.text().contains("a-key-"), "{refused:?}");
    assert_eq!(world.held().await, text);
    let shown = world.get("/config").await;
    assert_eq!(
        (&shown["last_error"], &shown["generation"]),
        (&Value::Null, &json!(1)),
        "{shown}"
    );
    assert_eq!(world.answered_by().await, "a/ft");

    for (wrong, code) in [
        (text.replace("pool: ft }", "pool: gone }"), "config_invalid"),
        (text.replace("drain: 10s", "drain: 11s"), "config_needs_restart"),
    ] {
        let refused = world.apply(&wrong).await;
        assert_eq!(
            (refused.status.as_u16(), refused.code().as_str()),
            (422, code),
            "{refused:?}"
        );
        assert_eq!(refused.json()["problems"][0]["severity"], "error", "{refused:?}");
        assert_eq!(world.held().await, text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_managed_elsewhere_is_not_changed() {
    let setup = Setup::default();
    let world = World::start(setup.clone()).await;
    let (text, other) = (world.held().await, reversed(&world, &setup));
    let folder = world.directory();
    let refused = async |why: &str| {
        let shown = world.get("/config").await;
        assert_eq!(shown["writable"], false);
        assert!(shown["reason"].as_str().expect("a reason").contains(why), "{shown}");
        assert_eq!(world.get("/session").await["config_writable"], false);
        let answer = world.apply(&other).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (409, "config_not_writable")
        );
        assert_eq!(world.held().await, text);
    };
    std::fs::create_dir(folder.path().join(".git")).expect("made");
    refused("Git work tree").await;
    std::fs::remove_dir(folder.path().join(".git")).expect("removed");

    // As Kubernetes mounts a ConfigMap.
    let mounted = folder.path().join("..2026");
    std::fs::create_dir(&mounted).expect("made");
    std::fs::rename(world.config_path(), mounted.join("emberway.yaml")).expect("moved");
    symlink("..2026", folder.path().join("..data")).expect("a link");
    symlink("..data/emberway.yaml", world.config_path()).expect("a link");
    refused("ConfigMap").await;
}

/// Shared beginnings, each longer than the 1,024 tokens below which nothing is cached. Five of them in turn over four deployments in
/// turn: each meets all four.
const HEADS: usize = 5;
/// Requests of a head; fewer than would overflow to a deployment's next machine.
const ROUNDS: usize = 12;
/// Points of a hundred by which what is foretold may be wrong. A head computed once more or less is 1.6.
const POINTS: f64 = 3.0;

/// Asks all heads in turn, and returns the share of prompt tokens that the answers report as cached.
async fn hit_ratio(world: &World, of: &str) -> f64 {
    let (mut prompt, mut cached) = (0.0, 0.0);
    for round in 0..ROUNDS {
        for head in 0..HEADS {
            let shared = format!("{of} {head}. ") + &format!("Rule {head} of {of} is to be kind. ").repeat(250);
            let body = json!({ "model": "bot", "max_tokens": 16, "messages": [
                { "role": "system", "content": shared },
                { "role": "user", "content": format!("Question {round} of {head}?") },
            ]});
            let answer = world.ask(body.to_string()).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            let usage = answer.json()["usage"].clone();
            prompt += usage["prompt_tokens"].as_f64().expect("a number");
            cached += usage["prompt_tokens_details"]["cached_tokens"]
                .as_f64()
                .expect("a number");
        }
    }
    cached / prompt
}

#[tokio::test(flavor = "multi_thread")]
async fn what_if_foretells_what_then_happens() {
    let setup = Setup {
        accounts: &["a", "b", "c", "d"],
        one_tier: true,
        ..Setup::default()
    };
    let world = World::start(setup).await;
    let text = world.held().await;
    let what_if = async |text: &str| {
        let body = json!({ "text": text, "window_s": 3_600 });
        world.ask_config(Method::POST, "/config/what-if", body).await
    };
    let nothing = what_if(&text).await;
    assert_eq!(
        (nothing.status.as_u16(), nothing.code().as_str()),
        (409, "nothing_recorded")
    );
    assert_eq!(what_if("routes: [").await.code(), "config_invalid");

    let before = hit_ratio(&world, "today").await;
    let dealt = text.replace("policy: nested", "policy: round_robin");
    let foretold = what_if(&dealt).await.json();
    let number = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("{foretold}"));
    let requests = (HEADS * ROUNDS) as u64;
    assert_eq!(foretold["recorded"]["requests"], requests, "{foretold}");
    assert_eq!(foretold["recorded"]["source"], "memory");
    let [today, then] = ["today", "proposed"].map(|column| number(&foretold[column]["hit_ratio"]));
    let near = |one: f64, other: f64| (one - other).abs() * 100.0 < POINTS;
    assert!(
        near(today, before) && near(number(&foretold["recorded"]["hit_ratio"]), before),
        "{before} {foretold}"
    );
    for deployment in foretold["proposed"]["by_deployment"].as_array().expect("a list") {
        let share = deployment["share"].as_f64().expect("a number");
        let is_of_bot = deployment["deployment"].as_str().expect("a name").ends_with("/ft");
        assert!(
            if is_of_bot {
                (share - 0.25).abs() < 0.02
            } else {
                share == 0.0
            },
            "{foretold}"
        );
    }

    let applied = world.apply(&dealt).await;
    assert_eq!(applied.status, 200, "{applied:?}");
    let after = hit_ratio(&world, "later").await;
    assert!(
        before - after > 0.15,
        "there must be something to foretell: {before} {after}"
    );
    assert!(near(then, after), "foretold {then}, was {after}: {foretold}");

    let unchanged = what_if(&dealt).await.json();
    assert_eq!(unchanged["today"], unchanged["proposed"]);
    assert_eq!(unchanged["recorded"]["requests"], 2 * requests);
}
