//! Has the program built again when the operators' page was: its files are part of it.

use std::path::Path;

fn main() {
    let page = Path::new("dashboards/web/dist");
    // An empty folder is watched as well as a full one, a missing one would have everything built again each time. Where the sources
    // cannot be written, the page is there or will not come.
    if page.is_dir() || std::fs::create_dir_all(page).is_ok() {
        println!("cargo::rerun-if-changed=dashboards/web/dist");
    }
    println!("cargo::rerun-if-changed=build.rs");
}
