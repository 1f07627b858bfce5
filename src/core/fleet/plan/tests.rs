//! The plan: its steps, their order, and what is found.

use super::*;
use crate::core::calendar::{DAY_MS, date_ms};
use crate::core::fleet::catalogue::EMBEDDED;
use crate::core::fleet::key::ModelRef;
use crate::core::fleet::toy::{declared, key, model, shown};
use crate::core::ids::Region;
use crate::core::topology::Sku;

const FINE: Provisioning = Provisioning::Succeeded;

/// A picture that can be changed before it is looked at.
struct Scene {
    declared: Declared,
    actual: Actual,
    allowed: Allowed,
    deletable: Option<Deletable>,
    routing: Routing,
    now_ms: i64,
}

fn scene(wanted: &[(&str, &str, u32)], live: &[(&str, ActualDeployment)]) -> Scene {
    let declared = declared(wanted);
    let mut actual = Actual::default();
    for account in &declared.accounts {
        actual.accounts.entry(account.clone()).or_default();
    }
    for (name, deployment) in live {
        let key = key(name);
        let account = actual.accounts.get_mut(&key.account).expect("an account");
        account.deployments.insert(key, deployment.clone());
    }
    Scene {
        declared,
        actual,
        allowed: Allowed::default(),
        deletable: None,
        routing: Routing::new(),
        now_ms: date_ms("2026-11-26").expect("a date"),
    }
}

impl Scene {
    fn plan(&self) -> Plan {
        let catalogue = Catalogue::parse(EMBEDDED).expect("the embedded catalogue");
        plan(&Picture {
            declared: &self.declared,
            actual: &self.actual,
            catalogue: &catalogue,
            allowed: self.allowed,
            deletable: self.deletable.as_ref(),
            routing: &self.routing,
            now_ms: self.now_ms,
        })
    }

    fn steps(&self) -> String {
        let plan = self.plan();
        let steps = plan
            .steps
            .iter()
            .map(|step| format!("{} {}", step.kind.as_str(), step.of));
        steps.collect::<Vec<_>>().join(", ")
    }

    /// What is found, the healthy apart.
    fn found(&self) -> String {
        let plan = self.plan();
        let found = plan
            .findings
            .iter()
            .map(|finding| format!("{} {}", finding.kind.as_str(), finding.of));
        found.collect::<Vec<_>>().join(", ")
    }

    #[track_caller]
    fn check(&self, steps: &str, found: &str) {
        assert_eq!(
            (&*self.steps(), &*self.found()),
            (steps, found),
            "{:#?}",
            self.plan().findings
        );
    }
}

#[test]
fn nothing_to_do_is_nothing() {
    scene(&[("a/one", "1", 10)], &[("a/one", shown("1", 10, FINE))]).check("", "");
}

#[test]
fn what_serves_goes_last() {
    let mut scene = scene(
        &[
            ("a/large", "1", 10),
            ("a/other", "1", 10),
            ("b/new", "1", 10),
            ("b/small", "1", 10),
        ],
        &[
            ("a/large", shown("1", 30, FINE)),
            ("a/other", shown("2", 10, FINE)),
            ("a/junk", shown("9", 10, FINE)),
            ("b/small", shown("1", 5, FINE)),
        ],
    );
    for name in ["a/other", "a/junk"] {
        scene.routing.insert(key(name), Routed::default());
    }
    let found = "capacity_drift a/large, model_drift a/other, missing b/new, capacity_drift b/small, unknown a/junk, unlike_weights all";
    let steps = "create b/new, raise b/small, drain a/other, replace a/other, rejoin a/other, lower a/large";
    scene.check(steps, found);
    scene.allowed.deleting = true;
    scene.check(&format!("{steps}, drain a/junk, delete a/junk"), found);
    // Of what was agreed upon only that is deleted which was there then.
    let agreed = |created_at_ms| Some([(key("a/junk"), created_at_ms)].into());
    for (deletable, is_deleted) in [
        (Some(Deletable::new()), false),
        (agreed(Some(5)), false),
        (agreed(Some(0)), true),
    ] {
        scene.deletable = deletable;
        assert_eq!(scene.steps().contains("delete a/junk"), is_deleted);
    }
}

#[test]
fn the_only_member_is_not_replaced() {
    let mut scene = scene(&[("a/one", "1", 10)], &[("a/one", shown("2", 10, FINE))]);
    scene.check("", "model_drift a/one, only_member a/one");
    assert!(scene.plan().is_blocked());
    scene.allowed.outage = true;
    scene.check("replace a/one", "model_drift a/one");
    // One beside it that is drained does not help; one that serves does.
    let mut beside = self::scene(
        &[("a/one", "1", 10), ("b/two", "2", 10)],
        &[("a/one", shown("2", 10, FINE)), ("b/two", shown("2", 10, FINE))],
    );
    beside.check("replace a/one", "model_drift a/one");
    let drained = Routed {
        is_absent: false,
        is_drained: true,
        in_flight: 0,
    };
    beside.routing.insert(key("b/two"), drained);
    beside.check("", "model_drift a/one, only_member a/one");
}

#[test]
fn quota_is_added_up_first() {
    let mut scene = scene(
        &[("a/one", "1", 10), ("a/two", "1", 30), ("b/three", "1", 10)],
        &[("a/two", shown("1", 20, FINE)), ("a/junk", shown("9", 10, FINE))],
    );
    scene.allowed.deleting = true;
    let line = QuotaKey("s/swedencentral/gpt-4.1-mini".into());
    for at in [0, 1] {
        scene.declared.deployments[at].quota = Some(line.clone());
    }
    let quota = |limit| Quota { used: 80, limit };
    // 10 for one, and 10 more for two.
    scene.actual.quotas.insert(line.clone(), quota(99));
    let found = "missing a/one, capacity_drift a/two, missing b/three, unknown a/junk, weights_unknown all";
    scene.check(
        "create b/three, delete a/junk",
        &format!("{found}, quota_short a/one, quota_short a/two"),
    );
    assert!(scene.plan().is_blocked());
    scene.actual.quotas.insert(line.clone(), quota(100));
    scene.check("create a/one, create b/three, raise a/two, delete a/junk", found);
    let need = QuotaNeed {
        key: line.clone(),
        needed: 20,
        free: Some(20),
    };
    assert_eq!(scene.plan().quota, [need]);
    // What could not be read is Azure's to decide.
    scene.actual.quotas.clear();
    scene.check("create a/one, create b/three, raise a/two, delete a/junk", found);
}

#[test]
fn states_are_found_and_left_alone_or_mended() {
    let state = |state| {
        let scene = scene(&[("a/one", "1", 10)], &[("a/one", shown("1", 10, state))]);
        format!("{} / {}", scene.steps(), scene.found())
    };
    assert_eq!(state(Provisioning::Failed), "create a/one / broken a/one");
    assert_eq!(state(Provisioning::Canceled), "create a/one / broken a/one");
    assert_eq!(state(Provisioning::Creating), " / passing a/one");
    assert_eq!(state(Provisioning::Deleting), " / passing a/one");
    assert_eq!(state(Provisioning::Disabled), " / disabled a/one");
    let mut paused = shown("1", 10, FINE);
    paused.is_paused = true;
    scene(&[("a/one", "1", 10)], &[("a/one", paused)]).check("", "paused a/one");
    // Another SKU.
    let mut global = shown("1", 10, FINE);
    "globalstandard".clone_into(&mut global.sku_name);
    scene(&[("a/one", "1", 10)], &[("a/one", global)]).check("raise a/one", "sku_drift a/one");
}

#[test]
fn an_account_that_cannot_be_read_is_left_alone() {
    let mut scene = scene(
        &[("a/one", "1", 10), ("b/two", "1", 10)],
        &[("b/junk", shown("9", 10, FINE))],
    );
    scene.actual.accounts.remove(&key("a/x").account);
    scene.check(
        "create b/two",
        "missing b/two, unknown b/junk, unseen a, weights_unknown all",
    );
    assert!(scene.plan().is_blocked());
}

#[test]
fn the_catalogue_warns_or_refuses() {
    let mut scene = scene(&[("a/one", "1", 10)], &[]);
    scene.declared.deployments[0].region = Region::from("westus");
    scene.check(
        "create a/one",
        "missing a/one, offer_doubtful a/one, weights_unknown all",
    );
    scene.allowed.strict = true;
    scene.check("", "missing a/one, not_offered a/one, weights_unknown all");
    scene.declared.deployments[0].model = Some(ModelRef::fine_tuned("ftchkpt-1"));
    scene.check("", "missing a/one, not_vouched_for a/one, weights_unknown all");
    scene.declared.deployments[0].model = None;
    scene.check("", "missing a/one, incomplete a/one, weights_unknown all");
}

#[test]
fn ends_are_told_before_they_come() {
    let live = [("a/one", shown("1", 10, FINE))];
    let mut scene = scene(&[("a/one", "1", 10)], &live);
    let retires = date_ms("2027-10-14").expect("a date");
    for (days_before, found) in [(91, ""), (90, "retiring_soon a/one"), (0, "retired a/one")] {
        scene.now_ms = retires - days_before * DAY_MS;
        scene.check("", found);
    }
    // What Azure says comes before the catalogue.
    scene.now_ms = retires - 200 * DAY_MS;
    let account = scene.actual.accounts.get_mut(&key("a/x").account).expect("an account");
    let one = account.deployments.get_mut(&key("a/one")).expect("a deployment");
    one.retires_at_ms = Some(scene.now_ms + DAY_MS);
    scene.check("", "retiring_soon a/one");
}

#[test]
fn pools_that_end_together_and_accounts_that_are_full_are_found() {
    let mut developer = shown("1", 10, FINE);
    "DeveloperTier".clone_into(&mut developer.sku_name);
    let mut scene = scene(&[("a/one", "1", 10)], &[("a/one", developer)]);
    scene.declared.deployments[0].sku = Sku::DeveloperTier;
    scene.check("", "developer_alone all");
    let names: Vec<String> = (0..10).map(|at| format!("a/d{at}")).collect();
    let wanted: Vec<(&str, &str, u32)> = names.iter().map(|name| (&**name, "1", 10)).collect();
    let live: Vec<(&str, ActualDeployment)> = names.iter().map(|name| (&**name, shown("1", 10, FINE))).collect();
    self::scene(&wanted, &live).check("", "too_many a");
    assert_eq!(model("1"), ModelRef::fine_tuned("gpt-4.1-mini-2025-04-14.FT-1"));
}
