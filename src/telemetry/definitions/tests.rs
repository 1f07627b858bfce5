//! The reference page is what the definitions say, and dashboards and alerts name only metrics and labels that exist.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::*;
use crate::telemetry::definitions::kind::Kind;

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(repository(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn reference_page() -> String {
    let mut page = String::from(
        "# Metrics\n\n\
         <!-- Generated from src/telemetry/definitions.rs; UPDATE_GENERATED=1 cargo test rewrites it. -->\n\n\
         The admin listener serves them at `/metrics` in Prometheus' text format. Labels are names from the\n\
         configuration or words from a fixed set, never what a client sent, so their number is bounded.\n\n\
         | metric | kind | labels | meaning |\n| --- | --- | --- | --- |\n",
    );
    for definition in ALL {
        let labels = definition.labels.join("`, `");
        let labels = if labels.is_empty() {
            "–".to_owned()
        } else {
            format!("`{labels}`")
        };
        let (name, kind, help) = (definition.name, definition.kind.word(), definition.help);
        writeln!(page, "| `{name}` | {kind} | {labels} | {help} |").expect("a string takes text");
    }
    page.push_str("\n## Buckets\n\nUpper bounds in seconds.\n\n");
    for definition in ALL {
        if let Kind::Histogram(buckets) = definition.kind {
            let bounds: Vec<String> = buckets.iter().map(ToString::to_string).collect();
            writeln!(page, "- `{}`: {}", definition.name, bounds.join(", ")).expect("a string takes text");
        }
    }
    page.push_str("\n## The process\n\nOn Linux, from the Prometheus client library:\n\n");
    for name in PROCESS {
        writeln!(page, "- `{name}`").expect("a string takes text");
    }
    page
}

#[test]
fn the_reference_page_is_up_to_date() {
    let path = repository("docs/metrics.md");
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(&path, reference_page()).expect("the page can be written");
    }
    assert_eq!(
        read("docs/metrics.md"),
        reference_page(),
        "run UPDATE_GENERATED=1 cargo test"
    );
}

#[test]
fn names_are_unique_and_follow_prometheus() {
    let mut seen = BTreeSet::new();
    for definition in ALL {
        assert!(seen.insert(definition.name), "`{}` is there twice", definition.name);
        let counted = definition.name.ends_with("_total");
        assert_eq!(
            counted,
            definition.kind == Kind::Counter,
            "`{}`: counters end in _total",
            definition.name
        );
        assert!(
            !definition.help.is_empty() && definition.help.ends_with('.'),
            "`{}`",
            definition.name
        );
        if let Kind::Histogram(buckets) = definition.kind {
            assert!(buckets.is_sorted(), "`{}`", definition.name);
        }
    }
}

/// What an expression may name, with the labels each has.
struct Known(BTreeMap<String, Vec<&'static str>>);

impl Known {
    fn new() -> Self {
        let mut known = BTreeMap::new();
        for definition in ALL {
            let labels = definition.labels.to_vec();
            if let Kind::Histogram(_) = definition.kind {
                for part in ["bucket", "sum", "count"] {
                    known.insert(
                        format!("{}_{part}", definition.name),
                        [labels.clone(), vec!["le"]].concat(),
                    );
                }
            } else {
                known.insert(definition.name.to_owned(), labels);
            }
        }
        known.extend(PROCESS.iter().map(|name| ((*name).to_owned(), Vec::new())));
        Self(known)
    }

    /// Names in the expression that are no metric, and labels in braces that their metric does not have.
    fn mistakes(&self, expression: &str, recorded: &BTreeSet<String>) -> Vec<String> {
        let mut mistakes = Vec::new();
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        let mut rest = expression;
        while let Some(start) = rest.find(|c: char| c.is_ascii_alphabetic()) {
            rest = &rest[start..];
            let end = rest.find(|c| !word(c)).unwrap_or(rest.len());
            let (name, after) = rest.split_at(end);
            rest = after;
            let ours = ["emberway_", "emberway:", "gen_ai_", "process_"]
                .iter()
                .any(|prefix| name.starts_with(prefix));
            if !ours || recorded.contains(name) {
                continue;
            }
            let Some(labels) = self.0.get(name) else {
                mistakes.push(format!("`{name}` is no metric"));
                continue;
            };
            let selector = after
                .strip_prefix('{')
                .and_then(|after| after.split('}').next())
                .unwrap_or("");
            for label in selector.split("\",").filter_map(|pair| pair.split(['=', '!']).next()) {
                let label = label.trim();
                if !label.is_empty() && !["job", "instance"].contains(&label) && !labels.contains(&label) {
                    mistakes.push(format!("`{name}` has no label `{label}`"));
                }
            }
            rest = after.get(selector.len()..).unwrap_or("");
        }
        mistakes
    }
}

/// Every string under a key of this name, at any depth.
fn strings_under<'v>(value: &'v Value, key: &str, found: &mut Vec<&'v str>) {
    match value {
        Value::Object(map) => {
            found.extend(map.get(key).and_then(Value::as_str));
            map.values().for_each(|value| strings_under(value, key, found));
        }
        Value::Array(values) => values.iter().for_each(|value| strings_under(value, key, found)),
        _ => {}
    }
}

fn check(file: &str, value: &Value, keys: &[&str]) {
    let rules: Value = serde_saphyr::from_str(&read("dashboards/prometheus/recording.yaml")).expect("YAML");
    let mut recorded = Vec::new();
    strings_under(&rules, "record", &mut recorded);
    let recorded: BTreeSet<String> = recorded.into_iter().map(str::to_owned).collect();
    let mut expressions = Vec::new();
    for key in keys {
        strings_under(value, key, &mut expressions);
    }
    assert!(
        expressions.len() >= 10,
        "{file}: only {} expressions found",
        expressions.len()
    );
    let known = Known::new();
    for expression in expressions {
        assert_eq!(
            known.mistakes(expression, &recorded),
            Vec::<String>::new(),
            "{file}: in `{expression}`"
        );
    }
}

#[test]
fn the_dashboards_name_only_what_exists() {
    for name in ["overview", "latency", "fleet", "cache", "cost"] {
        let file = format!("dashboards/grafana/{name}.json");
        let dashboard: Value = serde_json::from_str(&read(&file)).expect("JSON");
        check(&file, &dashboard, &["expr", "definition", "query"]);
    }
}

#[test]
fn the_rules_name_only_what_exists() {
    for name in ["recording", "alerts"] {
        let file = format!("dashboards/prometheus/{name}.yaml");
        let rules: Value = serde_saphyr::from_str(&read(&file)).expect("YAML");
        check(&file, &rules, &["expr"]);
    }
}

/// The sections of a page, as links to them are written.
fn anchors(page: &str) -> BTreeSet<String> {
    let headings = page.lines().filter_map(|line| line.strip_prefix('#'));
    headings
        .map(|heading| {
            let heading = heading.trim_start_matches('#').trim().to_lowercase();
            let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.collect::<String>().replace(' ', "-")
        })
        .collect()
}

/// Every alert has a severity, a summary, a description and a section of the runbook that names it; and what can go wrong with the
/// fleet has an alert.
#[test]
fn each_alert_is_whole_and_in_the_runbook() {
    let text = read("dashboards/prometheus/alerts.yaml");
    let alerts: Value = serde_saphyr::from_str(&text).expect("YAML");
    let runbook = read("docs/operations.md");
    let sections = anchors(&runbook);
    let groups = alerts["groups"].as_array().expect("groups").iter();
    let rules: Vec<&Value> = groups
        .flat_map(|group| group["rules"].as_array().expect("rules"))
        .collect();
    let mut expressions = String::new();
    for rule in rules.iter().filter(|rule| rule["alert"].is_string()) {
        let name = rule["alert"].as_str().expect("a name");
        assert!(
            runbook.contains(&format!("`{name}`")),
            "`{name}` has no line in docs/operations.md"
        );
        assert!(
            matches!(rule["labels"]["severity"].as_str(), Some("page" | "ticket")),
            "{name}"
        );
        let annotation = |part: &str| {
            rule["annotations"][part]
                .as_str()
                .unwrap_or_else(|| panic!("{name}: no {part}"))
        };
        assert!(
            !annotation("summary").ends_with('.') && annotation("description").ends_with('.'),
            "{name}"
        );
        let section = annotation("runbook_url").strip_prefix("docs/operations.md#");
        assert!(
            section.is_some_and(|section| sections.contains(section)),
            "{name}: {section:?}"
        );
        expressions.push_str(rule["expr"].as_str().expect("an expression"));
        expressions.push('\n');
    }
    for part in [
        r#"emberway_fleet_looks_total{result="failed"}"#,
        "emberway_deployment_absent",
        r#"emberway_deployment_rebuilding{state="given_up"}"#,
        "emberway_deployment_inactivity_urgency",
        "emberway_deployment_end_seconds",
        r#"emberway_keepalives_total{result="failed"}"#,
        "emberway_alerts_total",
        "emberway_config_reload_failed",
        "emberway_usage_write_errors_total",
        "emberway_deployment_breaker_state",
        "emberway:attempts_throttled",
        "emberway:limit_used",
        "emberway:requests_failed",
        "emberway:first_token_late",
        "emberway:cost:usd_per_day",
    ] {
        assert!(expressions.contains(part), "no alert of `{part}`");
    }
}

#[test]
fn mistakes_in_expressions_are_found() {
    let known = Known::new();
    let recorded = BTreeSet::from(["emberway:errors:ratio5m".to_owned()]);
    let mistakes = |expression: &str| known.mistakes(expression, &recorded);
    assert!(mistakes(r#"sum by (route) (rate(emberway_requests_total{route=~"$route",outcome!="x"}[5m]))"#).is_empty());
    assert!(mistakes("emberway:errors:ratio5m > 0.1").is_empty());
    assert_eq!(
        mistakes("rate(emberway_request_total[5m])"),
        ["`emberway_request_total` is no metric"]
    );
    assert_eq!(mistakes("emberway_tokens"), ["`emberway_tokens` is no metric"]);
    assert_eq!(
        mistakes(r#"emberway_tokens_total{kind="x",model="y"}"#),
        ["`emberway_tokens_total` has no label `model`"]
    );
    assert_eq!(
        mistakes("emberway_time_to_first_byte_seconds").len(),
        1,
        "a histogram is used by its parts"
    );
}
