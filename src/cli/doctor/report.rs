//! What was found: grouped lines for people, the same as JSON for programs, and whether anything fails.

use std::fmt::Write as _;

use serde::Serialize;
use strum::IntoStaticStr;

/// What a finding is about; in the order in which they are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub(super) enum Group {
    /// The file.
    Configuration,
    /// Files, disk, descriptors and ports here.
    Machine,
    /// The gateway that runs here, if one does.
    Gateway,
    /// Names, connections and certificates.
    Network,
    /// What resources answer to their credentials.
    Requests,
    /// What Azure Resource Manager says.
    ControlPlane,
    /// The webhook.
    Alerts,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// As it should be.
    Ok,
    /// It works, and will not for long or not always.
    Warn,
    /// It does not work.
    Fail,
    /// It was not asked, for the reason that is told.
    Skipped,
}

/// One thing that was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) group: Group,
    pub(super) state: State,
    /// Of what: a resource, a deployment, a file, an address.
    pub(super) place: String,
    /// What was seen.
    pub(super) what: String,
    /// What to do about it; none where nothing is to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mend: Option<String>,
}

impl Finding {
    pub(super) fn ok(group: Group, place: impl Into<String>, what: impl Into<String>) -> Self {
        Self::new(group, State::Ok, place, what, None)
    }

    pub(super) fn skipped(group: Group, place: impl Into<String>, what: impl Into<String>) -> Self {
        Self::new(group, State::Skipped, place, what, None)
    }

    pub(super) fn warn(
        group: Group,
        place: impl Into<String>,
        what: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self::new(group, State::Warn, place, what, Some(mend.into()))
    }

    pub(super) fn fail(
        group: Group,
        place: impl Into<String>,
        what: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self::new(group, State::Fail, place, what, Some(mend.into()))
    }

    fn new(
        group: Group,
        state: State,
        place: impl Into<String>,
        what: impl Into<String>,
        mend: Option<String>,
    ) -> Self {
        Self {
            group,
            state,
            place: place.into(),
            what: what.into(),
            mend,
        }
    }
}

/// All findings, by group.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Whether nothing fails.
    ok: bool,
    counts: Counts,
    findings: Vec<Finding>,
}

#[derive(Debug, Default, Serialize)]
struct Counts {
    ok: usize,
    warn: usize,
    fail: usize,
    skipped: usize,
}

impl Report {
    pub(super) fn new(mut findings: Vec<Finding>) -> Self {
        // Stable: within a group they stay as they were asked.
        findings.sort_by_key(|finding| finding.group);
        let count = |state| findings.iter().filter(|finding| finding.state == state).count();
        let counts = Counts {
            ok: count(State::Ok),
            warn: count(State::Warn),
            fail: count(State::Fail),
            skipped: count(State::Skipped),
        };
        Self {
            ok: counts.fail == 0,
            counts,
            findings,
        }
    }

    /// Whether anything does not work.
    pub(super) fn fails(&self) -> bool {
        !self.ok
    }

    pub(super) fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }

    /// A heading for each group, a line for each finding, under it what to do.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let mut group = None;
        for finding in &self.findings {
            if group != Some(finding.group) {
                let heading: &str = finding.group.into();
                text.push_str(if group.is_some() { "\n" } else { "" });
                add(&mut text, format_args!("{}\n", heading.replace('_', " ")));
                group = Some(finding.group);
            }
            let state: &str = finding.state.into();
            add(
                &mut text,
                format_args!("  {state:<8} {}: {}\n", finding.place, finding.what),
            );
            if let Some(mend) = &finding.mend {
                add(&mut text, format_args!("           -> {mend}\n"));
            }
        }
        let Counts {
            ok,
            warn,
            fail,
            skipped,
        } = self.counts;
        add(
            &mut text,
            format_args!("\n{ok} ok, {warn} warn, {fail} fail, {skipped} skipped\n"),
        );
        text
    }
}

fn add(text: &mut String, what: std::fmt::Arguments<'_>) {
    // A string takes whatever is written.
    let _infallible = text.write_fmt(what);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_grouped_counted_and_say_what_to_do() {
        let report = Report::new(vec![
            Finding::fail(Group::Network, "east", "no address", "mend the name"),
            Finding::ok(Group::Configuration, "a.yaml", "compiles"),
            Finding::warn(Group::Network, "west", "ends soon", "renew it"),
            Finding::skipped(Group::ControlPlane, "azure", "not configured"),
        ]);
        assert!(report.fails());
        insta::assert_snapshot!(report.text(), @r"
        configuration
          ok       a.yaml: compiles

        network
          fail     east: no address
                   -> mend the name
          warn     west: ends soon
                   -> renew it

        control plane
          skipped  azure: not configured

        1 ok, 1 warn, 1 fail, 1 skipped
        ");
        let json: serde_json::Value = serde_json::from_str(&report.json().expect("JSON")).expect("JSON");
        assert_eq!((&json["ok"], &json["counts"]["fail"]), (&false.into(), &1.into()));
        assert_eq!(json["findings"][1]["mend"], "mend the name");
        let warned = Report::new(vec![Finding::warn(Group::Network, "west", "ends soon", "renew it")]);
        assert!(!warned.fails());
    }
}
