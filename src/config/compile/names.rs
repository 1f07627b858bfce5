//! Names that must be unique and names that must exist.

use std::collections::HashMap;

use crate::config::compile::context::Context;
use crate::config::errors::Pointer;
use crate::config::suggest;

/// Names of one kind, each with the position it stands for.
pub(super) struct Names {
    noun: &'static str,
    /// In the order of the file, for hints.
    listed: Vec<String>,
    positions: HashMap<String, (usize, u32)>,
}

impl Names {
    pub(super) fn new(noun: &'static str) -> Self {
        Self {
            noun,
            listed: Vec::new(),
            positions: HashMap::new(),
        }
    }

    /// Names in their order, without a check: duplicates have been reported elsewhere.
    pub(super) fn of<'a>(noun: &'static str, names: impl Iterator<Item = &'a str>) -> Self {
        let mut known = Self::new(noun);
        for (position, name) in names.enumerate() {
            known.positions.insert(name.to_owned(), (position, 0));
            known.listed.push(name.to_owned());
        }
        known
    }

    /// Adds a name; reports one that is taken. Stand-ins for names are left out.
    pub(super) fn add(&mut self, context: &mut Context<'_>, at: &Pointer, name: &str, position: usize) {
        if context.is_repaired(at) {
            return;
        }
        if let Some((_, line)) = self.positions.get(name) {
            context.error(
                at,
                format!("there is another {} `{name}`", self.noun),
                format!("the first is on line {line}; choose another name for one of them"),
            );
            return;
        }
        self.positions.insert(name.to_owned(), (position, context.line(at)));
        self.listed.push(name.to_owned());
    }

    /// The position that a name stands for, if there is one.
    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.positions.get(name).map(|(position, _)| *position)
    }

    /// The position that a name stands for; reports one that nothing has, unless stand-ins at one of `sources`
    /// may hide it.
    pub(super) fn find(
        &self,
        context: &mut Context<'_>,
        at: &Pointer,
        name: &str,
        sources: &[&[&str]],
    ) -> Option<usize> {
        let found = self.position(name);
        if found.is_none() && !sources.iter().any(|source| context.hides_names(source)) {
            let hint = suggest::hint(name, self.listed.iter().map(String::as_str));
            context.error(at, format!("unknown {} `{name}`", self.noun), hint);
        }
        found
    }
}
