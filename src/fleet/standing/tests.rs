//! Who stands how, above all where little is left of a pool.

use super::*;
use crate::core::calendar::DAY_MS;
use crate::core::fleet::actual::{AccountView, ActualDeployment};
use crate::core::fleet::toy::{declared, key, shown};

/// How `a/x` and `b/x` stand, given what Azure shows of them, which are drained, and when they last answered.
fn stand(is: [Option<ActualDeployment>; 2], drained: [bool; 2], answered_at_ms: Option<i64>) -> [Option<Absence>; 2] {
    let declared = declared(&[("a/x", "new", 50), ("b/x", "new", 50)]);
    let mut actual = Actual::default();
    let mut seen = BTreeMap::new();
    for ((name, is), is_drained) in ["a/x", "b/x"].into_iter().zip(is).zip(drained) {
        let deployments = is.map(|is| (key(name), is)).into_iter().collect();
        actual.accounts.insert(
            key(name).account,
            AccountView {
                seen_at_ms: 20 * DAY_MS,
                deployments,
            },
        );
        seen.insert(
            DeploymentId::from(name),
            Seen {
                deployment: name.into(),
                in_flight: 0,
                is_drained,
                was_missed: false,
                was_needed: false,
                last_success_at_ms: answered_at_ms,
                first_seen_ms: Some(0),
            },
        );
    }
    let standings = standings(&Picture {
        declared: &declared,
        actual: &actual,
        seen: &seen,
        rebuilding: &BTreeMap::new(),
        leaving: &BTreeSet::new(),
        writes: true,
        now_ms: 20 * DAY_MS,
    });
    ["a/x", "b/x"].map(|name| standings[&DeploymentId::from(name)].absence)
}

const OK: Provisioning = Provisioning::Succeeded;

#[test]
fn a_rolling_change_of_the_model_never_empties_the_pool() {
    let is = |end: &str| Some(shown(end, 50, OK));
    // Before; the first is out and changed; it is back; the second is out and changed.
    let steps = [
        ([is("old"), is("old")], [false, false], [None, None]),
        ([is("new"), is("old")], [true, false], [None, None]),
        ([is("new"), is("old")], [false, false], [None, Some(Absence::Unlike)]),
        ([is("new"), is("old")], [false, true], [None, None]),
        ([is("new"), is("new")], [false, false], [None, None]),
        // The same in the other order.
        ([is("old"), is("new")], [false, true], [None, None]),
        ([is("old"), is("new")], [false, false], [Some(Absence::Unlike), None]),
    ];
    for (at, (is, drained, expected)) in steps.into_iter().enumerate() {
        assert_eq!(stand(is, drained, Some(DAY_MS)), expected, "step {at}");
    }
}

#[test]
fn who_is_in_doubt_is_asked_where_nobody_else_is() {
    let failed = || Some(shown("new", 50, Provisioning::Failed));
    let fine = || Some(shown("new", 50, OK));
    let out = Some(Absence::Failed);
    assert_eq!(stand([failed(), fine()], [false, false], None), [out, None]);
    assert_eq!(stand([failed(), None], [false, false], None)[0], None);
    assert_eq!(stand([failed(), fine()], [false, true], None), [None, None]);
    // What answered since it was made goes on in any case.
    assert_eq!(stand([failed(), fine()], [false, false], Some(DAY_MS)), [None, None]);
}
