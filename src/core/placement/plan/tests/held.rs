//! What is remembered of a block.

use super::*;

#[test]
fn a_block_says_where_it_was_sent_within_the_hour_and_how_often_it_comes() {
    let placement = Placement::new(Rule::default());
    let view = view(&[8]);
    heat_up(&placement, &view, 1);
    let seeds: Vec<u64> = view.tiers[0].members.iter().map(|member| member.seed).collect();
    let hot = placement.hot_heads(1, minutes(15))[0];
    let held = placement.held(hot.id, &seeds, 1.0, minutes(15));
    assert!(!held.places.is_empty() && held.places.len() <= 4, "{held:?}");
    assert!((60.0..240.0).contains(&held.requests_per_minute), "{held:?}");
    let doubled = placement.held(hot.id, &seeds, 2.0, minutes(15));
    assert!((doubled.requests_per_minute / held.requests_per_minute - 2.0).abs() < 1e-9);
    let first = held.places[0];
    let alone = placement.held(hot.id, &seeds[first..=first], 1.0, minutes(15));
    assert_eq!(alone.places, [0], "places are among those that were asked about");
    assert!(placement.held(hot.id, &seeds, 1.0, minutes(15 + 61)).places.is_empty());
    let nothing = placement.held(BlockId(7), &seeds, 1.0, minutes(15));
    assert_eq!((nothing.places.len(), nothing.requests_per_minute), (0, 0.0));
}

#[test]
fn a_head_that_nobody_asks_for_any_more_cools_in_the_list_too() {
    let placement = Placement::new(Rule::default());
    let view = view(&[8]);
    heat_up(&placement, &view, 1);
    let rate = |at: u64| {
        placement
            .hot_heads(1, minutes(at))
            .first()
            .map(|head| head.tokens_per_minute)
    };
    let busy = rate(15).expect("it is hot");
    let half_life_later = rate(22).expect("it was asked for within ten minutes");
    assert!((half_life_later / busy - 0.5).abs() < 0.02, "{busy} {half_life_later}");
    assert_eq!(rate(60), None);
}
