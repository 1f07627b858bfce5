//! What became of each line of another program's configuration, and how well.
//!
//! A line of the report is about a place in their file. It shows names of models, deployments, hosts and variables, and no other text
//! that stood there, since any may be a secret.

use std::collections::{BTreeMap, HashSet};
use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::config::errors::{self, Pointer, Problem};
use crate::config::import::source::Node;

/// How well something was carried over.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    strum::IntoStaticStr,
    strum::Display,
    strum::VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Grade {
    /// It means the same here.
    Exact,
    /// It means nearly the same; the remark says what differs.
    Approximate,
    /// A person has to fill something in, or to do something; the remark says what.
    Manual,
    /// There is nothing like it; the remark says why, and what to do instead.
    Unsupported,
}

/// What became of one of their lines.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Line {
    /// Their file.
    pub file: PathBuf,
    /// Line in it, from 1; 0 where it is about something that the file does not say.
    pub line: u32,
    /// Column in it, from 1; 0 as for `line`.
    pub column: u32,
    /// Their field, such as `model_list[0].litellm_params.rpm`; empty where it is about something that the file does not say.
    pub field: String,
    /// How well it was carried over.
    pub grade: Grade,
    /// Where it went, what differs, what to do.
    pub remark: String,
    #[serde(skip)]
    pub(super) at: Pointer,
}

/// What the conversion has to say.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Every line of theirs that means something, in the order of their files.
    pub lines: Vec<Line>,
    /// Environment variables that the written file reads, in alphabetical order, each with what it is for.
    pub variables: BTreeMap<String, &'static str>,
    /// What `emberway check` says of the written file once those variables are set; nothing where none is written.
    pub check: Option<CheckReport>,
    /// The lines once more, to be looked up.
    #[serde(skip)]
    told: HashSet<Line>,
}

/// What `emberway check` says.
#[derive(Debug, Default, Serialize)]
pub struct CheckReport {
    /// Mistakes.
    pub errors: Vec<Problem>,
    /// Remarks.
    pub warnings: Vec<Problem>,
}

impl CheckReport {
    fn write(&self, text: &mut String, written: &Path) -> fmt::Result {
        for (word, problems) in [("", &self.errors), ("warning: ", &self.warnings)] {
            for problem in problems {
                text.push_str(word);
                errors::write_located(text, written, problem)?;
                text.push('\n');
            }
        }
        let verdict = if self.errors.is_empty() { "accepts" } else { "refuses" };
        writeln!(text, "with those set, `emberway check` {verdict} {}", written.display())
    }
}

impl Report {
    /// Tells of a place. What has been told already, as of credentials that several models share, is not told again.
    pub(super) fn tell(&mut self, node: &Node<'_>, grade: Grade, remark: impl Into<String>) {
        let mark = node.mark();
        let line = Line {
            file: node.path().to_owned(),
            line: mark.line,
            column: mark.column,
            field: node.field(),
            grade,
            remark: remark.into(),
            at: node.at().clone(),
        };
        if self.told.insert(line.clone()) {
            self.lines.push(line);
        }
    }

    /// Tells of all in a file that no line is about, which is what has another form than was looked for: nothing may be dropped unsaid.
    pub(super) fn tell_missed(&mut self, root: &Node<'_>) {
        let of_file = self
            .lines
            .iter()
            .filter(|line| line.line > 0 && line.file == root.path());
        let told: HashSet<Pointer> = of_file.map(|line| line.at.clone()).collect();
        for leaf in root.leaves() {
            let around = std::iter::successors(Some(leaf.at().clone()), Pointer::parent);
            if !around.into_iter().any(|at| told.contains(&at)) {
                self.tell(
                    &leaf,
                    Grade::Unsupported,
                    "not understood: it has another form than LiteLLM documents",
                );
            }
        }
    }

    /// Tells of something that no line of theirs says.
    pub(super) fn tell_unsaid(&mut self, node: &Node<'_>, grade: Grade, remark: impl Into<String>) {
        self.lines.push(Line {
            file: node.path().to_owned(),
            line: 0,
            column: 0,
            field: String::new(),
            grade,
            remark: remark.into(),
            at: Pointer::root(),
        });
    }

    /// How many lines have a grade.
    pub fn count(&self, grade: Grade) -> usize {
        self.lines.iter().filter(|line| line.grade == grade).count()
    }

    /// Whether nothing is left for a person to do.
    pub fn is_complete(&self) -> bool {
        self.count(Grade::Manual) == 0
            && self.count(Grade::Unsupported) == 0
            && self.check.as_ref().is_some_and(|check| check.errors.is_empty())
    }

    /// The report for people: their lines as compilers print them, what to set, what `emberway check` says, and the counts.
    ///
    /// # Errors
    /// When the text cannot be made.
    pub fn text(&self, written: &Path) -> Result<String, fmt::Error> {
        let mut text = String::new();
        for line in &self.lines {
            write!(text, "{}:", line.file.display())?;
            if line.line > 0 {
                write!(text, "{}:{}:", line.line, line.column)?;
            }
            write!(text, " {}: ", line.grade)?;
            if !line.field.is_empty() {
                write!(text, "{}: ", line.field)?;
            }
            writeln!(text, "{}", line.remark)?;
        }
        if !self.variables.is_empty() {
            text.push_str("\nset before `emberway check` and `emberway run`:\n");
            for (name, purpose) in &self.variables {
                writeln!(text, "  {name}: {purpose}")?;
            }
        }
        text.push('\n');
        if let Some(check) = &self.check {
            check.write(&mut text, written)?;
        }
        let counts = <Grade as strum::VariantArray>::VARIANTS
            .iter()
            .map(|grade| format!("{} {grade}", self.count(*grade)));
        writeln!(text, "{}", counts.collect::<Vec<_>>().join(", "))?;
        Ok(text)
    }
}
