//! "Did you mean …?" for names and field names.

use std::collections::HashSet;

/// How similar a name must be to be suggested, from 0 (nothing alike) to 1 (equal). At 0.75 `suport` finds
/// `support` and `north` does not find `south`.
const SIMILARITY_MIN: f64 = 0.75;

/// The same for the names of fields that are missing: one of them is likely to be what an unknown field means. `roots` finds
/// `routes`.
const SIMILARITY_TO_MISSING_MIN: f64 = 0.5;

/// Most names listed when none is similar.
const LISTED_MAX: usize = 8;

/// A hint that names the candidate nearest to what was written, or else lists the candidates.
pub(super) fn hint<'a>(written: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let mut candidates: Vec<&str> = candidates.into_iter().collect();
    let mut listed = HashSet::new();
    candidates.retain(|candidate| listed.insert(*candidate));
    if let Some(nearest) = nearest(written, &candidates) {
        return Some(did_you_mean(nearest));
    }
    if candidates.is_empty() {
        return None;
    }
    let listed: Vec<String> = candidates
        .iter()
        .take(LISTED_MAX)
        .map(|name| format!("`{name}`"))
        .collect();
    let more = if candidates.len() > LISTED_MAX { ", …" } else { "" };
    Some(format!("there is {}{more}", listed.join(", ")))
}

/// The hint itself.
pub(super) fn did_you_mean(name: &str) -> String {
    format!("did you mean `{name}`?")
}

/// The candidate that was probably meant.
pub(super) fn nearest<'a>(written: &str, candidates: &[&'a str]) -> Option<&'a str> {
    most_similar(written, candidates, SIMILARITY_MIN)
}

/// The missing field that was probably meant.
pub(super) fn nearest_missing<'a>(written: &str, missing: &[&'a str]) -> Option<&'a str> {
    most_similar(written, missing, SIMILARITY_TO_MISSING_MIN)
}

fn most_similar<'a>(written: &str, candidates: &[&'a str], least: f64) -> Option<&'a str> {
    let lower = written.to_lowercase();
    candidates
        .iter()
        .map(|candidate| (similarity(&lower, &candidate.to_lowercase()), *candidate))
        .filter(|(similarity, _)| *similarity >= least)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, candidate)| candidate)
}

/// Damerau-Levenshtein, so that swapped letters count once; Jaro-Winkler would rate a shared beginning too high for names
/// such as `sim-eastus2` and `sim-westus`.
fn similarity(left: &str, right: &str) -> f64 {
    strsim::normalized_damerau_levenshtein(left, right)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_suggested_and_far_ones_listed() {
        let names = ["support", "summary"];
        assert_eq!(hint("suport", names).as_deref(), Some("did you mean `support`?"));
        assert_eq!(hint("Summary", names).as_deref(), Some("did you mean `summary`?"));
        assert_eq!(hint("billing", names).as_deref(), Some("there is `support`, `summary`"));
        assert_eq!(hint("billing", ["r", "r"]).as_deref(), Some("there is `r`"));
        assert_eq!(hint("billing", []), None);
        assert_eq!(nearest("roots", &["routes"]), None);
        assert_eq!(nearest_missing("roots", &["clients", "routes"]), Some("routes"));
        assert_eq!(nearest_missing("telemetry", &["clients", "routes"]), None);
    }
}
