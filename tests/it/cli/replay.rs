//! `emberway replay` on a small trace: the table, a JSON object a run, pictures, and what is wrong with a trace.

use snapbox::{assert_data_eq, str};

use super::program::Place;

/// Two conversations of one application, in turns.
const TRACE: &str = r#"{"timestamp":0,"input_length":1024,"output_length":10,"hash_ids":[1,2]}
{"timestamp":1000,"input_length":1024,"output_length":10,"hash_ids":[1,3]}
{"timestamp":2000,"input_length":1536,"output_length":10,"hash_ids":[1,2,4]}
{"timestamp":60000,"input_length":1536,"output_length":10,"hash_ids":[1,3,5]}
"#;

#[tokio::test]
async fn a_trace_is_played() {
    let place = Place::new();
    place.write("made.jsonl", TRACE);
    assert_data_eq!(
        place
            .run(&[
                "replay",
                "made.jsonl",
                "--policy",
                "nested,round_robin",
                "--limit-factor",
                "none"
            ])
            .await,
        str![[r#"
exit 0
--- stdout
trace made, deployments 8, replicas 1, limit none
policy          hit  of bound  imbalance  w50  w95  refused  failed
nested       50.0 %   100.0 %          -    -    -   0.00 %  0.00 %
round_robin   0.0 %     0.0 %          -    -    -   0.00 %  0.00 %
made is played with `--provider engine`, since it does not tell what a real fleet found cached

"#]]
    );
}

#[tokio::test]
async fn each_run_is_a_json_object() {
    let place = Place::new();
    place.write("made.jsonl", TRACE);
    let arguments = [
        "replay",
        "made.jsonl",
        "--replicas",
        "1,2",
        "--json",
        "--plot",
        "pictures",
    ];
    let said = place.run(&arguments).await;
    let rows: Vec<serde_json::Value> = said
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(rows.len(), 2, "{said}");
    for field in [
        "trace",
        "policy",
        "deployments",
        "replicas",
        "limit_factor",
        "provider",
        "requests",
        "hit",
        "bound",
        "hit_of_bound",
        "imbalance",
        "w50",
        "w95",
        "refused",
        "failed",
    ] {
        assert!(rows[0].get(field).is_some(), "no `{field}` in {}", rows[0]);
    }
    assert_eq!(
        (&rows[1]["replicas"], &rows[1]["policy"]),
        (&2.into(), &"nested".into())
    );
    for picture in ["hit-1.svg", "load-1.svg", "load-2.svg"] {
        let drawn = std::fs::read_to_string(place.path("pictures").join(picture)).expect("a picture");
        assert!(drawn.starts_with("<svg"), "{picture}");
    }
}

/// The same as a gateway wrote it: three deployments took turns, and one head was cached.
const OWN: &str = r#"{"timestamp":0,"input_length":1024,"output_length":10,"hash_ids":[1,2],"route":"chat","deployment":"a","cached_tokens":0}
{"timestamp":1000,"input_length":1024,"output_length":10,"hash_ids":[1,3],"route":"chat","deployment":"b","cached_tokens":0}
{"timestamp":2000,"input_length":1536,"output_length":10,"hash_ids":[1,2,4],"route":"chat","deployment":"c","cached_tokens":0}
{"timestamp":60000,"input_length":1536,"output_length":10,"hash_ids":[1,3,5],"route":"chat","deployment":"a","cached_tokens":512}
{"timestamp":61000,"input_length":1536,"output_length":10,"hash_ids":[1,3,5],"route":"other","deployment":"a","cached_tokens":1536}
"#;

#[tokio::test]
async fn ones_own_traffic_tells_what_a_run_would_have_saved() {
    let place = Place::new();
    place.write("own.jsonl", OWN);
    let mut arguments = vec!["replay", "own.jsonl", "--route", "chat", "--limit-factor", "none"];
    arguments.extend([
        "--deployments",
        "actual,actual-2",
        "--price-input",
        "2500",
        "--price-cached",
        "1250",
        "--price-output",
        "1000",
        "--price-hour",
        "60",
    ]);
    assert_data_eq!(
        place.run(&arguments).await,
        str![[r#"
exit 0
--- stdout
trace own, replicas 1, limit none, machines 32, each takes 15 requests a minute, key auto
policy     deployments     hit  of bound  imbalance  w50  w95  refused  failed
as it was  3            10.0 %         -          -    -    -        -  0.00 %
nested     3            20.0 %    50.0 %          -    -    -   0.00 %  0.00 %
nested     1            20.0 %    50.0 %          -    -    -   0.00 %  0.00 %
of own the requests of other are left out; where they use the same deployments, limits are tighter than they look here
own is played with `--provider hosted`, since it tells the cached tokens of a real fleet
own does not tell which share of all conversations it has: share unknown, taken as 1
own does not tell by which policy it was placed, so savings are told against what really happened, and the model's error is in them

What it costs, in USD; not extrapolated from the 60 seconds of own, less than an hour: it begins with empty caches, and is no sample of a day:
trace own, replicas 1, limit none, machines 32, each takes 15 requests a minute, key auto
policy     deployments  prompts  answers  hosting  total
as it was  3              12.16   0.0400     3.00  15.20
nested     3              11.52   0.0400     3.00  14.56
nested     1              11.52   0.0400     1.00  12.56

Against what really happened:
trace own, replicas 1, limit none, machines 32, each takes 15 requests a minute, key auto
policy  deployments     was  would be  tokens saved  USD saved
nested  3            10.0 %    20.0 %          +512     +0.640
nested  1            10.0 %    20.0 %          +512      +2.64

"#]]
    );
    arguments.push("--json");
    let said = place.run(&arguments).await;
    let row: serde_json::Value = said
        .lines()
        .find(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .expect("a row");
    assert_eq!((&row["saved_tokens"], &row["deployments"]), (&512.into(), &3.into()));
    // Three deployments for a minute.
    let hosting = row["usd"]["hosting"].as_f64().expect("an amount");
    assert!((hosting - 3.0).abs() < 1e-9, "{row}");
    place.write("made.jsonl", TRACE);
    let row = json(&place, &["made.jsonl"]).await.remove(0);
    for unknown in [
        "actual_hit",
        "replayed_hit",
        "saved_tokens",
        "saved_usd",
        "saved_against",
    ] {
        assert!(row[unknown].is_null(), "{unknown}: {row}");
    }
}

#[tokio::test]
async fn a_file_that_is_no_trace_is_refused() {
    let place = Place::new();
    place.write("made.jsonl", "{\"prompt\":\"hello\"}\n");
    let said = place.run(&["replay", "made.jsonl"]).await;
    assert!(said.starts_with("exit 1\n"), "{said}");
    assert!(
        said.contains("`made.jsonl`, line 1: not a request of a known format: missing field `timestamp`"),
        "{said}"
    );
}

/// What a run of one's own traffic says of itself, in JSON.
async fn json(place: &Place, arguments: &[&str]) -> Vec<serde_json::Value> {
    let said = place
        .run(&[&["replay", "--json", "--no-progress"], arguments].concat())
        .await;
    let lines = said.lines().filter(|line| line.starts_with('{'));
    let rows: Vec<_> = lines.map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(!rows.is_empty(), "{said}");
    rows
}

/// One's own traffic, each line with more members.
fn own_with(more: &str) -> String {
    OWN.lines()
        .filter(|line| line.contains("chat"))
        .map(|line| line.replacen('{', &format!("{{{more},"), 1) + "\n")
        .collect()
}

const PRICES: [&str; 4] = ["--price-input", "2500", "--price-cached", "1250"];

#[tokio::test]
async fn a_tenth_of_the_traffic_stands_for_all_of_it() {
    let place = Place::new();
    place.write("own.jsonl", &own_with(r#""share":0.1"#));
    let arguments = [
        &["own.jsonl", "--price-hour", "60", "--limit-factor", "none"],
        PRICES.as_slice(),
    ]
    .concat();
    let row = json(&place, &arguments).await.remove(0);
    let amount = |of: &str, what: &str| format!("{:.3}", row[of][what].as_f64().expect("an amount"));
    assert_eq!(
        [
            amount("usd", "prompts"),
            amount("usd", "hosting"),
            amount("actual_usd", "prompts")
        ],
        ["115.200", "3.000", "121.600"],
        "{row}"
    );
    assert_eq!((&row["saved_tokens"], &row["share"]), (&5_120.into(), &0.1.into()));
    let said = place.run(&[&["replay"], arguments.as_slice()].concat()).await;
    assert!(said.contains("own is a sample of 10 % of all conversations"), "{said}");
    assert!(said.contains("hit ratios are a lower bound"), "{said}");
}

#[tokio::test]
async fn a_saving_is_told_against_the_policy_in_use_as_played() {
    let place = Place::new();
    place.write("own.jsonl", &own_with(r#""share":1,"policy":"round_robin""#));
    let arguments = [
        "replay",
        "own.jsonl",
        "--limit-factor",
        "none",
        "--policy",
        "nested,round_robin",
    ];
    assert_data_eq!(
        place.run(&[arguments.as_slice(), &PRICES].concat()).await,
        str![[r#"
exit 0
--- stdout
trace own, deployments 3, replicas 1, limit none, machines 32, each takes 15 requests a minute
policy       key      hit  of bound  imbalance  w50  w95  refused  failed
as it was    -     10.0 %         -          -    -    -        -  0.00 %
nested       auto  20.0 %    50.0 %          -    -    -   0.00 %  0.00 %
round_robin  off    0.0 %     0.0 %          -    -    -   0.00 %  0.00 %
own is played with `--provider hosted`, since it tells the cached tokens of a real fleet

What it costs, in USD; not extrapolated from the 60 seconds of own, less than an hour: it begins with empty caches, and is no sample of a day:
trace own, deployments 3, replicas 1, limit none, machines 32, each takes 15 requests a minute
policy       key   prompts  answers  hosting  total
as it was    -       12.16     0.00     0.00  12.16
nested       auto    11.52     0.00     0.00  11.52
round_robin  off     12.80     0.00     0.00  12.80

Against the policy in use, as played:
trace own, deployments 3, replicas 1, limit none, machines 32, each takes 15 requests a minute
policy       key      was  in use  would be  tokens saved  USD saved    note
nested       auto  10.0 %   0.0 %    20.0 %         +1024      +1.28
round_robin  off   10.0 %   0.0 %     0.0 %            +0      +0.00  in use
model error: own was placed by `round_robin`; played, it finds 0.0 % cached where 10.0 % really was (-512 tokens, -0.640 USD)

"#]]
    );
    place.write("moved.jsonl", &own_with(r#""share":1,"policy":"nested""#));
    let moved = place.run(&["replay", "moved.jsonl", "--limit-factor", "none"]).await;
    assert!(
        moved.contains(
            "\nwhat outages and drains moved in life is part of the model's error, since they are not played"
        ),
        "{moved}"
    );
    let rows = json(&place, &["own.jsonl", "--limit-factor", "none"]).await;
    assert_eq!(rows.len(), 1, "what is only compared with has no row");
    assert_eq!(rows[0]["saved_against"], "played");
}

#[tokio::test]
async fn a_run_that_fails_what_was_answered_saves_nothing() {
    let place = Place::new();
    // Four answered ones, and one that nobody answered.
    let refused = r#"{"timestamp":61000,"input_length":1536,"output_length":0,"hash_ids":[1,3,5],"route":"chat","deployment":null,"answered":false,"share":1}
"#;
    place.write("own.jsonl", &(own_with(r#""share":1"#) + refused));
    let limited = |tokens: &'static str| [&["own.jsonl", "--tokens-per-minute", tokens], PRICES.as_slice()].concat();
    let row = json(&place, &limited("1200")).await.remove(0);
    let none = serde_json::Value::Null;
    assert_eq!((&row["saved_tokens"], &row["saved_usd"]), (&none, &none), "{row}");
    assert_eq!(row["no_saving"], "3 requests failed, 1 really did");
    let said = place.run(&[&["replay"], limited("1200").as_slice()].concat()).await;
    assert!(said.contains("none: 3 requests failed, 1 really did"), "{said}");
    assert!(
        said.contains("as it was, 1 of 5 requests of own were refused"),
        "{said}"
    );
    let row = json(&place, &limited("9000")).await.remove(0);
    assert!(row["saved_usd"].is_f64() && row["failed"] == 0.0, "{row}");
    assert_eq!((&row["actual_refused"], &row["limit_factor"]), (&1.into(), &none));
}

#[tokio::test]
async fn what_would_mislead_in_silence_is_refused() {
    let place = Place::new();
    place.write("own.jsonl", OWN);
    let several = place.run(&["replay", "own.jsonl"]).await;
    assert!(
        several.starts_with("exit 1\n")
            && several.contains("several routes, `chat`, `other`, which may not be of one pool"),
        "{several}"
    );
    for flags in [["--outage", "5:1:9"], ["--machines", "0"]] {
        let said = place
            .run(&[&["replay", "own.jsonl", "--route", "chat"], flags.as_slice()].concat())
            .await;
        assert!(said.starts_with("exit 2\n"), "{said}");
    }
    place.write("own.jsonl.1", OWN.split_once('\n').expect("lines").0);
    let joined = ["own.jsonl", "own.jsonl.1", "--join", "--route", "chat"];
    let rows = json(&place, &joined).await;
    assert_eq!((rows.len(), &rows[0]["requests"]), (1, &5.into()));
    place.write("torn.jsonl", &OWN[..OWN.len() - 40]);
    let torn = place.run(&["replay", "torn.jsonl", "--route", "chat"]).await;
    assert!(torn.starts_with("exit 0\n"), "{torn}");
    assert!(
        torn.contains("warning: `torn.jsonl`: left out 1 of 5, a line that ends too early"),
        "{torn}"
    );
}

/// The gateway that wrote such a trace; nobody who replays it has its secrets.
const CONFIG: &str = "
admin: { address: '127.0.0.1:0' }
listeners: [{ address: '127.0.0.1:0' }]
clients: [{ name: desk, keys: ['${env:NOBODY_HAS_THIS}'] }]
resources:
  - name: contoso
    region: eastus2
    endpoint: https://contoso.openai.azure.com
    credential: { api_key: '${env:NOR_THIS}' }
    deployments:
      - { name: a, sku: Standard, capacity: 4, price: { input: 2500, cached_input: 1250, output: 0, hour: 60 } }
      - { name: b, sku: Standard, capacity: 4, price: { input: 2500, cached_input: 1250, output: 0, hour: 60 } }
pools: [{ name: chat, tiers: [[contoso/a, contoso/b]] }]
routes: [{ name: chat, pool: chat }, { name: other, pool: chat }]
";

#[tokio::test]
async fn a_configuration_tells_the_fleet() {
    let place = Place::new();
    place.write("own.jsonl", OWN);
    place.write("emberway.yaml", CONFIG);
    let arguments = ["own.jsonl", "--route", "chat", "--config", "emberway.yaml"];
    let row = json(&place, &arguments).await.remove(0);
    assert_eq!(
        (&row["deployments"], &row["tokens_per_minute"]),
        (&2.into(), &4_000.0.into())
    );
    assert_eq!(
        row["usd"]["hosting"].as_f64().map(|usd| format!("{usd:.2}")).as_deref(),
        Some("2.00"),
        "{row}"
    );
    let said = place.run(&[&["replay"], arguments.as_slice()].concat()).await;
    assert!(
        said.contains("the requests of other use the same deployments and are left out"),
        "{said}"
    );
    let all = json(&place, &["own.jsonl", "--config", "emberway.yaml"])
        .await
        .remove(0);
    assert_eq!(
        (&row["requests"], &all["requests"]),
        (&4.into(), &5.into()),
        "all of the pool"
    );
    assert!(
        said.contains("3 deployments answered in the trace; `actual` is the 2 of the configuration"),
        "{said}"
    );
    place.write("emberway.yaml", "listeners: 7\n");
    let wrong = place.run(&[&["replay"], arguments.as_slice()].concat()).await;
    assert!(
        wrong.starts_with("exit 78\n") && wrong.contains("emberway.yaml:1:"),
        "{wrong}"
    );
}
