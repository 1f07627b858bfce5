//! The shape of the code, held by tests: layers, seams, where time is read, how long files and functions are.
//!
//! Everything is read from the syntax tree, so comments and strings do not count and a path inside a macro does. An
//! exemption is a row with its reason, and a row that nothing needs any more fails too.

use std::collections::{BTreeMap, BTreeSet};

mod source;

use source::{Reference, Source};

/// The modules with their layers, as the table in `src/lib.rs` tells them: a module may use itself and lower layers.
const LAYERS: &[(&str, u8)] = &[
    ("columns", 0),
    ("core", 0),
    ("openai", 1),
    ("config", 2),
    ("storage", 2),
    ("telemetry", 2),
    ("azure", 2),
    ("simulator", 2),
    ("proxy", 3),
    ("admin", 3),
    ("load", 3),
    ("replay", 3),
    ("fleet", 3),
    ("history", 3),
    ("otlp", 3),
    ("cli", 4),
    ("app", 4),
    ("demo", 4),
];

/// What a module may not use although it is of a lower layer; each is a promise of its own.
const KEPT_APART: &[(&str, &[&str], &str)] = &[
    ("openai", &["core"], "wire formats and decisions meet in proxy only"),
    (
        "simulator",
        &["core", "config", "storage", "telemetry"],
        "a mistake made on both sides would hide itself",
    ),
    (
        "load",
        &["openai", "core", "config", "storage", "telemetry"],
        "it is a client like any other",
    ),
    (
        "replay",
        &["openai", "config", "storage", "telemetry", "simulator"],
        "it plays placement alone, so that nothing else explains its figures",
    ),
    (
        "azure",
        &["openai"],
        "the control plane has nothing to do with what models are asked",
    ),
    (
        "storage",
        &["openai", "config"],
        "it stores records, whatever they are about",
    ),
];

/// Pairs of one layer where the first may use the second.
const SAME_LAYER: &[(&str, &str, &str)] = &[
    ("cli", "app", "`emberway run` starts what app wires"),
    ("cli", "demo", "`emberway demo` starts it"),
    ("demo", "app", "it runs the real gateway"),
    (
        "config",
        "telemetry",
        "reloads are told as events; telemetry knows nothing of the configuration",
    ),
];

/// Crates that only some places may name.
const SEAMS: &[(&str, &[&str], &str)] = &[
    (
        "pingora",
        &["proxy"],
        "the one HTTP server and connector we might replace",
    ),
    (
        "axum",
        &["admin", "simulator"],
        "the second HTTP implementation, which must agree with the first",
    ),
    ("hyper", &["admin", "simulator"], "as axum"),
    ("hyper_util", &["admin", "simulator"], "as axum"),
    ("sqlx", &["storage"], "the one place that speaks SQL"),
    ("prometheus", &["telemetry"], "every metric is defined in one place"),
    (
        "reqwest",
        &["azure", "admin", "load", "cli"],
        "a client for load, for Azure's control plane and for a provider of OpenID Connect; the gateway itself calls through pingora",
    ),
    (
        "opentelemetry",
        &["otlp"],
        "the one place that speaks OpenTelemetry's protocol",
    ),
    ("opentelemetry_http", &["otlp"], "as opentelemetry"),
    ("opentelemetry_otlp", &["otlp"], "as opentelemetry"),
    ("opentelemetry_sdk", &["otlp"], "as opentelemetry"),
    ("ratatui", &["cli"], "who looks at a terminal is a person"),
    ("crossterm", &["cli"], "as ratatui"),
    ("azure_core", &["azure"], "how tokens are got is nobody else's business"),
    ("azure_identity", &["azure"], "as azure_core"),
    (
        "rustix",
        &["app", "cli", "config"],
        "system calls: passing sockets between processes, and who may read or write a file",
    ),
    ("sd_notify", &["app"], "the one service manager"),
    (
        "clap",
        &["cli", "load"],
        "flags are not logic; load's choices are flag values",
    ),
    (
        "anyhow",
        &["cli", "app", "demo"],
        "everything below has errors that can be matched",
    ),
];

/// What decisions and wire formats (layers 0 and 1) may not name: they do nothing and know no time.
const PURE_MODULES: &[&str] = &["core", "openai"];
/// The same for parts of higher modules that are mappings only.
const PURE_FOLDERS: &[&str] = &["src/config/import/"];
const IMPURE: &[&[&str]] = &[
    &["tokio"],
    &["tracing"],
    &["rand"],
    &["std", "fs"],
    &["std", "net", "TcpStream"],
    &["std", "net", "TcpListener"],
    &["std", "env"],
    &["std", "process"],
    &["std", "thread"],
];

/// Where the wall clock is read.
const WALL_CLOCKS: &[(&str, &str)] = &[
    ("src/telemetry/clock.rs", "the clock everything else is given"),
    (
        "src/simulator/clock.rs",
        "the simulated world has its own time, which tests move",
    ),
    (
        "src/config/watch.rs",
        "config does not know telemetry; the time of a reload is shown only",
    ),
];

/// Widest comment line, in characters.
const COMMENT_WIDTH_MAX: usize = 140;

/// Longest file, in lines, tests included.
const FILE_LINES_MAX: usize = 500;
/// Longest function, in lines from `fn` to its closing brace.
const FUNCTION_LINES_MAX: usize = 70;
/// The same in the one file that is a table of contents.
const HANDLER_LINES_MAX: usize = 100;

/// Functions that are longer, with how long they may be and why.
const LONGER_FUNCTIONS: &[(&str, &str, usize, &str)] = &[];

fn sources() -> Vec<Source> {
    source::read_all("src")
}

/// Fails with all complaints at once.
#[track_caller]
fn assert_none(complaints: &[String], rule: &str) {
    assert!(complaints.is_empty(), "{rule}:\n  {}", complaints.join("\n  "));
}

fn layer(module: &str) -> Option<u8> {
    LAYERS.iter().find(|(name, _)| *name == module).map(|(_, layer)| *layer)
}

/// References between our own top-level modules.
fn ours(source: &Source) -> impl Iterator<Item = (&Reference, &str)> {
    source.references.iter().filter_map(|reference| {
        let [first, second, ..] = reference.path.as_slice() else {
            return None;
        };
        (first == "crate").then_some((reference, second.as_str()))
    })
}

#[test]
fn every_module_has_a_layer_and_the_table_in_lib_rs_agrees() {
    let lib = std::fs::read_to_string(source::repository().join("src/lib.rs")).expect("lib.rs");
    let declared: BTreeSet<&str> = lib
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
        .collect();
    assert_eq!(declared, LAYERS.iter().map(|(name, _)| *name).collect());
    for (name, layer) in LAYERS {
        let row = lib
            .lines()
            .find(|line| line.starts_with("//! |") && line.contains(&format!("[`{name}`]")));
        let row = row.unwrap_or_else(|| panic!("`{name}` is not in the table of src/lib.rs"));
        assert!(
            row.starts_with(&format!("//! | {layer} |")),
            "`{name}` is of layer {layer}: {row}"
        );
    }
}

#[test]
fn modules_use_lower_layers_only() {
    let mut complaints = Vec::new();
    let mut seen = BTreeSet::new();
    for source in sources() {
        let Some(from) = layer(&source.module) else { continue };
        for (reference, to) in ours(&source) {
            let Some(target) = layer(to).filter(|_| to != source.module) else {
                continue;
            };
            seen.insert((source.module.clone(), to.to_owned()));
            let sideways = SAME_LAYER.iter().any(|(a, b, _)| *a == source.module && *b == to);
            let apart = KEPT_APART
                .iter()
                .find(|(module, kept, _)| *module == source.module && kept.contains(&to));
            if let Some((_, _, reason)) = apart {
                complaints.push(format!("{}: `{}`: {reason}", source.at(reference), reference.shown()));
            } else if target >= from && !sideways {
                let what = format!("layer {from} uses layer {target}");
                complaints.push(format!("{}: `{}`: {what}", source.at(reference), reference.shown()));
            }
        }
    }
    assert_none(&complaints, "a module uses what it may not");
    assert!(
        seen.contains(&("proxy".to_owned(), "core".to_owned())),
        "references are found at all: {seen:?}"
    );
    for (from, to, _) in SAME_LAYER {
        assert!(
            seen.contains(&((*from).to_owned(), (*to).to_owned())),
            "nobody needs the exemption {from} -> {to}"
        );
    }
}

#[test]
fn the_folders_of_core_do_not_know_each_other() {
    let folders = ["placement", "recovery", "ledger", "admission", "fleet"];
    let mut complaints = Vec::new();
    for source in sources().iter().filter(|source| source.module == "core") {
        let Some(own) = folders
            .iter()
            .find(|folder| source.path.starts_with(&format!("src/core/{folder}")))
        else {
            continue;
        };
        for reference in &source.references {
            if let [first, second, third, ..] = reference.path.as_slice()
                && first == "crate"
                && second == "core"
                && third != own
                && (folders.contains(&third.as_str()) || third == "router")
            {
                complaints.push(format!("{}: `{}`", source.at(reference), reference.shown()));
            }
        }
    }
    assert_none(&complaints, "core's folders meet above only");
}

#[test]
fn crates_stay_behind_their_seams() {
    let mut complaints = Vec::new();
    let mut used = BTreeMap::new();
    for source in sources() {
        for reference in source.references.iter().filter(|reference| !reference.in_test) {
            let Some((name, places, reason)) = SEAMS.iter().find(|(name, ..)| *name == reference.path[0]) else {
                continue;
            };
            used.entry((*name).to_owned())
                .or_insert_with(BTreeSet::new)
                .insert(source.module.clone());
            if !places.contains(&source.module.as_str()) {
                complaints.push(format!("{}: `{}`: {reason}", source.at(reference), reference.shown()));
            }
        }
    }
    assert_none(&complaints, "a crate is used outside its seam");
    for (name, places, _) in SEAMS {
        let used = used.get(*name).cloned().unwrap_or_default();
        let unused: Vec<_> = places.iter().filter(|place| !used.contains(**place)).collect();
        assert!(
            unused.is_empty(),
            "`{name}` is no longer used in {unused:?}: take them out of the table"
        );
    }
}

#[test]
fn decisions_and_wire_formats_are_pure() {
    let mut complaints = Vec::new();
    let pure = |source: &&Source| {
        let in_folder = PURE_FOLDERS.iter().any(|folder| source.path.starts_with(folder));
        in_folder || PURE_MODULES.contains(&source.module.as_str())
    };
    for folder in PURE_FOLDERS {
        assert!(
            sources().iter().any(|source| source.path.starts_with(folder)),
            "no file in {folder}"
        );
    }
    for source in sources().iter().filter(pure) {
        for reference in source.references.iter().filter(|reference| !reference.in_test) {
            let impure = IMPURE.iter().any(|prefix| reference.starts_with(prefix));
            if impure || reference.ends_with(&["Instant", "now"]) {
                complaints.push(format!("{}: `{}`", source.at(reference), reference.shown()));
            }
        }
        for function in source
            .functions
            .iter()
            .filter(|function| function.is_async && !function.in_test)
        {
            complaints.push(format!("{}:{}: async fn {}", source.path, function.line, function.name));
        }
    }
    assert_none(
        &complaints,
        "core, openai and mappings do no IO, read no clock, draw no numbers, log nothing",
    );
}

#[test]
fn the_wall_clock_is_read_where_it_is_said() {
    let mut readers = BTreeSet::new();
    for source in sources() {
        let reads = |reference: &&Reference| reference.ends_with(&["SystemTime", "now"]) && !reference.in_test;
        if source.references.iter().any(|reference| reads(&reference)) {
            readers.insert(source.path.clone());
        }
    }
    assert_eq!(
        readers,
        WALL_CLOCKS.iter().map(|(path, _)| (*path).to_owned()).collect()
    );
}

#[test]
fn every_file_says_what_it_is_and_is_short_enough_to_read() {
    let mut complaints = Vec::new();
    for source in ["src", "tests", "benches"].into_iter().flat_map(source::read_all) {
        if !source.text.starts_with("//! ") {
            complaints.push(format!(
                "{}: does not begin with `//! ` and what it decides or does",
                source.path
            ));
        }
        let lines = source.text.lines().count();
        if lines > FILE_LINES_MAX {
            complaints.push(format!(
                "{}: {lines} lines, at most {FILE_LINES_MAX}: split it",
                source.path
            ));
        }
        // Code is kept narrower by rustfmt, which leaves comments alone.
        let is_wide = |line: &str| line.trim_start().starts_with("//") && line.chars().count() > COMMENT_WIDTH_MAX;
        for (at, _) in source.text.lines().enumerate().filter(|(_, line)| is_wide(line)) {
            complaints.push(format!(
                "{}:{}: a comment wider than {COMMENT_WIDTH_MAX} characters",
                source.path,
                at + 1
            ));
        }
    }
    assert_none(&complaints, "files");
}

#[test]
fn functions_fit_on_a_page() {
    let mut complaints = Vec::new();
    let mut needed = BTreeSet::new();
    for source in ["src", "tests", "benches"].into_iter().flat_map(source::read_all) {
        for function in &source.functions {
            let usual = if source.path == "src/proxy/handler.rs" {
                HANDLER_LINES_MAX
            } else {
                FUNCTION_LINES_MAX
            };
            let exempt = |row: &&(&str, &str, usize, &str)| row.0 == source.path && row.1 == function.name;
            let exemption = LONGER_FUNCTIONS.iter().find(exempt);
            if exemption.is_some() && function.lines > usual {
                needed.insert(function.name.clone());
            }
            let most = exemption.map_or(usual, |row| row.2);
            if function.lines > most {
                let (path, line, name, lines) = (&source.path, function.line, &function.name, function.lines);
                complaints.push(format!("{path}:{line}: `{name}` has {lines} lines, at most {most}"));
            }
        }
    }
    assert_none(&complaints, "functions");
    for (path, name, ..) in LONGER_FUNCTIONS {
        assert!(
            needed.contains(*name),
            "`{name}` in {path} no longer needs its exemption"
        );
    }
}
