//! Dashboards as Grafana reads them: by a schema of its model, and what no schema says: ids, places, links, variables and legends.
//!
//! There is no Grafana among the packages that tests may install, so that it takes these files is not tried here.

use std::collections::BTreeSet;

use serde_json::Value;

use super::expressions::{dashboards, items, text};

#[test]
fn the_dashboards_fit_grafanas_model() {
    let schema: Value = serde_json::from_str(include_str!("dashboard.schema.json")).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    for (file, dashboard) in dashboards() {
        let mistakes: Vec<String> = validator
            .iter_errors(&dashboard)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert_eq!(mistakes, Vec::<String>::new(), "{file}");
    }
}

#[test]
fn each_dashboard_links_to_all_others() {
    let uids: Vec<String> = dashboards()
        .iter()
        .map(|(_, board)| text(&board["uid"]).to_owned())
        .collect();
    for (file, dashboard) in dashboards() {
        let linked: BTreeSet<&str> = items(&dashboard["links"])
            .iter()
            .map(|link| text(&link["url"]))
            .collect();
        let expected = uids
            .iter()
            .filter(|uid| dashboard["uid"] != uid.as_str())
            .map(|uid| format!("/d/{uid}"));
        assert_eq!(
            linked,
            expected.collect::<Vec<_>>().iter().map(String::as_str).collect(),
            "{file}"
        );
    }
}

#[test]
fn panels_have_ids_and_places_of_their_own() {
    for (file, dashboard) in dashboards() {
        let mut ids = BTreeSet::new();
        let mut cells = BTreeSet::new();
        for panel in items(&dashboard["panels"]) {
            assert!(ids.insert(panel["id"].as_u64()), "{file}: {}", panel["title"]);
            let at = |name: &str| panel["gridPos"][name].as_u64().expect("a number");
            assert!(at("x") + at("w") <= 24, "{file}: {} is too wide", panel["title"]);
            for x in at("x")..at("x") + at("w") {
                for y in at("y")..at("y") + at("h") {
                    assert!(cells.insert((x, y)), "{file}: {} lies on another", panel["title"]);
                }
            }
        }
    }
}

/// Every variable that an expression names is there, every one that is there is used, and everything is by gateway.
#[test]
fn variables_are_defined_and_used() {
    for (file, dashboard) in dashboards() {
        let defined: BTreeSet<&str> = items(&dashboard["templating"]["list"])
            .iter()
            .map(|one| text(&one["name"]))
            .collect();
        let mut used = BTreeSet::from(["datasource"]);
        for target in targets(&dashboard) {
            let expression = text(&target["expr"]);
            assert!(
                expression.contains(r#"instance=~"$instance""#),
                "{file}: {expression} is not by gateway"
            );
            for rest in expression.split('$').skip(1) {
                let end = rest
                    .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                    .unwrap_or(rest.len());
                if !rest.starts_with("__") {
                    used.insert(&rest[..end]);
                }
            }
        }
        assert_eq!(used, defined, "{file}");
    }
}

/// A legend names only labels that its expression keeps.
#[test]
fn legends_name_labels_that_are_left() {
    for (file, dashboard) in dashboards() {
        for target in targets(&dashboard) {
            let (expression, legend) = (text(&target["expr"]), text(&target["legendFormat"]));
            for label in legend.split("{{").skip(1).filter_map(|rest| rest.split("}}").next()) {
                let kept = expression.match_indices(" by (").any(|(at, _)| {
                    let list = expression[at + 5..].split(')').next().unwrap_or_default();
                    list.split(", ").any(|one| one == label)
                });
                // Without any sum every label is left.
                assert!(
                    kept || !expression.contains(" by ("),
                    "{file}: no `{label}` in {expression}"
                );
            }
        }
    }
}

fn targets(dashboard: &Value) -> Vec<&Value> {
    let panels = items(&dashboard["panels"]).iter();
    panels
        .filter_map(|panel| panel["targets"].as_array())
        .flatten()
        .collect()
}
