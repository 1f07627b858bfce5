//! What must hold for every text given as a configuration file:
//!
//! - compiling it never panics;
//! - every mistake found has its place inside the file, and says something;
//! - mistakes come in the order of the file;
//! - no message shows a secret that a reference stands for.

use std::path::Path;

use emberway::config::errors::Problem;
use emberway::config::load;

/// What every environment variable holds here.
const SECRET: &str = "zq7-secret-of-sufficient-length";

/// Checks one file.
pub(crate) fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let variables = |_: &str| Some(SECRET.to_owned());
    let problems = match load::compile_text(text, Path::new("fuzz.yaml"), &variables) {
        Ok(checked) => checked.warnings,
        Err(errors) => {
            assert!(!errors.problems.is_empty(), "refused without a reason");
            errors.problems
        }
    };
    // YAML's breaks are these three. One at the end begins one more line, where an unfinished file is found wanting.
    let unified = text.replace("\r\n", "\n").replace('\r', "\n");
    let lines: Vec<&str> = unified.split('\n').collect();
    for problem in &problems {
        check_problem(problem, &lines);
        let shows_secret = problem.to_string().contains(SECRET) && !text.contains(SECRET);
        assert!(!shows_secret, "shows a secret: {problem:?}");
    }
    assert!(
        problems.is_sorted_by_key(|problem| (problem.line, problem.column)),
        "out of order: {problems:?}"
    );
}

fn check_problem(problem: &Problem, lines: &[&str]) {
    assert!(!problem.message.is_empty(), "{problem:?}");
    if problem.line == 0 {
        assert_eq!(problem.message, "the file is empty", "without a place: {problem:?}");
        return;
    }
    let line = lines.get(problem.line as usize - 1);
    assert!(line.is_some(), "beyond the {} lines: {problem:?}", lines.len());
    let width = line.map_or(0, |line| line.chars().count());
    // One past the end is where something is missing.
    assert!(
        (1..=width + 1).contains(&(problem.column as usize)),
        "beyond the line's {width} characters: {problem:?}"
    );
}
