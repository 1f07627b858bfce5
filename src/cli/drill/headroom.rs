//! Would the others carry the load? By the load of the time that was watched, and by the gateway's own measure: the worse counts.
//!
//! The gateway measures over the last minute, or since somebody last looked. After a quiet time that is less than the load is now, and
//! what is watched before a drill may be shorter, or a peak. So neither alone is believed.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use crate::core::headroom::ratio;

/// By pool: what the others take, by the load; none where that is not known.
pub(super) type Carried = BTreeMap<String, Option<f64>>;

/// Shortest time that a load is taken over.
const OVER_MIN: Duration = Duration::from_secs(5);

/// Above this a ratio says only that there is next to no load.
const IDLE_RATIO: f64 = 1_000.0;

/// What `/status` says of a pool that matters here.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct PoolPart {
    name: String,
    regions: Vec<String>,
    sent_tokens: f64,
    limit_without: BTreeMap<String, f64>,
    headroom: BTreeMap<String, f64>,
}

/// By each pool that has deployments in the region: what the others take, by its load, from two looks so far apart.
pub(super) fn measured(begun: &[PoolPart], ended: &[PoolPart], over: Duration, region: &str) -> Carried {
    let concerned = ended
        .iter()
        .filter(|pool| pool.regions.iter().any(|known| known == region));
    let of = |pool: &PoolPart| {
        let before = begun.iter().find(|before| before.name == pool.name);
        let watched = before.and_then(|before| watched(before, pool, over, region));
        let by_gateway = pool.headroom.get(region).copied();
        let worse = match (watched, by_gateway) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        let is_only = pool.regions.len() == 1;
        (pool.name.clone(), if is_only { Some(0.0) } else { worse })
    };
    concerned.map(of).collect()
}

/// By what was sent between the two looks; none where that is too short, or a reload took away what was counted.
fn watched(before: &PoolPart, now: &PoolPart, over: Duration, region: &str) -> Option<f64> {
    let sent = now.sent_tokens - before.sent_tokens;
    if over < OVER_MIN || sent < 0.0 {
        return None;
    }
    let limit = now.limit_without.get(region)?;
    Some(ratio(*limit, sent * 60.0 / over.as_secs_f64()))
}

/// The same in words.
pub(super) fn told(region: &str, headroom: &Carried) -> String {
    let told = headroom.iter().map(|(pool, ratio)| match ratio {
        // Each route that is bound has a pool of its own.
        Some(ratio) if *ratio <= 0.0 && pool.contains('@') => {
            let route = pool.rsplit_once('@').map_or("", |(_, route)| route);
            format!("without `{region}`, route `{route}` has nothing left: its `residency` binds it to deployments there")
        }
        Some(ratio) if *ratio <= 0.0 => format!("without `{region}`, pool `{pool}` has nothing left that can be used"),
        Some(ratio) if *ratio > IDLE_RATIO => {
            format!("pool `{pool}` is idle, or nearly: without `{region}` it takes more than {IDLE_RATIO:.0} times its present load")
        }
        Some(ratio) => format!("without `{region}`, pool `{pool}` takes {ratio:.2} times its present load"),
        None => format!("without `{region}`, what pool `{pool}` takes is not known"),
    });
    told.collect::<Vec<_>>().join("\n")
}

/// That the others would carry the load.
///
/// # Errors
/// When they would not, or that is not known, unless that does not matter.
pub(super) fn check(region: &str, headroom: &Carried, force: bool) -> anyhow::Result<()> {
    let carries = |ratio: &Option<f64>| ratio.is_some_and(|ratio| ratio >= 1.0);
    let short: Vec<&str> = headroom
        .iter()
        .filter(|(_, ratio)| !carries(ratio))
        .map(|(pool, _)| pool.as_str())
        .collect();
    anyhow::ensure!(
        force || short.is_empty(),
        "without `{region}` the others' limits would not carry the load of pool `{}`, or are not known; nothing was drained; `--force` drills all \
         the same",
        short.join("`, `")
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pool in two regions, of which the others take 1,000 tokens a minute.
    fn pool(sent_tokens: f64, headroom: Option<f64>) -> PoolPart {
        let by_region = |value: Option<f64>| value.map(|value| ("north".to_owned(), value)).into_iter().collect();
        PoolPart {
            name: "p".to_owned(),
            regions: vec!["north".to_owned(), "south".to_owned()],
            sent_tokens,
            limit_without: by_region(Some(1_000.0)),
            headroom: by_region(headroom),
        }
    }

    #[test]
    fn a_drill_believes_the_worse_of_what_it_watched_and_the_last_minute() {
        let after = |seconds, sent_before, sent_now, headroom| {
            let (begun, ended) = (pool(sent_before, None), pool(sent_now, headroom));
            measured(&[begun], &[ended], Duration::from_secs(seconds), "north")["p"]
        };
        // 2,000 a minute for half a minute, after a quiet one: the last minute's mean is half of that.
        assert_eq!(after(30, 500.0, 1_500.0, Some(1.0)), Some(0.5));
        // The load is over, and the last minute still knows it.
        assert_eq!(after(30, 500.0, 500.0, Some(1.5)), Some(1.5));
        assert_eq!(after(30, 0.0, 250.0, None), Some(2.0));
        // Too short, and a reload in between.
        assert_eq!(after(4, 0.0, 1_000.0, Some(3.0)), Some(3.0));
        assert_eq!(after(30, 700.0, 100.0, None), None);
        let elsewhere = measured(&[], &[pool(0.0, Some(9.0))], Duration::from_secs(30), "west");
        assert!(elsewhere.is_empty(), "{elsewhere:?}");
        let alone = PoolPart {
            regions: vec!["north".to_owned()],
            ..pool(0.0, None)
        };
        assert_eq!(
            measured(&[], &[alone], Duration::from_secs(30), "north")["p"],
            Some(0.0)
        );
    }

    #[test]
    fn a_drill_is_refused_where_the_others_would_not_carry_the_load() {
        let headroom = |ratios: &[Option<f64>]| {
            let pools = ratios.iter().enumerate();
            pools
                .map(|(at, ratio)| (format!("p{at}"), *ratio))
                .collect::<BTreeMap<_, _>>()
        };
        for (ratios, force, is_allowed) in [
            (&[Some(1.0), Some(3.0)][..], false, true),
            (&[Some(3.0), Some(0.99)], false, false),
            (&[Some(3.0), None], false, false),
            (&[Some(0.0), None], true, true),
        ] {
            let checked = check("north", &headroom(ratios), force);
            assert_eq!(checked.is_ok(), is_allowed, "{ratios:?} {checked:?}");
        }
        let refused = check("north", &headroom(&[Some(2.0), Some(0.5)]), false).expect_err("too little");
        assert!(refused.to_string().contains("of pool `p1`,"), "{refused}");
    }

    #[test]
    fn headroom_is_told_in_words_where_a_ratio_says_little() {
        let says = |pool: &str, ratio, expected: &str| {
            assert_eq!(told("north", &BTreeMap::from([(pool.to_owned(), ratio)])), expected);
        };
        says(
            "p",
            Some(1.5),
            "without `north`, pool `p` takes 1.50 times its present load",
        );
        says("p", None, "without `north`, what pool `p` takes is not known");
        says(
            "p",
            Some(200_000.0),
            "pool `p` is idle, or nearly: without `north` it takes more than 1000 times its present load",
        );
        says(
            "p",
            Some(0.0),
            "without `north`, pool `p` has nothing left that can be used",
        );
        says(
            "p@bot",
            Some(0.0),
            "without `north`, route `bot` has nothing left: its `residency` binds it to deployments there",
        );
    }
}
