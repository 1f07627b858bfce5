//! The document against the repository's copy and against itself.

use std::path::Path;

use super::*;
use crate::config::secrets::process_variables;

mod actions;
mod history;
mod live;
mod tables;

#[test]
fn the_committed_document_is_the_generated_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json");
    if process_variables("UPDATE_GENERATED").is_some() {
        std::fs::write(&path, document_text()).expect("written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == document_text(),
        "docs/openapi.json is out of date: run `UPDATE_GENERATED=1 cargo test --lib admin::api`"
    );
}
