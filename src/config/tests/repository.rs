//! Files of the repository that follow from the code: the schema, the reference page, the shipped configurations.
//!
//! `UPDATE_GENERATED=1 cargo test --lib config::` rewrites those that are generated.

use std::fs;
use std::path::{Path, PathBuf};

use crate::config::secrets::process_variables;
use crate::config::{load, reference, schema};

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn check_generated(file: &str, generated: &str) {
    let path = repository().join(file);
    if process_variables("UPDATE_GENERATED").is_some() {
        fs::write(&path, generated).expect("write");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == generated,
        "`{file}` is out of date: run `UPDATE_GENERATED=1 cargo test --lib config::`"
    );
}

#[test]
fn the_committed_schema_is_the_generated_one() {
    check_generated("config/emberway.schema.json", &schema::published_text());
}

#[test]
fn the_committed_reference_is_the_generated_one() {
    check_generated("docs/config.md", &reference::markdown().expect("writes"));
}

#[test]
fn the_schema_itself_is_valid() {
    jsonschema::meta::validate(&schema::published()).expect("valid against its meta-schema");
}

#[test]
fn shipped_configurations_compile_without_warnings() {
    let mut count = 0;
    for entry in fs::read_dir(repository().join("config")).expect("directory") {
        let path = entry.expect("entry").path();
        // A scenario and tables of data are no configurations.
        let others = [
            "simulator.yaml",
            "rehearsal-simulator.yaml",
            "models.yaml",
            "prices.yaml",
        ];
        let is_ours = path.extension().is_some_and(|extension| extension == "yaml")
            && path
                .file_name()
                .is_some_and(|name| others.iter().all(|other| name != *other));
        if is_ours {
            check_shipped(&path);
            count += 1;
        }
    }
    assert!(count >= 3, "emberway.yaml, demo.yaml and rehearsal.yaml");
}

/// Compiles a shipped file with every secret it refers to present.
fn check_shipped(path: &Path) {
    let directory = tempfile::tempdir().expect("directory");
    let text = fs::read_to_string(path).expect("reads");
    assert!(
        text.starts_with("# yaml-language-server: $schema=./emberway.schema.json\n"),
        "{} names its schema",
        path.display()
    );
    let secret = directory.path().join("secret");
    fs::write(&secret, "a-secret-of-sufficient-length\n").expect("write");
    let text = text.replace("/run/secrets/azure-openai-token", &secret.display().to_string());
    let variables = |name: &str| Some(format!("a-secret-of-sufficient-length-for-{name}"));
    let named = PathBuf::from(path.file_name().expect("name"));
    let checked = load::compile_text(&text, &named, &variables).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(checked.warnings, [], "{}", path.display());
}
