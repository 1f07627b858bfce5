//! Limits of clients and routes: who is kept out, what is said, and that what was estimated is set right in the end.

use emberway::simulator::faults::Action;

use crate::harness::{Answer, KEY, OTHER_KEY, STREAM, Setup, V1, WHOLE, World, preset, read};

/// The same question, with the longest answer that it asks for.
fn asking_for(tokens: u32, stream: bool) -> String {
    let question = if stream { STREAM } else { WHOLE };
    question.replacen('{', &format!("{{\"max_completion_tokens\":{tokens},"), 1)
}

async fn ask_as(world: &World, key: &str) -> Answer {
    let request = world.post(V1, WHOLE).header("authorization", format!("Bearer {key}"));
    let mut request = request.build().expect("a request");
    request.headers_mut().remove("api-key");
    read(world.client.execute(request).await.expect("an answer")).await
}

/// What is left of the client's tokens, as an answer tells that uses none.
async fn tokens_left(world: &World) -> f64 {
    let url = format!("http://{}/v1/models", world.address());
    let asked = world.client.get(url).header("api-key", KEY).send().await;
    let answer = read(asked.expect("an answer")).await;
    answer.header("x-ratelimit-remaining-tokens").parse().expect("a number")
}

fn message(answer: &Answer) -> String {
    answer.json()["error"]["message"]
        .as_str()
        .expect("a message")
        .to_owned()
}

fn limited(client: &'static str) -> Setup {
    Setup {
        client,
        ..Setup::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_a_minute_are_counted_told_and_refused() {
    let world = World::start(Setup {
        settings: "",
        ..limited("limits: { requests_per_minute: 3 }")
    })
    .await;
    for left in ["2", "1", "0"] {
        let answer = world.ask(WHOLE).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("x-ratelimit-limit-requests"), "3");
        assert_eq!(answer.header("x-ratelimit-remaining-requests"), left);
        assert!(answer.header("x-ratelimit-reset-requests").ends_with('s'), "{answer:?}");
        // What the upstream says is about the gateway, not about the client.
        assert_eq!(answer.header("x-ratelimit-limit-tokens"), "", "{answer:?}");
        assert_eq!(answer.header("x-ratelimit-remaining-tokens"), "");
    }
    let refused = world.ask(WHOLE).await;
    assert_eq!(
        (refused.status.as_u16(), refused.code().as_str()),
        (429, "rate_limit_exceeded")
    );
    assert_eq!(refused.json()["error"]["type"], "rate_limit_error");
    let said = message(&refused);
    assert!(
        said.starts_with("the limit of client `desk` is reached: 3 requests a minute; try again in "),
        "{said}"
    );
    let after_ms: u64 = refused.header("retry-after-ms").parse().expect("a time");
    assert!((1..=20_000).contains(&after_ms), "{after_ms}");
    assert_eq!(refused.header("x-should-retry"), "");
    assert_eq!(refused.header("x-ratelimit-remaining-requests"), "0");
    let record = world.record(&refused.headers).await;
    assert_eq!(
        (record.outcome.as_str(), record.status, record.attempts),
        ("refused", 429, 0)
    );
    assert_eq!(world.requests().len(), 3);
    let counted = "emberway_client_limited_total{client=\"desk\",limit=\"requests\"}";
    assert_eq!(world.metric(counted).await, Some(1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_upstreams_limits_are_told_where_the_client_has_none() {
    let world = World::start(Setup {
        settings: "",
        ..Setup::default()
    })
    .await;
    let answer = world.ask(WHOLE).await;
    assert_eq!(answer.header("x-ratelimit-limit-tokens"), "1000000");
    assert_eq!(answer.header("x-ratelimit-reset-tokens"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_never_fits_is_told_so_for_good() {
    let world = World::start(limited("limits: { tokens_per_minute: 1000 }")).await;
    let refused = world.ask(asking_for(1_000, false)).await;
    assert_eq!(
        (refused.status.as_u16(), refused.code().as_str()),
        (429, "rate_limit_exceeded")
    );
    assert_eq!(refused.header("x-should-retry"), "false");
    assert_eq!(refused.header("retry-after"), "");
    assert!(
        message(&refused).contains("more than the limit of client `desk`: 1000 tokens a minute"),
        "{refused:?}"
    );
    assert_eq!(world.ask(asking_for(900, false)).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_estimated_is_set_right_however_a_request_ends() {
    let ways: [(&str, Option<Action>, bool); 6] = [
        ("answered", None, false),
        ("streamed", None, true),
        ("refused by the upstream", Some(preset("content_filter")), false),
        ("nobody could answer", Some(preset("server_error")), false),
        ("cut", Some(Action::Cut { after_chunks: 8 }), true),
        ("cut before it began", Some(Action::Cut { after_chunks: 0 }), true),
    ];
    for (way, fault, stream) in ways {
        let world = World::start(limited("limits: { tokens_per_minute: 5000 }")).await;
        if let Some(fault) = fault {
            world.fault("a", fault.clone());
            world.fault("b", fault);
        }
        let asked = world
            .post(V1, asking_for(4_900, stream))
            .send()
            .await
            .expect("an answer");
        let headers = asked.headers().clone();
        let reserved: u64 = headers["x-ratelimit-remaining-tokens"]
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        assert!(reserved <= 1_000, "{way}: {reserved}");
        // A stream that is cut ends its body too early.
        drop(asked.bytes().await);
        let record = world.record(&headers).await;
        let used = (record.prompt_tokens + record.completion_tokens) as f64;
        let left = tokens_left(&world).await;
        let expected = 5_000.0 - used;
        assert!(
            left >= expected - 1.0 && left <= 5_000.0,
            "{way}: {left} of {expected} are left"
        );
        assert_eq!(used > 0.0, record.status == 200, "{way}");
        assert!(used > 100.0 || left > 4_800.0, "{way}: {used} used, {left} left");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_longer_than_estimated_is_owed() {
    let world = World::start(limited("limits: { tokens_per_minute: 40 }")).await;
    // Without a bound on its answer a request counts few tokens for that.
    let first = world.ask(WHOLE).await;
    assert_eq!(first.status, 200);
    let record = world.record(&first.headers).await;
    let used = record.prompt_tokens + record.completion_tokens;
    assert!(used > 45, "{used}");
    let refused = world.ask(WHOLE).await;
    assert_eq!(refused.code(), "rate_limit_exceeded");
    let after_ms: i64 = refused.header("retry-after-ms").parse().expect("a time");
    assert!(after_ms > 20_000, "{after_ms}: what is owed drains by 40 a minute");
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_at_one_time_until_one_ends_or_its_client_leaves() {
    let world = World::start(limited("limits: { concurrency: 1, tokens_per_minute: 5000 }")).await;
    world.fault_times("a", 1, Action::Stall { after_chunks: 6 });
    let running = world.post(V1, asking_for(2_000, true)).send().await.expect("a head");
    assert_eq!(running.status(), 200);
    let refused = world.ask(WHOLE).await;
    assert_eq!(
        (refused.status.as_u16(), refused.code().as_str()),
        (429, "rate_limit_exceeded")
    );
    assert!(message(&refused).contains("1 requests at one time"), "{refused:?}");
    assert_eq!(refused.header("retry-after"), "1");
    let headers = running.headers().clone();
    drop(running);
    let record = world.record(&headers).await;
    assert_eq!(record.outcome, "client_gone");
    assert!(tokens_left(&world).await > 4_500.0);
    for _ in 0..3 {
        let answer = world.ask(WHOLE).await;
        assert_eq!(answer.status, 200);
        world.record(&answer.headers).await;
    }
    let counted = "emberway_client_limited_total{client=\"desk\",limit=\"concurrency\"}";
    assert_eq!(world.metric(counted).await, Some(1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_before_the_answer_has_used_the_prompt() {
    let world = World::start(limited("limits: { tokens_per_minute: 5000 }")).await;
    world.fault("a", Action::Hang);
    let long = WHOLE.replace("Where is my parcel?", &"Where is my parcel? ".repeat(400));
    let asked = world
        .post(V1, long)
        .timeout(std::time::Duration::from_millis(400))
        .send()
        .await;
    assert!(asked.is_err(), "it left: {asked:?}");
    let records = world.records_once(1).await;
    assert_eq!(
        (records[0].outcome.as_str(), records[0].source.as_str()),
        ("client_gone", "none")
    );
    let left = tokens_left(&world).await;
    // 8,000 bytes are 2,000 tokens; a little has drained since.
    assert!((2_500.0..3_600.0).contains(&left), "{left}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_has_limits_of_its_own_for_each_client_and_for_all() {
    let world = World::start(Setup {
        clients: "  - { name: other, keys: ['${env:OTHER_KEY}'] }",
        route: "limits: { requests_per_minute: 3 }, client_limits: { requests_per_minute: 2 }",
        ..Setup::default()
    })
    .await;
    for left in ["1", "0"] {
        let answer = ask_as(&world, KEY).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("x-ratelimit-remaining-requests")),
            (200, left)
        );
    }
    let refused = ask_as(&world, KEY).await;
    assert!(
        message(&refused).contains("the limit of client `desk` for model `bot`"),
        "{refused:?}"
    );
    let answer = ask_as(&world, OTHER_KEY).await;
    // The route's own is the tighter one now.
    assert_eq!(
        (answer.status.as_u16(), answer.header("x-ratelimit-limit-requests")),
        (200, "3")
    );
    assert_eq!(answer.header("x-ratelimit-remaining-requests"), "0");
    let refused = ask_as(&world, OTHER_KEY).await;
    assert!(
        message(&refused).contains("the limit of model `bot` for all clients together"),
        "{refused:?}"
    );
    assert_eq!(world.requests().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_changes_a_limit_at_once_and_forgives_nothing() {
    let world = World::start(limited("limits: { requests_per_minute: 4 }")).await;
    for _ in 0..2 {
        assert_eq!(world.ask(WHOLE).await.status, 200);
    }
    let text = tokio::fs::read_to_string(world.config_path()).await.unwrap();
    let with = |limit: &str| text.replace("requests_per_minute: 4", limit);
    world.replace_config(&with("requests_per_minute: 2")).await;
    world.generation(2).await;
    assert_eq!(world.ask(WHOLE).await.code(), "rate_limit_exceeded");
    world
        .replace_config(&with("requests_per_minute: 4, concurrency: 9"))
        .await;
    world.generation(3).await;
    assert_eq!(world.ask(WHOLE).await.header("x-ratelimit-remaining-requests"), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn gateways_that_share_the_traffic_share_the_limits() {
    let world = World::start(limited("limits: { requests_per_minute: 4 }")).await;
    let text = tokio::fs::read_to_string(world.config_path()).await.unwrap();
    world.replace_config(&format!("replicas: 2\n{text}")).await;
    world.generation(2).await;
    assert_eq!(world.ask(WHOLE).await.header("x-ratelimit-limit-requests"), "2");
    assert_eq!(world.ask(WHOLE).await.status, 200);
    let refused = world.ask(WHOLE).await;
    assert!(message(&refused).contains("4 requests a minute"), "{refused:?}");
    assert_eq!(world.requests().len(), 2);
}
