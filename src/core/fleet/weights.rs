//! Do the members of a pool run the same weights? Failover between others would change answers without a word.
//!
//! Microsoft's guidance for gateways is to balance and fail over only between deployments of the same model and version; for fine-tuned
//! ones that is the same fine-tuned model, by its id as Azure reports it. A checkpoint's id and the id of the model that was
//! made from it look different, and only who made them knows: such can be declared equivalent.

use strum::{AsRefStr, IntoStaticStr};

use crate::core::fleet::key::ModelRef;
use crate::core::ids::DeploymentId;

/// How a pool's members compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, AsRefStr, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Likeness {
    /// All run the same model and version.
    Same,
    /// They differ, and the operator says that it does not matter.
    Equivalent,
    /// Those that are known are alike; of others nothing is known.
    Unknown,
    /// Answers depend on who is asked.
    Unlike,
}

impl Likeness {
    /// The word for log, metric, table and test.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// How they compare, who is odd, and the same for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LikenessVerdict {
    /// In a word.
    pub likeness: Likeness,
    /// Those that run something else than most (the first members where there is no most), or of which nothing is known.
    pub odd: Vec<DeploymentId>,
    /// For people.
    pub sentence: String,
}

/// A member and what it runs, as Azure reports it; none where that is not known.
pub type MemberWeights<'a> = (&'a DeploymentId, Option<&'a ModelRef>);

/// Compares a pool's members. Quadratic in their number, which is small.
pub fn compare(members: &[MemberWeights<'_>], equivalents: &[Vec<String>]) -> LikenessVerdict {
    let known: Vec<(&DeploymentId, &ModelRef)> = members
        .iter()
        .filter_map(|(id, model)| Some((*id, (*model)?)))
        .collect();
    let Some(usual) = most_frequent(&known) else {
        let odd = members.iter().map(|(id, _)| (*id).clone()).collect();
        return verdict(
            Likeness::Unknown,
            odd,
            "it is not known what the members run".to_owned(),
        );
    };
    let differing: Vec<_> = known.iter().filter(|(_, model)| *model != usual).collect();
    let is_fine = |model: &ModelRef| are_equivalent(model, usual, equivalents);
    if let Some((id, model)) = differing.iter().find(|(_, model)| !is_fine(model)) {
        let odd = differing
            .iter()
            .filter(|(_, model)| !is_fine(model))
            .map(|(id, _)| (*id).clone());
        let sentence = format!(
            "`{id}` runs {model}, others run {usual}: failover between them changes answers; deploy the same model, or declare them equivalent"
        );
        return verdict(Likeness::Unlike, odd.collect(), sentence);
    }
    let unknown: Vec<DeploymentId> = members
        .iter()
        .filter(|(_, model)| model.is_none())
        .map(|(id, _)| (*id).clone())
        .collect();
    if !unknown.is_empty() {
        let names: Vec<&str> = unknown.iter().map(|id| &***id).collect();
        let sentence = format!("it is not known what {} runs; others run {usual}", names.join(", "));
        return verdict(Likeness::Unknown, unknown, sentence);
    }
    if differing.is_empty() {
        return verdict(Likeness::Same, Vec::new(), format!("all run {usual}"));
    }
    let sentence = format!("they run {usual} and what is declared equivalent");
    verdict(Likeness::Equivalent, Vec::new(), sentence)
}

/// What most members run; of several the one that comes first.
fn most_frequent<'a>(known: &[(&DeploymentId, &'a ModelRef)]) -> Option<&'a ModelRef> {
    let count = |model: &ModelRef| known.iter().filter(|(_, other)| *other == model).count();
    // `max_by_key` takes the last of equals, so the order is turned around.
    known
        .iter()
        .rev()
        .map(|(_, model)| *model)
        .max_by_key(|model| count(model))
}

/// Whether some set of equivalents has both models' ids, or both are the same model.
pub fn are_equivalent(one: &ModelRef, other: &ModelRef, equivalents: &[Vec<String>]) -> bool {
    if one.name.eq_ignore_ascii_case(&other.name) {
        // Another version of it is another model.
        return one == other;
    }
    let has = |set: &[String], model: &ModelRef| set.iter().any(|id| id.eq_ignore_ascii_case(&model.name));
    equivalents.iter().any(|set| has(set, one) && has(set, other))
}

fn verdict(likeness: Likeness, odd: Vec<DeploymentId>, sentence: String) -> LikenessVerdict {
    LikenessVerdict {
        likeness,
        odd,
        sentence,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Models of members `a`, `b`, `c`, …; `-` is one that is not known.
    #[track_caller]
    fn check(models: &str, equivalents: &[&[&str]], expected: &str) {
        let members: Vec<(DeploymentId, Option<ModelRef>)> = models
            .split(' ')
            .zip('a'..='z')
            .map(|(model, id)| {
                let (name, version) = model.split_once('@').unwrap_or((model, "1"));
                let model = ModelRef {
                    name: name.to_owned(),
                    version: version.to_owned(),
                };
                (
                    DeploymentId::from(id.to_string()),
                    Some(model).filter(|model| model.name != "-"),
                )
            })
            .collect();
        let members: Vec<MemberWeights<'_>> = members.iter().map(|(id, model)| (id, model.as_ref())).collect();
        let equivalents: Vec<Vec<String>> = equivalents
            .iter()
            .map(|set| set.iter().map(|id| (*id).to_owned()).collect())
            .collect();
        let verdict = compare(&members, &equivalents);
        let odd: Vec<&str> = verdict.odd.iter().map(|id| &***id).collect();
        let shown = format!("{} {}", verdict.likeness.as_str(), odd.join(","));
        assert_eq!(shown.trim_end(), expected, "{models}: {}", verdict.sentence);
    }

    #[test]
    fn members_are_alike_or_declared_so_or_not() {
        check("m.ft-1 M.ft-1 m.ft-1", &[], "same");
        check("m.ft-1", &[], "same");
        check("m.ft-1 m.ft-2 m.ft-2", &[], "unlike a");
        check("m.ft-1 m.ft-2", &[], "unlike b");
        check("m.ft-1 m.ft-1@2", &[], "unlike b");
        check("m.ft-1 ftchkpt-9", &[&["FTCHKPT-9", "m.ft-1"]], "equivalent");
        check("m.ft-1 ftchkpt-9", &[&["ftchkpt-9"], &["m.ft-1"]], "unlike b");
        check("m.ft-1 m.ft-1@2", &[&["m.ft-1"]], "unlike b");
        check("m.ft-1 -", &[], "unknown b");
        check("- -", &[], "unknown a,b");
        // What is known to differ counts more than what is not known.
        check("m.ft-1 - m.ft-2 m.ft-1", &[], "unlike c");
    }

    #[test]
    fn the_sentence_says_who_and_what() {
        let (a, b) = (DeploymentId::from("x/a"), DeploymentId::from("x/b"));
        let (one, two) = (ModelRef::fine_tuned("m.ft-1"), ModelRef::fine_tuned("m.ft-2"));
        let sentence = compare(&[(&a, Some(&one)), (&b, Some(&two))], &[]).sentence;
        assert!(
            sentence.starts_with("`x/b` runs m.ft-2 (version 1), others run m.ft-1"),
            "{sentence}"
        );
    }
}
