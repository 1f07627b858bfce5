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
trace  policy       deployments  replicas  limit     hit  of bound  imbalance   w50   w95  refused  failed
made   nested       8            1         -      50.0 %   100.0 %       8.00  8.00  8.00   0.00 %  0.00 %
made   round_robin  8            1         -       0.0 %     0.0 %       2.40  8.00  8.00   0.00 %  0.00 %
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
trace  policy  deployments  replicas  limit  machines  a minute  key      hit  of bound  imbalance   w50   w95  refused  failed
own    nested  3            1         -      32        15        auto  20.0 %    50.0 %       3.00  3.00  3.00   0.00 %  0.00 %
own    nested  1            1         -      32        15        auto  20.0 %    50.0 %       1.00  1.00  1.00   0.00 %  0.00 %
own is played with `--provider hosted`, since it tells the cached tokens of a real fleet

What it costs, in USD; a day and 30 days are extrapolated from the 60 seconds of own:
trace  policy     deployments  replicas  limit  machines  a minute  key   prompts  answers  hosting  total     a day  in 30 days
own    as it was  3            -         -      -         -         -       12.16   0.0400     3.00  15.20  21888.00   656640.00
own    nested     3            1         -      32        15        auto    11.52   0.0400     3.00  14.56  20966.40   628992.00
own    nested     1            1         -      32        15        auto    11.52   0.0400     1.00  12.56  18086.40   542592.00

Against what really happened:
trace  policy  deployments  replicas  limit  machines  a minute  key      was  would be  tokens saved  USD saved     a day  in 30 days
own    nested  3            1         -      32        15        auto  10.0 %    20.0 %          +512     +0.640   +921.60   +27648.00
own    nested  1            1         -      32        15        auto  10.0 %    20.0 %          +512      +2.64  +3801.60  +114048.00

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
    let said = place.run(&["replay", "made.jsonl", "--json"]).await;
    assert!(
        said.contains(r#""actual_hit":null,"replayed_hit":null,"saved_tokens":null,"saved_usd":null"#),
        "{said}"
    );
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
