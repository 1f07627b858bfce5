//! Which fault a request meets, and when one is used up.

use super::*;

const SUPPORT: Target<'_> = Target {
    account: "a",
    deployment: Some("support"),
    stream: Some(true),
};

fn book(yaml: &str) -> FaultBook {
    let book = FaultBook::new(7);
    let faults: Vec<Fault> = serde_saphyr::from_str(yaml).unwrap();
    for fault in faults {
        book.add(fault).unwrap();
    }
    book
}

#[test]
fn predicates_choose() {
    let whole = Target {
        stream: Some(false),
        ..SUPPORT
    };
    let cases = [
        ("[{action: reset}]", SUPPORT, true),
        ("[{account: a, action: reset}]", SUPPORT, true),
        ("[{account: b, action: reset}]", SUPPORT, false),
        ("[{deployment: other, action: reset}]", SUPPORT, false),
        ("[{applies_to: streams, action: reset}]", SUPPORT, true),
        ("[{applies_to: whole_answers, action: reset}]", SUPPORT, false),
        ("[{applies_to: whole_answers, action: reset}]", whole, true),
        ("[{probability: 0, action: reset}]", SUPPORT, false),
    ];
    for (yaml, target, expect) in cases {
        assert_eq!(book(yaml).take_after_body(target).is_some(), expect, "{yaml}");
    }
}

#[test]
fn a_counted_fault_is_gone_after_its_count_and_the_next_one_takes_over() {
    let book = book("[{count: 2, action: reset}, {action: hang}]");
    let met: Vec<_> = (0..3).filter_map(|_| book.take_after_body(SUPPORT)).collect();
    assert_eq!(met, [Action::Reset, Action::Reset, Action::Hang]);
}

#[test]
fn probability_is_met_about_that_often_and_the_same_every_time() {
    let run = || {
        let book = book("[{probability: 0.3, action: reset}]");
        (0..1_000).filter(|_| book.take_after_body(SUPPORT).is_some()).count()
    };
    assert_eq!(run(), run());
    assert!((250..350).contains(&run()), "{}", run());
}

#[test]
fn a_limit_reduction_takes_no_requests() {
    let book = book("[{deployment: support, action: {reduce_limit: {ratio: 0.5}}}]");
    assert!(book.take_after_body(SUPPORT).is_none());
    assert!((book.limit_reduction("a", "support") - 0.5).abs() < 1e-9);
    assert!((book.limit_reduction("a", "other") - 1.0).abs() < 1e-9);
}

#[test]
fn answers_before_the_body_are_chosen_apart() {
    let book = book("[{action: {respond: {status: 503, before_body: true}}}]");
    assert!(book.take_after_body(SUPPORT).is_none());
    assert!(book.take_before_body(SUPPORT).is_some());
}

#[test]
fn wrong_faults_are_refused_with_the_reason() {
    for (yaml, expect) in [
        ("{probability: 2, action: reset}", "probability"),
        ("{action: {respond: {status: 99}}}", "status"),
        (
            "{action: {respond: {status: 503, headers: {'bad name': x}}}}",
            "bad name",
        ),
        ("{action: {reduce_limit: {ratio: 3}}}", "ratio"),
    ] {
        let fault: Fault = serde_saphyr::from_str(yaml).unwrap();
        assert!(fault.check().unwrap_err().contains(expect), "{yaml}");
    }
    assert!(serde_saphyr::from_str::<Fault>("{action: reset, cuont: 3}").is_err());
}
