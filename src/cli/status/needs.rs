//! What needs somebody: what no request mends, with what to do about it, gravest first.

use serde::Serialize;

use crate::cli::span::span;
use crate::cli::status::told::{Told, ToldDeployment};
use crate::cli::styled::Gravity;
use crate::core::calendar::DAY_MS;

/// From so near on, a deletion for inactivity that nobody attends to needs somebody; as the alert has it.
const DELETION_NEAR_MS: i64 = 5 * DAY_MS;

/// Something that needs somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(in crate::cli) struct Need {
    /// How grave it is.
    #[serde(skip)]
    pub(in crate::cli) gravity: Gravity,
    /// What it is about: a pool, a deployment, or the configuration.
    pub(in crate::cli) subject: String,
    /// What it is, in a word.
    pub(in crate::cli) kind: String,
    /// What to do, or what will happen.
    pub(in crate::cli) advice: String,
}

/// All of them.
pub(in crate::cli) fn needs(told: &Told) -> Vec<Need> {
    let mut needs: Vec<Need> = Vec::new();
    let unusable = told.pools.iter().filter(|pool| pool.is_unusable());
    needs.extend(unusable.map(|pool| {
        let advice = "its requests fail; the states of its deployments say why";
        need(Gravity::Bad, &format!("pool {}", pool.name), "nobody usable", advice)
    }));
    if let Some(error) = &told.config.last_error {
        let advice = format!("the file on disk is not in use: {error}");
        needs.push(need(Gravity::Bad, "configuration", "reload refused", &advice));
    }
    for deployment in &told.deployments {
        if let Some(alarm) = &deployment.alarm {
            needs.push(need(Gravity::Bad, &deployment.name, &alarm.kind, &alarm.advice));
        }
        needs.extend(inactivity(deployment, told.at_ms));
    }
    for pool in &told.pools {
        if let Some((region, ratio)) = pool.least_headroom().filter(|(_, ratio)| *ratio < 1.0) {
            let advice = format!("without {region} the others would carry {ratio:.2} of its load");
            needs.push(need(
                Gravity::Watch,
                &format!("pool {}", pool.name),
                "headroom",
                &advice,
            ));
        }
    }
    // The sort keeps the order of what is equally grave.
    needs.sort_by_key(|need| std::cmp::Reverse(need.gravity));
    needs
}

fn need(gravity: Gravity, subject: &str, kind: &str, advice: &str) -> Need {
    Need {
        gravity,
        subject: subject.to_owned(),
        kind: kind.to_owned(),
        advice: advice.to_owned(),
    }
}

/// That Azure deletes it soon for being idle, by its guard's own judgement where it has one.
fn inactivity(deployment: &ToldDeployment, now_ms: i64) -> Option<Need> {
    if let Some(care) = &deployment.care {
        let gravity = match care.urgency.as_str() {
            "none" => return None,
            "soon" => Gravity::Watch,
            _ => Gravity::Bad,
        };
        let advice = care.sentence.as_deref().unwrap_or("it is deleted for inactivity");
        return Some(need(
            gravity,
            &deployment.name,
            &format!("inactivity {}", care.urgency),
            advice,
        ));
    }
    let left = deployment
        .unattended_for_ms(now_ms)
        .filter(|left| *left < DELETION_NEAR_MS)?;
    let gravity = if left < DAY_MS { Gravity::Bad } else { Gravity::Watch };
    let when = if left > 0 {
        format!("in {} ({})", span(left), deployment.deletion())
    } else {
        "at any time".to_owned()
    };
    let advice = format!("Azure may delete it {when}; one successful request begins its fifteen days anew");
    Some(need(gravity, &deployment.name, "inactivity", &advice))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::status::examples;

    /// Subject and kind of each, after this was changed in a status where all is well.
    fn after(change: impl FnOnce(&mut serde_json::Value)) -> Vec<(String, String)> {
        let told = examples::told(change);
        needs(&told).into_iter().map(|need| (need.subject, need.kind)).collect()
    }

    fn is(found: &[(String, String)], expected: &[(&str, &str)]) {
        let found: Vec<_> = found.iter().map(|(subject, kind)| (&**subject, &**kind)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn where_all_is_well_nothing_needs_somebody() {
        is(&after(|_| {}), &[]);
    }

    #[test]
    fn the_gravest_comes_first() {
        let found = after(|status| {
            status["pools"][0]["headroom"] = json!({"north": 2.0, "south": 0.5});
            status["pools"][1]["usable"] = json!(0);
            status["config"]["last_error"] = json!("emberway.yaml:3:1: unknown field");
            status["deployments"][0]["alarm"] = json!({"kind": "paused", "advice": "resume it"});
        });
        is(
            &found,
            &[
                ("pool embed", "nobody usable"),
                ("configuration", "reload refused"),
                ("a/ft", "paused"),
                ("pool ft", "headroom"),
            ],
        );
    }

    #[test]
    fn inactivity_is_judged_by_the_guard_or_else_by_the_date() {
        let care = |urgency: &str| {
            json!({"policy": "keep", "state": "there", "idle_s": 9.0, "deletion_at": "2026-12-01T00:00:00Z", "deletion_is_exact": true,
                   "urgency": urgency, "next": null, "end": null, "sentence": "idle for 14 d"})
        };
        for (urgency, gravity) in [
            ("soon", Gravity::Watch),
            ("urgent", Gravity::Bad),
            ("overdue", Gravity::Bad),
        ] {
            let told = examples::told(|status| status["deployments"][0]["care"] = care(urgency));
            let found = needs(&told);
            assert_eq!((found.len(), found[0].gravity), (1, gravity), "{urgency}");
            assert_eq!(found[0].kind, format!("inactivity {urgency}"));
            assert_eq!(found[0].advice, "idle for 14 d");
        }
        // The guard knows better than the date.
        is(
            &after(|status| {
                status["deployments"][0]["care"] = care("none");
                status["deployments"][0]["deletion_at_ms"] = json!(examples::NOW_MS);
            }),
            &[],
        );
        let dated = |days: i64| {
            let told = examples::told(|status| {
                status["deployments"][1]["deletion_at_ms"] = json!(examples::NOW_MS + days * DAY_MS - 1);
            });
            needs(&told).first().map(|need| need.gravity)
        };
        assert_eq!(dated(6), None);
        assert_eq!(dated(5), Some(Gravity::Watch));
        assert_eq!(dated(1), Some(Gravity::Bad));
        assert_eq!(dated(-2), Some(Gravity::Bad));
    }
}
