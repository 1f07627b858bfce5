//! Configurations as people have them: `tests/import/*.yaml`, each beside what becomes of it and what is said of it.
//!
//! `SNAPSHOTS=overwrite cargo test --lib config::import` rewrites those; read the change before committing it.

use std::path::{Path, PathBuf};

use crate::config::document::Document;
use crate::config::errors::{Pointer, Problem};
use crate::config::import::report::{Grade, Line};
use crate::config::import::source::{Node, SourceFile};
use crate::config::import::{Import, ImportError, Options, litellm};

/// What stands in every secret of the examples.
const SECRET: &str = "hunter2";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import")
}

/// Reads from the folder of the examples, whose paths are shown relative to it.
fn read(path: &Path) -> Result<String, Problem> {
    let cannot = |error: std::io::Error| Problem {
        field: String::new(),
        line: 0,
        column: 0,
        message: error.to_string(),
        hint: None,
    };
    std::fs::read_to_string(folder().join(path)).map_err(cannot)
}

fn convert(name: &str, options: Options) -> Result<Import, ImportError> {
    litellm(Path::new(name), Path::new("emberway.yaml"), options, &read)
}

/// Converts a text that is no file.
fn of_text(text: &str) -> Result<Import, ImportError> {
    let read = |_: &Path| Ok(text.to_owned());
    litellm(
        Path::new("config.yaml"),
        Path::new("emberway.yaml"),
        Options::default(),
        &read,
    )
}

/// The lines of a grade, without their places.
fn notes(import: &Import, grade: Grade) -> Vec<String> {
    let lines = import.report.lines.iter().filter(|line| line.grade == grade);
    lines.map(|line| format!("{}: {}", line.field, line.note)).collect()
}

/// Holds an example's result and report, and what must hold for all of them.
#[track_caller]
fn check(name: &str) -> Import {
    let import = convert(&format!("{name}.yaml"), Options::default()).expect(name);
    let report = import.report.text(Path::new("emberway.yaml")).expect("text");
    let held = |kind: &str| snapbox::Data::read_from(&folder().join(format!("{name}.{kind}")), None).raw();
    snapbox::assert_data_eq!(import.text.clone(), held("emberway.yaml"));
    snapbox::assert_data_eq!(report.clone(), held("report.txt"));
    assert_eq!(import.report.check.errors, [], "{}", import.text);
    assert!(!import.text.contains(SECRET), "{}", import.text);
    let json = serde_json::to_string(&import.report).expect("JSON");
    for told in [report, json] {
        assert!(!told.contains(SECRET), "{told}");
    }
    import
}

/// Fields of a file that say something and are within no line of the report.
fn dropped(path: &str, lines: &[Line]) -> Vec<String> {
    let file = SourceFile {
        path: path.into(),
        document: Document::parse(&read(Path::new(path)).expect("a file")).expect("YAML"),
    };
    let told: Vec<&Pointer> = lines
        .iter()
        .filter(|line| line.file == file.path)
        .map(|line| &line.at)
        .collect();
    leaves(&Node::root(&file))
        .into_iter()
        .filter(|leaf| !told.iter().any(|at| !at.as_json().is_empty() && leaf.is_within(at)))
        .map(|leaf| leaf.to_string())
        .collect()
}

fn leaves(node: &Node<'_>) -> Vec<Pointer> {
    let below: Vec<Node<'_>> = node
        .fields()
        .into_iter()
        .map(|(_, node)| node)
        .chain(node.items())
        .collect();
    if below.is_empty() {
        return vec![node.at().clone()];
    }
    below.iter().flat_map(leaves).collect()
}

#[test]
fn examples_become_what_is_held() {
    for name in [
        "quick_start",
        "load_balancing",
        "identities",
        "priorities",
        "reliability",
        "production",
        "included",
    ] {
        let import = check(name);
        assert_eq!(
            dropped(&format!("{name}.yaml"), &import.report.lines),
            Vec::<String>::new()
        );
    }
    let included = convert("included.yaml", Options::default()).expect("converts");
    assert_eq!(
        dropped("included/models.yaml", &included.report.lines),
        Vec::<String>::new()
    );
}
