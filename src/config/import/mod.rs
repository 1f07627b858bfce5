//! MOVING IN: another program's configuration as one of ours, with a report of every line.
//!
//! The one program so far is LiteLLM's proxy. Their files are parsed as ours are, with places; the mapping makes raw types of ours and
//! tells what became of each field of theirs (`report`); `write` writes the raw types down and the result is compiled by `config::load`,
//! as `emberway check` would. Nothing here touches a disk: the caller reads files and writes the result.
//!
//! The folder is part of `config` because the raw types are nobody else's business.

use std::collections::HashMap;
use std::path::Path;

use crate::config::document::Document;
use crate::config::errors::{ConfigErrors, Pointer, Problem};
use crate::config::import::applications::Applications;
use crate::config::import::fleet::Fleet;
use crate::config::import::models::Models;
use crate::config::import::report::{CheckReport, Grade, Report};
use crate::config::import::secrets::Secrets;
use crate::config::import::settings::Settings;
use crate::config::import::source::{Node, SourceFile};
use crate::config::import::write::WriteError;
use crate::config::load;
use crate::config::raw::admin::RawAdmin;
use crate::config::raw::fleet::{RawClient, RawPriority, RawSku};
use crate::config::raw::rules::RawUseLimits;
use crate::config::raw::{RawConfig, RawDefaults, RawHealth, RawLimits, RawListener, RawLog, RawShutdown, RawUsage};
use crate::config::scalars::{ClientKeyText, Name};

mod account;
mod advice;
mod applications;
mod fleet;
mod models;
mod pools;
pub mod report;
mod secrets;
mod settings;
mod source;
#[cfg(test)]
mod tests;
mod write;

/// Most files that one may include.
const INCLUDES_MAX: usize = 100;

/// Where the gateway listens unless a person says otherwise: LiteLLM's usual port.
const LISTENER: &str = "127.0.0.1:4000";

/// The variable that LiteLLM reads where its file names no key.
const MASTER_KEY: &str = "LITELLM_MASTER_KEY";

/// Sections that are read here; the others are told by `advice`.
const SECTIONS: &[&str] = &[
    "model_list",
    "credential_list",
    "router_settings",
    "litellm_settings",
    "general_settings",
    "environment_variables",
    "include",
];

/// What a person tells beside the file.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    sku: Option<RawSku>,
}

impl Options {
    /// With the type of all deployments, as Azure spells it. None where there is no such type.
    pub fn with_sku(self, sku: &str) -> Option<Self> {
        let sku = serde_json::from_value(sku.into()).ok()?;
        Some(Self { sku: Some(sku) })
    }
}

/// A configuration of ours, made of another program's.
#[derive(Debug)]
pub struct Import {
    /// The file's text.
    pub text: String,
    /// What became of each line.
    pub report: Report,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A file of theirs cannot be read, or is not understood.
    #[error(transparent)]
    Source(#[from] ConfigErrors),
    /// It is understood, and nothing in it can be carried over; the report says why.
    #[error("there is no model of Azure OpenAI that can be carried over")]
    Nothing(Box<Report>),
    /// Ours cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Converts a configuration of LiteLLM's proxy. `read` gets a path and gives a file's text; `written` names the result in what
/// `emberway check` says of it.
///
/// # Errors
/// When a file cannot be read or is not understood, and when there is nothing to write.
pub fn litellm(
    path: &Path,
    written: &Path,
    options: Options,
    read: &dyn Fn(&Path) -> Result<String, Problem>,
) -> Result<Import, ImportError> {
    let (main, included) = open(path, read)?;
    let files = || std::iter::once(&main).chain(&included);
    let roots: Vec<Node<'_>> = files().map(Node::root).collect();
    let mut report = Report::default();
    let (raw, comments, secrets) = convert(&Node::root(&main), &roots, options, &mut report)?;
    let order = |file: &Path| files().position(|known| known.path == file);
    report
        .lines
        .sort_by_key(|line| (order(&line.file), line.line, line.column, line.grade));
    if raw.routes.is_empty() {
        return Err(ImportError::Nothing(Box::new(report)));
    }
    let text = write::text(&raw, &comments, &header(path, &report))?;
    report.variables = secrets.variables;
    report.check = Some(check(&text, written, &report));
    Ok(Import { text, report })
}

/// The file and those that it includes.
fn open(
    path: &Path,
    read: &dyn Fn(&Path) -> Result<String, Problem>,
) -> Result<(SourceFile, Vec<SourceFile>), ConfigErrors> {
    let parse = |path: &Path| {
        let failed = |problem| ConfigErrors {
            file: path.to_owned(),
            problems: vec![problem],
        };
        let document = read(path).and_then(|text| Document::parse(&text)).map_err(failed)?;
        let file = SourceFile {
            path: path.to_owned(),
            document,
        };
        if Node::root(&file).is_object() {
            return Ok(file);
        }
        Err(Node::root(&file).mistake(
            "expected fields such as `model_list`",
            "it should be a configuration of LiteLLM's proxy",
        ))
    };
    let main = parse(path)?;
    let mut included = Vec::new();
    if let Some(node) = Node::root(&main).get("include") {
        let items = if node.is_list() { node.items() } else { vec![node] };
        for item in items {
            let Some(name) = item.text().filter(|_| included.len() < INCLUDES_MAX) else {
                return Err(item.mistake(
                    "not a file's path, or one too many",
                    "`include` is a list of paths, at most 100",
                ));
            };
            let beside = path.parent().unwrap_or(Path::new("")).join(name);
            included.push(parse(&beside)?);
        }
    }
    Ok((main, included))
}

type Converted = (RawConfig, HashMap<Pointer, String>, Secrets);

fn convert<'a>(
    main: &Node<'a>,
    roots: &[Node<'a>],
    options: Options,
    report: &mut Report,
) -> Result<Converted, ConfigErrors> {
    let lists: Vec<Node<'_>> = roots.iter().filter_map(|root| root.get("model_list")).collect();
    if lists.is_empty() {
        let hint = "is it a configuration of LiteLLM's proxy? models that are only in its database are not in a file";
        return Err(main.mistake("there is no `model_list`", hint));
    }
    let mut secrets = Secrets::new(roots.iter().flat_map(Node::variables).collect());
    let mut settings = Settings::default();
    for section in ["router_settings", "litellm_settings", "general_settings"] {
        if let Some(node) = last(roots, section, report)? {
            settings.read(section, &node, report, &mut secrets);
        }
    }
    let mut models = Models {
        credentials: credentials(roots, report),
        report,
        fleet: Fleet::default(),
        secrets,
        applications: Applications::default(),
        options,
    };
    let mut entries = Vec::new();
    for list in lists {
        for entry in items_of(&list)? {
            entries.extend(models.read(&entry)?);
        }
    }
    let Models {
        report,
        fleet,
        mut secrets,
        applications,
        ..
    } = models;
    let (pools, routes) = pools::build(entries, &settings, report);
    let client = client(&settings, main, &mut secrets, report);
    let mut raw = RawConfig {
        listeners: vec![listener(main, report)],
        admin: RawAdmin::default(),
        usage: RawUsage::default(),
        trace: None,
        log: RawLog::default(),
        shutdown: RawShutdown::default(),
        azure: applications.section(),
        alerts: None,
        telemetry: None,
        limits: RawLimits::default(),
        health: RawHealth::default(),
        defaults: RawDefaults::default(),
        replicas: 1,
        clients: vec![client],
        resources: fleet.resources,
        pools,
        routes,
    };
    settings.apply(&mut raw);
    tell_rest(roots, &secrets, report);
    for root in roots {
        report.tell_missed(root);
    }
    Ok((raw, fleet.comments, secrets))
}

fn items_of<'a>(list: &Node<'a>) -> Result<Vec<Node<'a>>, ConfigErrors> {
    if list.is_list() {
        return Ok(list.items().into_iter().collect());
    }
    Err(list.mistake(
        "`model_list` is no list",
        "each model is an item, which begins with `-`",
    ))
}

/// A section's last mention counts; the others are told.
fn last<'a>(roots: &[Node<'a>], section: &str, report: &mut Report) -> Result<Option<Node<'a>>, ConfigErrors> {
    let mut found: Option<Node<'a>> = None;
    for node in roots.iter().filter_map(|root| root.get(section)) {
        if !node.is_object() {
            return Err(node.mistake(format!("`{section}` has no fields"), "write `name: value` below it"));
        }
        if let Some(before) = found.replace(node) {
            let remark = "not used: an included file says the section again, and LiteLLM takes that";
            report.tell(&before, Grade::Exact, remark);
        }
    }
    Ok(found)
}

/// `credential_list` of all files, by name.
fn credentials<'a>(roots: &[Node<'a>], report: &mut Report) -> Vec<(&'a str, Node<'a>)> {
    let mut named = Vec::new();
    for list in roots.iter().filter_map(|root| root.get("credential_list")) {
        if !list.is_list() {
            report.tell(&list, Grade::Unsupported, "no list of credentials");
        }
        for credential in list.items() {
            let name = credential.get("credential_name").and_then(|name| name.text());
            let remark = "its values are written into the resources of the models that name it";
            report.tell(&credential, Grade::Exact, remark);
            named.extend(name.map(|name| (name, credential.clone())));
        }
    }
    named
}

/// Whoever has the master key; a client must be there in any case.
fn client(settings: &Settings<'_>, main: &Node<'_>, secrets: &mut Secrets, report: &mut Report) -> RawClient {
    let key = settings.master_key.as_ref().map_or_else(
        || {
            let remark = format!("there is no `general_settings.master_key`, and here every client has a key: put one into the variable `{MASTER_KEY}`");
            report.tell_unsaid(main, Grade::Manual, remark);
            secrets.reference(MASTER_KEY, secrets::CLIENT_KEY)
        },
        |key| key.0.clone(),
    );
    RawClient {
        name: Name("litellm-master-key".to_owned()),
        keys: vec![ClientKeyText(key)],
        routes: None,
        debug_headers: false,
        priority: RawPriority::default(),
        limits: RawUseLimits::default(),
    }
}

fn listener(main: &Node<'_>, report: &mut Report) -> RawListener {
    let remark = format!(
        "it listens on {LISTENER}, where LiteLLM listens on all addresses: for other machines write `tls`, or `allow_plaintext` behind something that ends TLS"
    );
    report.tell_unsaid(main, Grade::Approximate, remark);
    RawListener {
        address: LISTENER.to_owned(),
        tls: None,
        h2c: false,
        allow_plaintext: false,
    }
}

/// Sections that are not read, and variables that LiteLLM sets itself.
fn tell_rest(roots: &[Node<'_>], secrets: &Secrets, report: &mut Report) {
    for (index, root) in roots.iter().enumerate() {
        for (name, node) in root.fields() {
            match name {
                "include" if index == 0 => report.tell(&node, Grade::Exact, "its files are read as if they stood here"),
                "include" => report.tell(
                    &node,
                    Grade::Unsupported,
                    "LiteLLM reads includes of the first file only, and so does this",
                ),
                "environment_variables" => tell_variables(&node, secrets, report),
                _ if SECTIONS.contains(&name) => {}
                _ => advice::tell(report, "", name, &node),
            }
        }
    }
}

fn tell_variables(node: &Node<'_>, secrets: &Secrets, report: &mut Report) {
    for (name, node) in node.fields() {
        if secrets.variables.contains_key(name) {
            let remark = "the gateway sets no variables: put it into its environment, as a secret where it is one";
            report.tell(&node, Grade::Manual, remark);
        } else {
            let remark = "nothing here reads it, and the gateway sets no variables";
            report.tell(&node, Grade::Unsupported, remark);
        }
    }
}

/// What stands above the configuration.
fn header(path: &Path, report: &Report) -> String {
    let name = path
        .file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let name: String = name.chars().filter(|letter| !letter.is_control()).collect();
    let manual = report.count(Grade::Manual);
    let mut header = format!(
        "# Made by `emberway import --from litellm` of {name}. Every field: docs/config.md; what was carried over, and how well: docs/moving-in.md.\n"
    );
    if manual > 0 {
        header.push_str("# What a person has to fill in is marked `FILL IN`; what stands there until then only lets `emberway check` accept the file.\n");
    }
    header.push('\n');
    header
}

/// Compiles the result with something in each variable.
fn check(text: &str, written: &Path, report: &Report) -> CheckReport {
    let purposes = report.variables.clone();
    let variables = move |name: &str| {
        let purpose = purposes.get(name)?;
        Some(match *purpose {
            secrets::ENDPOINT => "https://endpoint.invalid".to_owned(),
            secrets::API_VERSION => "2024-10-21".to_owned(),
            secrets::APPLICATION_ID => "00000000-0000-0000-0000-000000000000".to_owned(),
            _ => format!("in-place-of-the-variable-{name}"),
        })
    };
    match load::compile_text(text, written, &variables) {
        Ok(checked) => CheckReport {
            errors: Vec::new(),
            warnings: checked.warnings,
        },
        Err(errors) => CheckReport {
            errors: errors.problems,
            warnings: Vec::new(),
        },
    }
}
