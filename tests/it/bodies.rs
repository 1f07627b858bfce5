//! Request bodies: of every size and framing they arrive upstream as they were sent, but for what must change.

use bytes::Bytes;
use emberway::simulator::record::RequestRecord;
use futures_util::stream;

use crate::harness::{CLASSIC, KEY, STREAM, Setup, V1, WHOLE, World, client, preset, read, sha256};

/// A simulator that takes prompts of any size.
fn roomy() -> Setup {
    Setup {
        simulated: "capacity: 1000, context_tokens: 100000000",
        ..Setup::default()
    }
}

/// A question of exactly so many bytes.
fn of_size(bytes: usize) -> String {
    let filled = |count: usize| WHOLE.replace("Where is my parcel?", &"f\u{fc}nf ".repeat(count));
    let count = (bytes - filled(0).len()) / 6;
    let body = filled(count);
    // Whitespace at the end belongs to the body and must survive like everything else.
    let missing = bytes - body.len();
    body + &" ".repeat(missing)
}

#[track_caller]
fn assert_arrived(request: &RequestRecord, body: &str, what: &str) {
    assert_eq!(request.body_bytes, body.len(), "{what}");
    assert_eq!(request.body_sha256, sha256(body), "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_every_size_and_framing_arrive_as_they_were() {
    let world = World::start(roomy()).await;
    let h2 = client(reqwest::ClientBuilder::http2_prior_knowledge);
    for size in [100, 64 * 1024, 1024 * 1024, 20_000_000] {
        let body = of_size(size);
        assert_eq!(body.len(), size);
        let pieces = || {
            let whole = Bytes::from(body.clone());
            let cut = (0..size)
                .step_by(50_001)
                .map(move |at| whole.slice(at..size.min(at + 50_001)));
            reqwest::Body::wrap_stream(stream::iter(cut.map(Ok::<_, std::io::Error>)))
        };
        let url = format!("http://{}{V1}", world.address());
        let over_h2 = |body: reqwest::Body| h2.post(&url).header("api-key", KEY).body(body);
        for (what, asking) in [
            ("length", world.post(V1, body.clone())),
            ("chunks", world.post(V1, pieces())),
            ("h2 in one", over_h2(body.clone().into())),
            ("h2 in pieces", over_h2(pieces())),
        ] {
            let what = format!("{size} bytes, {what}");
            let answer = read(asking.send().await.expect("an answer")).await;
            assert_eq!(answer.status, 200, "{what}: {answer:?}");
            assert_arrived(&world.requests().pop().unwrap(), &body, &what);
        }
    }
    assert_eq!(world.metric("emberway_held_body_bytes").await, Some(0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_too_small_to_be_anything_are_refused() {
    let world = World::start(Setup::default()).await;
    for body in ["", "x", "{", " "] {
        let answer = world.ask(body).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (400, "invalid_body"),
            "{body:?}"
        );
    }
    assert_eq!(world.requests().len(), 0);
}

/// What a rewrite by way of a JSON tree would not keep: number forms, order, escapes, whitespace, unknown and repeated members.
const PECULIAR: &str = concat!(
    "\n{\"temperature\": 1.0, \"top_p\":1e0,\t\"seed\": 12345678901234567890123, \"z\": {\"b\":1,\"a\":-0.0},\r\n",
    " \"messages\" : [{\"role\":\"user\",\"content\":\"caf\\u00e9 \\/ \u{1F525}\"}], \"user\":\"\\ud83d\\ude00\",\n",
    " \"x\":1, \"x\":2, \"model\" : \"bot\" , \"max_tokens\": 1E1 }\n"
);

#[tokio::test(flavor = "multi_thread")]
async fn a_classic_upstream_gets_the_clients_bytes() {
    let world = World::start(Setup::default()).await;
    for path in [V1, CLASSIC, "/v1/chat/completions"] {
        world.post(path, PECULIAR).send().await.unwrap();
        let request = world.requests().pop().unwrap();
        assert_eq!(request.body.as_deref(), Some(PECULIAR), "{path}");
        assert_arrived(&request, PECULIAR, path);
        assert_eq!(request.path, "/openai/deployments/ft/chat/completions", "{path}");
        assert_eq!(request.query, "api-version=2024-10-21", "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_v1_upstream_gets_them_with_its_own_model() {
    let world = World::start(Setup {
        resource: "api: v1",
        ..Setup::default()
    })
    .await;
    let renamed = PECULIAR.replace("\"bot\"", "\"ft\"");
    for path in [V1, CLASSIC] {
        world.post(path, PECULIAR).send().await.unwrap();
        let request = world.requests().pop().unwrap();
        assert_arrived(&request, &renamed, path);
        assert_eq!((request.path.as_str(), request.query.as_str()), (V1, ""));
    }
    // Without a model in the body there is nothing to replace: it is added.
    let without = r#"{"messages":[{"role":"user","content":"Hi"}]}"#;
    let answer = read(world.post(CLASSIC, without).send().await.unwrap()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let body = world.requests().pop().unwrap().body.unwrap();
    assert_eq!(body, r#"{"messages":[{"role":"user","content":"Hi"}],"model":"ft"}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_gets_one_member_more_and_keeps_its_bytes() {
    let world = World::start(Setup::default()).await;
    let body = PECULIAR.replace("\"model\"", "\"stream\" : true, \"model\"");
    world.post(V1, body.clone()).send().await.unwrap();
    let sent = world.requests().remove(0).body.unwrap();
    let expect = body.replace("1E1 }", "1E1 ,\"stream_options\":{\"include_usage\":true}}");
    assert_eq!(sent, expect);
    // And nothing where the client asked itself.
    let asking = STREAM.replace(
        "{\"model\"",
        "{ \"stream_options\" : {\"include_usage\" :true}, \"model\"",
    );
    world.ask(asking.clone()).await;
    assert_eq!(world.requests().pop().unwrap().body, Some(asking));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_attempt_sends_the_same_bytes() {
    let world = World::start(roomy()).await;
    world.fault("a", preset("server_error"));
    let body = of_size(3_000_000);
    assert_eq!(world.ask(body.clone()).await.header("x-emberway-attempts"), "2");
    for request in world.requests() {
        assert_arrived(&request, &body, &request.account);
    }
    assert_eq!(world.requests().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_known_headers_go_upstream_and_the_credential_is_the_resources() {
    let world = World::start(Setup::default()).await;
    let mut request = world.post(V1, WHOLE).header("x-ms-client-request-id", "mine");
    for number in 0..20 {
        request = request.header(format!("x-custom-{number}"), "1");
    }
    let answer = read(request.header("cookie", "secret").send().await.unwrap()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("x-ms-client-request-id"), "mine");
    let sent = world.requests().remove(0).headers;
    let names: Vec<_> = sent.iter().map(|(name, _)| name.as_str()).collect();
    assert!(
        !names
            .iter()
            .any(|name| name.starts_with("x-custom") || *name == "cookie"),
        "{names:?}"
    );
    let digest = sha256("key-a");
    let key = sent.iter().find(|(name, _)| name == "api-key").expect("a credential");
    assert_eq!(key.1, format!("sha256:{}", &digest[..16]));
}
