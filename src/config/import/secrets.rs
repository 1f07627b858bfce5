//! Secrets of theirs become references of ours. What stands in the clear is not copied: it gets the name of a variable to put it into.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::config::import::report::{Grade, Report};
use crate::config::import::source::{Node, Said};
use crate::config::scalars::SecretText;

/// What a variable is for: `text` that is no secret, too.
pub(super) const ENDPOINT: &str = "an endpoint's base URL, up to but without `/openai`";
pub(super) const API_VERSION: &str = "an API version, such as 2024-10-21";
pub(super) const AZURE_KEY: &str = "an API key of Azure OpenAI";
pub(super) const AZURE_TOKEN: &str = "a Microsoft Entra ID token";
pub(super) const APPLICATION_SECRET: &str = "an application's secret";
pub(super) const APPLICATION_ID: &str = "an application's or tenant's id";
pub(super) const CLIENT_KEY: &str = "the key that clients send";
pub(super) const REGION: &str = "an Azure region";

/// Variables that the written file reads.
pub(super) struct Secrets {
    pub(super) variables: BTreeMap<String, &'static str>,
    /// Names of what stands in the clear.
    names: HashMap<String, String>,
    /// Names that their files use.
    reserved: HashSet<String>,
}

impl Secrets {
    /// With the variables that their files use, none of which may get another meaning.
    pub(super) fn new(reserved: HashSet<String>) -> Self {
        Self {
            variables: BTreeMap::new(),
            names: HashMap::new(),
            reserved,
        }
    }

    /// A reference to a variable. Of two purposes the one that asks for a form stays: any text is a key, but not each is a version.
    pub(super) fn reference(&mut self, name: &str, purpose: &'static str) -> String {
        let has_form = |purpose: &str| [ENDPOINT, API_VERSION, APPLICATION_ID].contains(&purpose);
        let known = self.variables.entry(name.to_owned()).or_insert(purpose);
        if has_form(purpose) && !has_form(known) {
            *known = purpose;
        }
        format!("${{env:{name}}}")
    }

    /// A secret of theirs; `wanted` names the variable of one that stands in the clear, `ours` is where it goes.
    pub(super) fn secret(
        &mut self,
        report: &mut Report,
        node: &Node<'_>,
        (wanted, ours, purpose): (&str, &str, &'static str),
    ) -> SecretText {
        match node.said() {
            Some(Said::Variable(name)) => {
                report.tell(
                    node,
                    Grade::Exact,
                    format!("`{ours}`, from the variable `{name}` as before"),
                );
                SecretText(self.reference(&name, purpose))
            }
            said => {
                let literal = match said {
                    Some(Said::Literal(text)) => text,
                    // Neither text nor number: no secret, and no two are told apart.
                    _ => String::new(),
                };
                let name = self.name_for(literal, wanted);
                let remark =
                    format!("`{ours}`: a secret in the clear is not copied; put it into the variable `{name}`");
                report.tell(node, Grade::Manual, remark);
                SecretText(self.reference(&name, purpose))
            }
        }
    }

    /// A text of theirs that may hold a reference and is no secret. None where it cannot be told apart from a reference of ours.
    pub(super) fn text(&mut self, node: &Node<'_>, purpose: &'static str) -> Option<String> {
        match node.said()? {
            Said::Variable(name) => Some(self.reference(&name, purpose)),
            Said::Literal(text) => Some(text).filter(|text| !text.is_empty() && !text.contains("${")),
        }
    }

    /// A variable's name: the same for the same secret, another one for another.
    fn name_for(&mut self, literal: String, wanted: &str) -> String {
        if let Some(name) = self.names.get(&literal) {
            return name.clone();
        }
        let is_free = |name: &String| !self.variables.contains_key(name) && !self.reserved.contains(name);
        let mut names = std::iter::once(wanted.to_owned()).chain((2..).map(|number| format!("{wanted}_{number}")));
        let name = names.find(is_free).unwrap_or_else(|| wanted.to_owned());
        self.names.insert(literal, name.clone());
        name
    }
}

/// A label as the end of a variable's name.
pub(super) fn variable_end(label: &str) -> String {
    let letters = label.chars().map(|letter| {
        if letter.is_ascii_alphanumeric() {
            letter.to_ascii_uppercase()
        } else {
            '_'
        }
    });
    letters.collect()
}
