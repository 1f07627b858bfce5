//! What needs somebody: judged here once, so that the page, the terminal and programs tell the same. Gravest first.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::admin::care::CaredStatus;
use crate::admin::status::{DeploymentStatus, PoolStatus, Status};
use crate::core::calendar::{DAY_MS, shown_date, shown_span};

/// From so near on, a deletion for inactivity that nobody attends to needs somebody; as the alert has it.
const DELETION_NEAR_MS: i64 = 5 * DAY_MS;
/// One whose limit is used beyond this part is about to be throttled.
const LIMIT_NEAR: f64 = 0.95;

/// How grave a need is, gravest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    /// It fails, or will soon.
    Error,
    /// Worth a look.
    Warning,
    /// Somebody wanted it, or it passes by itself. What this version does not know is read so.
    #[serde(other)]
    Info,
}

/// What a need is about, which tells where more of it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum About {
    /// The configuration's file.
    Configuration,
    /// A pool.
    Pool,
    /// A deployment.
    Deployment,
    /// The process. What this version does not know is read so.
    #[serde(other)]
    Gateway,
}

/// Something that needs somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Need {
    /// How grave it is.
    pub urgency: Urgency,
    /// What it is about.
    pub about: About,
    /// Which one: `gateway`, `configuration`, `pool NAME`, or a deployment's name.
    pub subject: String,
    /// What it is, in a word such as `breaker_open`.
    pub kind: String,
    /// What to do, or what will happen; the configuration's error has several lines.
    pub advice: String,
    /// When it passes by itself or comes to pass, in milliseconds since the Unix epoch; none where that is not known.
    pub at_ms: Option<i64>,
}

impl Need {
    fn new(urgency: Urgency, about: About, subject: &str, kind: &str, advice: impl Into<String>) -> Self {
        Self {
            urgency,
            about,
            subject: subject.to_owned(),
            kind: kind.to_owned(),
            advice: advice.into(),
            at_ms: None,
        }
    }

    fn at(self, at_ms: Option<i64>) -> Self {
        Self { at_ms, ..self }
    }

    /// What it is, in words: `breaker open`.
    pub fn words(&self) -> String {
        self.kind.replace('_', " ")
    }
}

/// All that need somebody, as of when the status was told.
pub fn needs(status: &Status) -> Vec<Need> {
    let mut needs = of_gateway(status);
    needs.extend(status.pools.iter().filter_map(unusable));
    for deployment in &status.deployments {
        needs.extend(of_deployment(deployment, status.at_ms));
    }
    needs.extend(status.pools.iter().filter_map(headroom));
    // The sort keeps the order of what is equally grave.
    needs.sort_by_key(|need| need.urgency);
    needs
}

fn of_gateway(status: &Status) -> Vec<Need> {
    let mut needs = Vec::new();
    if let Some(error) = &status.config.last_error {
        needs.push(Need::new(
            Urgency::Error,
            About::Configuration,
            "configuration",
            "reload_refused",
            format!("the file on disk is not in use: {error}"),
        ));
    }
    let of_process = |urgency, kind, advice| Need::new(urgency, About::Gateway, "gateway", kind, advice);
    if status.draining {
        needs.push(of_process(Urgency::Warning, "ending", "it takes no new requests"));
    } else if !status.ready {
        needs.push(of_process(Urgency::Error, "not_ready", "it takes no requests yet"));
    }
    needs
}

fn unusable(pool: &PoolStatus) -> Option<Need> {
    let advice = "its requests fail; the states of its deployments say why";
    (pool.deployments > 0 && pool.usable == 0)
        .then(|| of_pool(Urgency::Error, pool, "nobody_usable", advice.to_owned()))
}

/// What the loss of a region would take.
fn headroom(pool: &PoolStatus) -> Option<Need> {
    let regions = pool.headroom.iter();
    let (region, ratio) = regions.min_by(|one, other| one.1.total_cmp(other.1))?;
    let advice = match ratio {
        _ if *ratio >= 1.0 => return None,
        _ if *ratio < 0.01 => format!("without {region} nobody would carry its load"),
        // Cut, since nearly all is not all.
        _ => format!(
            "without {region} the others would carry {:.0} % of its load",
            (ratio * 100.0).floor()
        ),
    };
    Some(of_pool(Urgency::Warning, pool, "headroom", advice))
}

fn of_pool(urgency: Urgency, pool: &PoolStatus, kind: &str, advice: String) -> Need {
    Need::new(urgency, About::Pool, &format!("pool {}", pool.name), kind, advice)
}

fn of_deployment(one: &DeploymentStatus, now_ms: i64) -> Vec<Need> {
    let need = |urgency, kind: &str, advice: &str| Need::new(urgency, About::Deployment, &one.name, kind, advice);
    let mut needs = Vec::new();
    if let Some(alarm) = &one.alarm {
        needs.push(need(Urgency::Error, alarm.kind.as_ref(), alarm.advice));
    } else if let Some(absent) = one.absent {
        let (urgency, advice) = absence(absent);
        needs.push(need(urgency, absent, advice));
    }
    // An alarm says why its breaker is open.
    match one.breaker {
        _ if one.alarm.is_some() => {}
        "open" => {
            let advice =
                "it or its resource failed again and again, so requests go elsewhere; it is tried again by itself";
            needs.push(need(Urgency::Error, "breaker_open", advice));
        }
        "half_open" => needs.push(need(
            Urgency::Warning,
            "breaker_half_open",
            "it is being tried again after failures",
        )),
        _ => {}
    }
    let used = one.limit_used.filter(|used| *used >= LIMIT_NEAR);
    if let Some(until_ms) = one.cooling_until_ms.filter(|until| *until > now_ms) {
        let resting = need(
            Urgency::Warning,
            "resting",
            "Azure throttles it, so requests go elsewhere",
        );
        needs.push(resting.at(Some(until_ms)));
    } else if let Some(used) = used {
        let advice = format!("{:.0} % of its tokens a minute are used", used * 100.0);
        needs.push(need(Urgency::Warning, "limit_near", &advice));
    }
    needs.extend(inactivity(one, now_ms));
    if one.drained {
        needs.push(need(Urgency::Info, "drained", "an operator has taken it out").at(one.drained_until_ms));
    }
    needs
}

/// How grave it is that one is not there, and what becomes of it.
fn absence(word: &str) -> (Urgency, &'static str) {
    match word {
        "provisioning" => (Urgency::Info, "Azure makes it, or will as soon as a request needs it"),
        "ending" => (Urgency::Info, "it ends soon, and others carry its load"),
        "missing" => (Urgency::Error, "Azure has no such deployment"),
        "failed" => (Urgency::Error, "it was to be made, and Azure failed"),
        "deleting" => (Urgency::Error, "it is being deleted"),
        "paused" => (Urgency::Error, "somebody has paused it at Azure"),
        "disabled" => (Urgency::Error, "Azure has disabled it"),
        "retired" => (Urgency::Error, "its model is retired"),
        "unlike" => (Urgency::Error, "it has another model than the others of its pool"),
        _ => (Urgency::Error, "it gets no requests"),
    }
}

/// That Azure deletes it soon for being idle, by its guard's own judgement where it has one.
fn inactivity(one: &DeploymentStatus, now_ms: i64) -> Option<Need> {
    let need = |urgency, kind: &str, advice: String| Need::new(urgency, About::Deployment, &one.name, kind, advice);
    if let Some(CaredStatus { urgency, sentence, .. }) = &one.care {
        let how = match urgency.as_str() {
            "none" => return None,
            "soon" => Urgency::Warning,
            _ => Urgency::Error,
        };
        let advice = sentence.as_deref().unwrap_or("it is deleted for inactivity").to_owned();
        return Some(need(how, &format!("inactivity_{urgency}"), advice));
    }
    let at_ms = one.deletion_at_ms?;
    let left = Some(at_ms - now_ms).filter(|left| *left < DELETION_NEAR_MS)?;
    let urgency = if left < DAY_MS {
        Urgency::Error
    } else {
        Urgency::Warning
    };
    let when = match left {
        1.. => format!("in {} ({})", shown_span(left), shown_date(at_ms)),
        _ => "at any time".to_owned(),
    };
    let advice = format!("Azure may delete it {when}; one successful request begins its fifteen days anew");
    Some(need(urgency, "inactivity", advice).at(Some(at_ms)))
}

#[cfg(test)]
mod tests;
