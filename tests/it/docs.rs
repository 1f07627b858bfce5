//! The documents, held to what the program is: links lead somewhere, commands and flags exist, the command reference is the
//! one that clap would print, and nothing says that it is unfinished.
//!
//! `UPDATE_GENERATED=1 cargo test --test it docs` rewrites `docs/cli.md`. That metrics exist which documents and dashboards
//! name is tested beside their definitions.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

mod cli_page;
mod outcomes_page;

/// Words that mark something as unfinished, put together here so that this file does not hold them.
const UNFINISHED: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X:"),
    concat!("todo", "!("),
    concat!("unimplemented", "!("),
];

/// Where no words of ours are.
const NOT_OURS: &[&str] = &["target", "node_modules", "Cargo.lock", "package-lock.json"];

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file of the repository with one of these extensions, hidden ones and those of others left out.
fn files(extensions: &[&str]) -> Vec<PathBuf> {
    fn collect(folder: &Path, extensions: &[&str], found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("folder") {
            let path = entry.expect("entry").path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.starts_with('.') || NOT_OURS.contains(&name) {
                continue;
            }
            let extension = path.extension().and_then(|extension| extension.to_str());
            if path.is_dir() {
                collect(&path, extensions, found);
            } else if extension.is_some_and(|extension| extensions.contains(&extension)) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    collect(repository(), extensions, &mut found);
    found.sort();
    found
}

fn shown(path: &Path) -> String {
    path.strip_prefix(repository()).expect("below").display().to_string()
}

/// What a document says that can be checked.
#[derive(Default)]
struct Document {
    /// Where its links lead.
    links: Vec<String>,
    /// The anchors of its headings.
    anchors: BTreeSet<String>,
    /// Code in running text.
    spans: Vec<String>,
    /// Lines of its shell examples.
    commands: Vec<String>,
}

fn read(path: &Path) -> Document {
    let text = fs::read_to_string(path).expect("a document");
    let mut document = Document::default();
    let (mut heading, mut shell) = (None, false);
    for event in Parser::new_ext(&text, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                document.links.push(dest_url.into_string());
            }
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::End(TagEnd::Heading(_)) => {
                document.anchors.insert(anchor(&heading.take().unwrap_or_default()));
            }
            Event::Start(Tag::CodeBlock(kind)) => {
                let language = match &kind {
                    CodeBlockKind::Fenced(language) => language.as_ref(),
                    CodeBlockKind::Indented => "",
                };
                shell = matches!(language, "" | "sh" | "bash" | "console" | "shell");
            }
            Event::End(TagEnd::CodeBlock) => shell = false,
            Event::Text(text) if shell => {
                let joined = text.replace("\\\n", " ");
                document.commands.extend(joined.lines().map(str::to_owned));
            }
            Event::Code(code) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&code);
                }
                document.spans.push(code.into_string());
            }
            Event::Text(text) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&text);
                }
            }
            _ => {}
        }
    }
    document
}

/// A heading's anchor as GitHub makes it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    let kept = kept
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// What is wrong with a link, if anything is.
fn broken(from: &Path, link: &str) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (file, fragment) = link.split_once('#').unwrap_or((link, ""));
    let target = match file {
        "" => from.to_owned(),
        file => from.parent().expect("a folder").join(file),
    };
    if !target.exists() {
        return Some("leads nowhere".to_owned());
    }
    let has_anchors = target.extension().is_some_and(|extension| extension == "md");
    (has_anchors && !fragment.is_empty() && !read(&target).anchors.contains(fragment))
        .then(|| "names a heading that is not there".to_owned())
}

#[test]
fn links_lead_somewhere() {
    let mut complaints = Vec::new();
    let mut count = 0;
    for path in files(&["md"]) {
        for link in read(&path).links {
            count += 1;
            if let Some(problem) = broken(&path, &link) {
                complaints.push(format!("{}: `{link}` {problem}", shown(&path)));
            }
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    assert!(count > 0, "links are found at all");
}

#[test]
fn anchors_are_githubs() {
    let cases = [
        ("How it works", "how-it-works"),
        ("`emberway run`: the gateway", "emberway-run-the-gateway"),
    ];
    for (heading, expected) in cases {
        assert_eq!(anchor(&heading.replace('`', "")), expected);
    }
}

/// What is wrong with a call of the program, if anything is.
fn wrong_call(call: &str) -> Option<String> {
    let root = emberway::cli::command();
    let ends = |word: &&str| !matches!(*word, "|" | "||" | "&&" | "&" | ">" | ";" | "#" | "2>");
    let mut words = call.split_whitespace().take_while(ends).peekable();
    let mut command = &root;
    while command.has_subcommands()
        && let Some(verb) = words.next_if(|word| word.starts_with(|c: char| c.is_ascii_lowercase()))
    {
        match command.find_subcommand(verb.trim_end_matches([';', ',', '.'])) {
            Some(found) => command = found,
            None => return Some(format!("there is no `emberway {verb}`")),
        }
    }
    words.find_map(|word| {
        let flag = word
            .split('=')
            .next()
            .unwrap_or(word)
            .trim_matches(['[', ']', '`', ',', ';']);
        let is_known = match flag.strip_prefix("--") {
            Some(long) => knows(command, long),
            None if flag.starts_with('-') && flag.len() == 2 => {
                let short = flag.chars().nth(1);
                matches!(short, Some('h' | 'V'))
                    || command.get_arguments().any(|argument| argument.get_short() == short)
            }
            None => true,
        };
        (!is_known).then(|| format!("`emberway {}` has no `{flag}`", command.get_name()))
    })
}

/// Whether a command, or one below it, has a flag.
fn knows(command: &clap::Command, long: &str) -> bool {
    let is_it = |argument: &clap::Arg| {
        argument.get_long() == Some(long)
            || argument
                .get_visible_aliases()
                .is_some_and(|aliases| aliases.contains(&long))
    };
    matches!(long, "help" | "version")
        || command.get_arguments().any(is_it)
        || command.get_subcommands().any(|below| knows(below, long))
}

#[test]
fn commands_and_flags_exist() {
    let mut complaints = Vec::new();
    let mut count = 0;
    let root = emberway::cli::command();
    for path in files(&["md"]) {
        let document = read(&path);
        let examples = document
            .commands
            .iter()
            .map(|line| line.trim().trim_start_matches("$ "));
        for code in document.spans.iter().map(String::as_str).chain(examples) {
            if let Some((_, call)) = code.split_once("emberway ").filter(|(before, _)| is_prefix(before)) {
                count += 1;
                complaints.extend(wrong_call(call).map(|problem| format!("{}: {problem}: {code}", shown(&path))));
            }
        }
        // A flag that stands alone may be any command's.
        for flag in document.spans.iter().filter_map(|span| span.strip_prefix("--")) {
            let long = flag.split([' ', '=']).next().unwrap_or(flag);
            count += 1;
            if !long.is_empty() && !root.get_subcommands().any(|command| knows(command, long)) {
                complaints.push(format!("{}: no command has `--{long}`", shown(&path)));
            }
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    assert!(count > 10, "commands are found at all");
}

/// Whether what stands before `emberway` is the way to it or its environment, so that it is the program that is called.
fn is_prefix(before: &str) -> bool {
    before.ends_with('/') && !before.contains(' ') || before.split_whitespace().all(|word| word.contains('='))
}

#[test]
fn wrong_calls_are_noticed() {
    assert_eq!(wrong_call("run --config x"), None);
    assert_eq!(wrong_call("usage --by=day | head --lines 3"), None);
    assert_eq!(wrong_call("deployment create --sku-name Standard"), None);
    assert_eq!(
        wrong_call("deployment list --sku-name Standard"),
        Some("`emberway list` has no `--sku-name`".to_owned())
    );
    assert_eq!(
        wrong_call("deployment make"),
        Some("there is no `emberway make`".to_owned())
    );
    assert_eq!(wrong_call("serve"), Some("there is no `emberway serve`".to_owned()));
    assert_eq!(
        wrong_call("run --port 1"),
        Some("`emberway run` has no `--port`".to_owned())
    );
    assert_eq!(wrong_call("run -p 1"), Some("`emberway run` has no `-p`".to_owned()));
}

#[test]
fn the_command_reference_is_up_to_date() {
    is_up_to_date("docs/cli.md", &cli_page::render(emberway::cli::command()));
}

#[test]
fn what_each_answer_means_is_up_to_date() {
    let golden = fs::read_to_string(repository().join("tests/golden/errors.jsonl")).expect("readable");
    is_up_to_date("docs/outcomes.md", &outcomes_page::render(&golden));
}

#[track_caller]
fn is_up_to_date(page: &str, generated: &str) {
    let path = repository().join(page);
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        fs::write(&path, generated).expect("written");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == generated,
        "{page} is out of date: run `UPDATE_GENERATED=1 cargo test --test it docs`"
    );
}

#[test]
fn nothing_says_that_it_is_unfinished() {
    let mut complaints = Vec::new();
    for path in files(&["rs", "md", "toml", "yaml", "yml", "json", "py", "mjs", "sh", "sql"]) {
        // A seed for the fuzzers may be no text on purpose.
        let text = String::from_utf8_lossy(&fs::read(&path).expect("readable")).into_owned();
        for (number, line) in text.lines().enumerate() {
            if let Some(word) = UNFINISHED.iter().find(|word| line.contains(**word)) {
                complaints.push(format!("{}:{}: `{word}`", shown(&path), number + 1));
            }
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}
