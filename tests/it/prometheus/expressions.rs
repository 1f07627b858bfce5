//! Every expression that dashboards and rules have, with variables replaced as Grafana would replace them.

use std::fmt;
use std::path::Path;

use serde_json::Value;

/// What Grafana puts in place of its variables here: every name, and windows that fit a scrape each second.
const VARIABLES: &[(&str, &str)] = &[
    ("$__rate_interval", "10s"),
    ("$__range", "1m"),
    ("$instance", ".*"),
    ("$route", ".*"),
    ("$client", ".*"),
    ("$deployment", ".*"),
    ("$pool", ".*"),
];

/// What separates an alert's parts. Each part must find data; the whole must not, as a rule.
const SEPARATORS: &[&str] = &[
    " and on (route) ",
    " and on (deployment) ",
    " and ",
    " unless ",
    " or ",
    " > ",
    " < ",
    " >= ",
    " == ",
];

/// How Prometheus is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The value now.
    Instant,
    /// The values of the last half a minute.
    Range,
    /// Only that it is no error.
    Valid,
    /// The values of a label: `label_values(metric, label)`.
    Labels,
}

/// An expression and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Question {
    pub(super) file: String,
    /// The panel, variable, annotation or rule.
    pub(super) place: String,
    pub(super) kind: Kind,
    pub(super) expression: String,
    /// Its place among all.
    pub(super) order: usize,
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}: {}", self.file, self.place, self.expression)
    }
}

/// The dashboards' files, by name.
pub(super) fn dashboards() -> Vec<(String, Value)> {
    ["overview", "latency", "fleet", "cache", "cost"]
        .map(|name| {
            let text = read(&format!("grafana/{name}.json"));
            (format!("{name}.json"), serde_json::from_str(&text).expect("JSON"))
        })
        .to_vec()
}

/// A file of `dashboards`.
pub(super) fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All of them, in the order of the files.
pub(super) fn all() -> Vec<Question> {
    let mut all = Vec::new();
    for (file, dashboard) in dashboards() {
        for panel in items(&dashboard["panels"]) {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let kind = if target["instant"] == true {
                    Kind::Instant
                } else {
                    Kind::Range
                };
                add(&mut all, &file, text(&panel["title"]), kind, text(&target["expr"]));
            }
        }
        for variable in items(&dashboard["templating"]["list"]) {
            if variable["type"] == "query" {
                let place = format!("variable {}", text(&variable["name"]));
                add(&mut all, &file, &place, Kind::Labels, text(&variable["definition"]));
            }
        }
        for annotation in items(&dashboard["annotations"]["list"]) {
            let place = format!("annotation {}", text(&annotation["name"]));
            for part in parts(text(&annotation["expr"])) {
                add(&mut all, &file, &place, Kind::Range, &part);
            }
        }
    }
    for file in ["recording.yaml", "alerts.yaml"] {
        let rules: Value = serde_saphyr::from_str(&read(&format!("prometheus/{file}"))).expect("YAML");
        for rule in items(&rules["groups"]).iter().flat_map(|group| items(&group["rules"])) {
            let expression = text(&rule["expr"]);
            if let Some(name) = rule["record"].as_str() {
                add(&mut all, file, name, Kind::Instant, expression);
                // What Prometheus has recorded of it.
                add(&mut all, file, name, Kind::Instant, name);
            } else {
                let name = text(&rule["alert"]);
                add(&mut all, file, name, Kind::Valid, expression);
                for part in parts(expression) {
                    add(&mut all, file, name, Kind::Range, &part);
                }
            }
        }
    }
    all
}

fn add(all: &mut Vec<Question>, file: &str, place: &str, kind: Kind, expression: &str) {
    let mut expression = expression.to_owned();
    for (variable, value) in VARIABLES {
        expression = expression.replace(variable, value);
    }
    assert!(
        !expression.contains('$'),
        "{file}, {place}: a variable is left in {expression}"
    );
    all.push(Question {
        file: file.to_owned(),
        place: place.to_owned(),
        kind,
        expression,
        order: all.len(),
    });
}

/// The sides of comparisons and of set operators, without those that are only a number.
fn parts(expression: &str) -> Vec<String> {
    let mut parts = vec![expression.split_whitespace().collect::<Vec<_>>().join(" ")];
    for separator in SEPARATORS {
        parts = parts
            .iter()
            .flat_map(|part| part.split(separator).map(str::to_owned))
            .collect();
    }
    let parts = parts
        .iter()
        .map(|part| balanced(part))
        .filter(|part| part.contains("emberway") || part.contains("process_"));
    let mut distinct: Vec<String> = Vec::new();
    for part in parts {
        if !distinct.contains(&part) {
            distinct.push(part);
        }
    }
    distinct
}

/// Without the parentheses that were opened or closed in another part.
fn balanced(part: &str) -> String {
    let mut part = part.trim();
    loop {
        let opened = part.matches('(').count();
        let closed = part.matches(')').count();
        part = match opened.cmp(&closed) {
            std::cmp::Ordering::Greater if part.starts_with('(') => part[1..].trim(),
            std::cmp::Ordering::Less if part.ends_with(')') => part[..part.len() - 1].trim(),
            _ => return part.to_owned(),
        };
    }
}

pub(super) fn items(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

pub(super) fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

#[test]
fn alerts_fall_into_parts() {
    let check = |expression: &str, expected: &[&str]| assert_eq!(parts(expression), expected, "{expression}");
    check("emberway_x == 2", &["emberway_x"]);
    check(
        "(emberway:a > 3 * (1 - scalar(emberway:b))\n and emberway:c > 1) and on (route) emberway:d > 0.1",
        &["emberway:a", "3 * (1 - scalar(emberway:b))", "emberway:c", "emberway:d"],
    );
    check(
        "sum by (job) (increase(emberway_x[5m])) > 0",
        &["sum by (job) (increase(emberway_x[5m]))"],
    );
}
