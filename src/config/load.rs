//! From a path or a text to a checked configuration, in four stages: parse, check the shape, convert, compile.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::config::checked::Checked;
use crate::config::checked::azure::ControlPlane;
use crate::config::compile;
use crate::config::document::Document;
use crate::config::errors::{ConfigErrors, Pointer, Problem};
use crate::config::raw::RawConfig;
use crate::config::secrets::Variables;
use crate::config::structure;
use crate::core::ledger::book::Billed;

/// Largest configuration file. A fleet of a thousand deployments needs about a fifth of it.
pub const FILE_MAX_BYTES: u64 = 1024 * 1024;

/// Reads and compiles a configuration file. References in it are resolved with `variables` and with files
/// relative to its directory.
///
/// # Errors
/// Every mistake found, in the order of the file.
pub fn load(path: &Path, variables: &Variables) -> Result<Checked, ConfigErrors> {
    let text = read(path).map_err(|problem| ConfigErrors {
        file: path.to_owned(),
        problems: vec![problem],
    })?;
    compile_text(&text, path, variables)
}

/// Reads only where a configuration keeps its usage records, so that a report needs none of its secrets.
///
/// # Errors
/// When the file cannot be read, its shape is wrong, or a reference in that path cannot be resolved.
pub fn usage_path(path: &Path, variables: &Variables) -> Result<PathBuf, ConfigErrors> {
    a_part(path, |raw, document| {
        compile::usage_path(raw, document, directory_of(path), variables)
    })
}

/// Reads only what a configuration says of the control plane, so that commands which use it need no other secrets.
///
/// # Errors
/// When the file cannot be read, its shape is wrong, or that part of it has a mistake.
pub fn control_plane(path: &Path, variables: &Variables) -> Result<ControlPlane, ConfigErrors> {
    a_part(path, |raw, document| {
        compile::control_plane(raw, document, directory_of(path), variables)
    })
}

/// Reads only what the price of deployments depends on, so that a report needs no secrets.
///
/// # Errors
/// When the file cannot be read, its shape is wrong, or that part of it has a mistake.
pub fn billed(path: &Path, variables: &Variables) -> Result<Vec<Billed>, ConfigErrors> {
    a_part(path, |raw, document| {
        compile::billed(raw, document, directory_of(path), variables)
    })
}

/// Compiles a part of a file whose shape is right.
fn a_part<T>(
    path: &Path,
    compile: impl FnOnce(&RawConfig, &Document) -> Result<T, Vec<Problem>>,
) -> Result<T, ConfigErrors> {
    let find = || {
        let text = read(path).map_err(|problem| vec![problem])?;
        let document = Document::parse(&text).map_err(|problem| vec![problem])?;
        let shaped = shape(&document)?;
        if !shaped.problems.is_empty() {
            return Err(shaped.problems);
        }
        compile(&shaped.raw, &document)
    };
    find().map_err(|problems| ConfigErrors {
        file: path.to_owned(),
        problems,
    })
}

/// Compiles a configuration that was read already; `path` names it in errors and anchors relative paths.
///
/// # Errors
/// Every mistake found, in the order of the file.
pub fn compile_text(text: &str, path: &Path, variables: &Variables) -> Result<Checked, ConfigErrors> {
    compile_stages(text, path, variables).map_err(|mut problems| {
        problems.sort_by_key(|problem| (problem.line, problem.column));
        ConfigErrors {
            file: path.to_owned(),
            problems,
        }
    })
}

/// Reads a configuration file up to the size limit, 1 MiB.
///
/// # Errors
/// When it cannot be read, is no text or is larger.
pub fn read(path: &Path) -> Result<String, Problem> {
    let failed = |error: std::io::Error| {
        let hint = (error.kind() == std::io::ErrorKind::NotFound).then_some("name it with `--config FILE`");
        Problem::whole_file(format!("cannot read the file: {error}"), hint)
    };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut text = String::new();
    let read = file
        .take(FILE_MAX_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(failed)?;
    if read as u64 > FILE_MAX_BYTES {
        return Err(Problem::whole_file("the file is larger than 1 MiB".to_owned(), None));
    }
    Ok(text)
}

fn compile_stages(text: &str, path: &Path, variables: &Variables) -> Result<Checked, Vec<Problem>> {
    let document = Document::parse(text).map_err(|problem| vec![problem])?;
    let Shaped {
        raw,
        mut problems,
        repaired,
    } = shape(&document)?;
    match compile::compile(&raw, &document, directory_of(path), variables, &repaired) {
        Ok(checked) if problems.is_empty() => Ok(checked),
        Ok(_) => Err(problems),
        Err(more) => {
            problems.extend(more);
            Err(problems)
        }
    }
}

/// A file in its raw types, with what was wrong with its shape and where stand-ins are.
struct Shaped {
    raw: RawConfig,
    problems: Vec<Problem>,
    repaired: Vec<Pointer>,
}

/// Checks the shape; fails where nothing can be made of it.
fn shape(document: &Document) -> Result<Shaped, Vec<Problem>> {
    let structure = structure::check(document);
    let mut problems = structure.problems;
    if !structure.sound {
        return Err(problems);
    }
    match serde_json::from_value(structure.value) {
        Ok(raw) => Ok(Shaped {
            raw,
            problems,
            repaired: structure.repaired,
        }),
        Err(error) => {
            problems.push(Problem::whole_file(error.to_string(), None));
            Err(problems)
        }
    }
}

/// Where relative paths of a configuration start.
fn directory_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}
