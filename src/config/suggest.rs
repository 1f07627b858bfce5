//! "Did you mean …?" for names and field names.

/// How similar a name must be to be suggested, from 0 (nothing alike) to 1 (equal). At 0.75 `suport` finds
/// `support` and `north` does not find `south`.
const SIMILARITY_MIN: f64 = 0.75;

/// Most names listed when none is similar.
const LISTED_MAX: usize = 8;

/// A hint that names the candidate nearest to what was written, or else lists the candidates.
pub(super) fn hint<'a>(written: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let candidates: Vec<&str> = candidates.into_iter().collect();
    if let Some(nearest) = nearest(written, &candidates) {
        return Some(format!("did you mean `{nearest}`?"));
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

/// The candidate that was probably meant.
pub(super) fn nearest<'a>(written: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let lower = written.to_lowercase();
    candidates
        .iter()
        .map(|candidate| (similarity(&lower, &candidate.to_lowercase()), *candidate))
        .filter(|(similarity, _)| *similarity >= SIMILARITY_MIN)
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
        assert_eq!(hint("billing", []), None);
    }
}
