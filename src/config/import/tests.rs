//! Configurations as people have them: `tests/import/*.yaml`, each beside what becomes of it and what is said of it.
//!
//! `SNAPSHOTS=overwrite cargo test --lib config::import` rewrites those; read the change before committing it.

mod property;

use std::fmt::Write as _;
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

/// What `emberway check` would refuse.
fn refused(import: &Import) -> &[Problem] {
    &import.report.check.as_ref().expect("a check").errors
}

/// The lines of a grade, without their places.
fn notes(import: &Import, grade: Grade) -> Vec<String> {
    let lines = import.report.lines.iter().filter(|line| line.grade == grade);
    lines.map(|line| format!("{}: {}", line.field, line.remark)).collect()
}

/// Holds an example's result and report, and what must hold for all of them.
#[track_caller]
fn check(name: &str) -> Import {
    let import = convert(&format!("{name}.yaml"), Options::default()).expect(name);
    let report = import.report.text(Path::new("emberway.yaml")).expect("text");
    let held = |kind: &str| snapbox::Data::read_from(&folder().join(format!("{name}.{kind}")), None).raw();
    snapbox::assert_data_eq!(import.text.clone(), held("emberway.yaml"));
    snapbox::assert_data_eq!(report.clone(), held("report.txt"));
    assert_eq!(refused(&import), [], "{}", import.text);
    assert!(!import.text.contains(SECRET), "{}", import.text);
    let json = serde_json::to_string(&import.report).expect("JSON");
    for told in [report, json] {
        assert!(!told.contains(SECRET), "{told}");
    }
    import
}

/// Fields of a file that say something and are within no line of the report.
fn dropped(path: &str, lines: &[Line]) -> Vec<String> {
    missing(path, &read(Path::new(path)).expect("a file"), lines)
}

/// The same of a file's text.
fn missing(path: &str, text: &str, lines: &[Line]) -> Vec<String> {
    let file = SourceFile {
        path: path.into(),
        document: Document::parse(text).expect("YAML"),
    };
    let told: Vec<&Pointer> = lines
        .iter()
        .filter(|line| line.file == file.path)
        .map(|line| &line.at)
        .collect();
    Node::root(&file)
        .leaves()
        .into_iter()
        .filter(|leaf| {
            !told
                .iter()
                .any(|at| !at.as_json().is_empty() && leaf.at().is_within(at))
        })
        .map(|leaf| leaf.field())
        .collect()
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

/// A file with one model and more of it: `params` are lines of `litellm_params`, `rest` follows the list.
fn one(params: &str, rest: &str) -> String {
    let indented = params
        .lines()
        .fold(String::new(), |text, line| text + "      " + line + "\n");
    format!(
        "model_list:\n  - model_name: bot\n    litellm_params:\n      model: azure/ft\n      \
         api_base: https://contoso-eastus2.openai.azure.com\n      api_key: os.environ/KEY\n{indented}{rest}"
    )
}

#[track_caller]
fn check_text(params: &str, rest: &str, expected: &str) {
    let import = of_text(&one(params, rest)).expect("converts");
    assert!(import.text.contains(expected), "no `{expected}` in\n{}", import.text);
    assert_eq!(refused(&import), [], "{}", import.text);
}

#[test]
fn settings_become_what_they_mean() {
    check_text("tpm: 1", "", "capacity: 1\n");
    check_text("tpm: 1500", "", "capacity: 2\n");
    check_text("tpm: \"90000\"", "", "capacity: 90\n");
    check_text("timeout: 0.5", "", "whole_answer: 500ms");
    check_text("timeout: 10", "", "first_byte: 10s");
    check_text("num_retries: 20", "", "max_attempts: 16");
    check_text("api_version: latest", "", "api: v1");
    let with = |section: &str, setting: &str| format!("{section}:\n  {setting}\n");
    let check_setting =
        |section: &str, setting: &str, expected: &str| check_text("", &with(section, setting), expected);
    check_setting("router_settings", "num_retries: 0", "max_attempts: 1");
    check_setting("router_settings", "routing_strategy: least-busy", "policy: least_busy");
    check_setting(
        "router_settings",
        "disable_cooldowns: true",
        "consecutive_failures: 1000",
    );
    check_setting("router_settings", "cooldown_time: 90", "open_for: 90s");
}

#[test]
fn a_name_that_is_in_use_is_not_given_to_a_secret() {
    // The variable that a secret in the clear would get holds something else there.
    let text = one("", "").replace("os.environ/KEY", "hunter2")
        + "  - model_name: other\n    litellm_params: { model: azure/x, api_base: https://contoso-westus.openai.azure.com, \
           api_key: os.environ/AZURE_API_KEY_CONTOSO_EASTUS2 }\n";
    let import = of_text(&text).expect("converts");
    assert!(
        import.text.contains("${env:AZURE_API_KEY_CONTOSO_EASTUS2_2}"),
        "{}",
        import.text
    );
}

#[test]
fn secrets_are_told_apart_by_what_they_are() {
    let text = "model_list:\n\
        - { model_name: a, litellm_params: { model: azure/ft, api_base: https://contoso.openai.azure.com, api_key: hunter2-one } }\n\
        - { model_name: b, litellm_params: { model: azure/ft, api_base: https://contoso.openai.azure.com, api_key: hunter2-two } }\n\
        - { model_name: c, litellm_params: { model: azure/ft, api_base: https://contoso.openai.azure.com, api_key: hunter2-one } }\n";
    let import = of_text(text).expect("converts");
    let keys: Vec<&str> = import
        .text
        .lines()
        .filter(|line| line.contains("api_key:"))
        .map(str::trim)
        .collect();
    assert_eq!(
        keys,
        [
            "api_key: ${env:AZURE_API_KEY_CONTOSO}",
            "api_key: ${env:AZURE_API_KEY_CONTOSO_2}"
        ]
    );
    let exact = notes(&import, Grade::Exact);
    let shared = "model_list[2].litellm_params.model: deployment `contoso/ft`, which another entry names too";
    assert!(exact.iter().any(|remark| remark == shared), "{exact:#?}");
}

#[test]
fn nothing_is_left_to_do_where_everything_is_known() {
    let text = one(
        "tpm: 1000",
        "litellm_settings: { drop_params: false }\ngeneral_settings: { master_key: os.environ/M }\n",
    );
    let read = |_: &Path| Ok(text.clone());
    let path = Path::new("config.yaml");
    let sku = Options::default().with_sku("GlobalStandard").expect("a SKU");
    let import = litellm(path, path, sku, &read).expect("converts");
    assert!(import.report.is_complete(), "{:#?}", import.report);
    assert!(import.text.contains("sku: GlobalStandard\n"), "{}", import.text);
    assert!(Options::default().with_sku("Standart").is_none());
    let left = of_text(&text).expect("converts");
    assert!(!left.report.is_complete());
}

#[test]
fn what_is_switched_off_is_not_missed() {
    let grade = |setting: &str| {
        let import = of_text(&one("", &format!("litellm_settings: {{ {setting} }}\n"))).expect("converts");
        let name = setting.split(':').next().expect("a name");
        let line = import
            .report
            .lines
            .iter()
            .find(|line| line.field.ends_with(name))
            .expect("a line")
            .clone();
        line.grade
    };
    assert_eq!(grade("cache: true"), Grade::Unsupported);
    assert_eq!(grade("cache: false"), Grade::Exact);
    assert_eq!(grade("cache: no"), Grade::Exact);
    assert_eq!(grade("ssl_verify: false"), Grade::Unsupported);
    assert_eq!(grade("never_heard_of: false"), Grade::Unsupported);
}

#[test]
fn files_that_are_not_understood_are_told_with_their_place() {
    let failure = |text: &str| match of_text(text) {
        Err(ImportError::Source(errors)) => errors.to_string(),
        other => panic!("{text}: {other:?}"),
    };
    let check = |text: &str, expected: &str| {
        let told = failure(text);
        let first = told.lines().next().expect("a line");
        assert_eq!(first, expected, "{text}");
    };
    check("listeners: []\n", "config.yaml:1:1: there is no `model_list`");
    check("- a\n", "config.yaml:1:1: expected fields such as `model_list`");
    check(
        "model_list: {}\n",
        "config.yaml:1:1: model_list: `model_list` is no list",
    );
    check(
        "model_list:\n  - model_name: a\n",
        "config.yaml:2:5: model_list[0]: the entry has no `litellm_params`",
    );
    check(
        "model_list: []\nrouter_settings: fast\n",
        "config.yaml:2:1: router_settings: `router_settings` has no fields",
    );
    check(
        "model_list: []\nmodel_list: []\n",
        "config.yaml:2:1: the key `model_list` is there twice",
    );
}

#[test]
fn without_a_model_of_azure_there_is_nothing_to_write() {
    let text = "model_list:\n  - { model_name: a, litellm_params: { model: openai/gpt-4o } }\n";
    match of_text(text) {
        Err(ImportError::Nothing(report)) => assert_eq!(report.count(Grade::Unsupported), 1, "{report:?}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_include_that_is_not_there_is_told() {
    let read = |path: &Path| match path.to_str() {
        Some("etc/config.yaml") => Ok("include: [gone.yaml]\n".to_owned()),
        _ => read(path),
    };
    let path = Path::new("etc/config.yaml");
    let told = litellm(path, path, Options::default(), &read)
        .expect_err("no file")
        .to_string();
    assert!(told.starts_with("etc/gone.yaml: "), "{told}");
}

/// Fields whose values are tried out, by section.
const TRIED: &[(&str, &[&str])] = &[
    (
        "litellm_params",
        &[
            "api_base",
            "api_key",
            "api_version",
            "azure_ad_token",
            "azure_scope",
            "base_model",
            "client_id",
            "client_secret",
            "cooldown_time",
            "custom_llm_provider",
            "extra_headers",
            "input_cost_per_token",
            "cache_read_input_token_cost",
            "litellm_credential_name",
            "max_parallel_requests",
            "max_retries",
            "num_retries",
            "order",
            "output_cost_per_token",
            "region_name",
            "rpm",
            "stream_timeout",
            "temperature",
            "tenant_id",
            "timeout",
            "tpm",
            "unheard_of",
            "weight",
        ],
    ),
    (
        "model_info",
        &[
            "base_model",
            "cost_per_ptu_per_hour",
            "id",
            "max_tokens",
            "mode",
            "ptu_count",
            "unheard_of",
        ],
    ),
    (
        "router_settings",
        &[
            "allowed_fails",
            "cooldown_time",
            "default_fallbacks",
            "disable_cooldowns",
            "fallbacks",
            "model_group_alias",
            "model_group_retry_policy",
            "num_retries",
            "redis_password",
            "retry_after",
            "retry_policy",
            "routing_strategy",
            "stream_timeout",
            "timeout",
            "unheard_of",
        ],
    ),
    (
        "litellm_settings",
        &[
            "cache",
            "callbacks",
            "fallbacks",
            "json_logs",
            "num_retries",
            "request_timeout",
            "set_verbose",
            "success_callback",
        ],
    ),
    (
        "general_settings",
        &[
            "alerting",
            "database_url",
            "global_max_parallel_requests",
            "master_key",
            "max_request_size_mb",
            "maximum_spend_logs_retention_period",
        ],
    ),
];

/// Values that may stand anywhere, written as YAML.
const VALUES: &[&str] = &[
    "0",
    "1",
    "-1",
    "0.0000001",
    "2.5",
    "7",
    "90000",
    "1e300",
    "true",
    "no",
    "hunter2",
    "\"\"",
    "\"hunter2\\n# x: y\"",
    "os.environ/A",
    "${B}",
    "\"${env:C}hunter2\"",
    "[]",
    "{}",
    "[hunter2, other]",
    "{bot: [other, hunter2]}",
    "[{bot: other}, hunter2]",
    "{alias: bot, hunter: {model: other}}",
    "https://user:hunter2@host",
    "https://host/openai/v1",
    "2024-10-21",
    "v1",
    "least-busy",
    "30d",
    "1000000d",
    "azure",
    "{TimeoutErrorRetries: 3, x: hunter2}",
];

/// Fields whose texts are no secrets and are copied.
const COPIED: &[&str] = &["azure_scope", "base_model", "client_id", "region_name", "tenant_id"];

/// A field with a value below it.
fn field(indent: &str, name: &str, value: &str) -> String {
    let value = if COPIED.contains(&name) {
        value.replace(SECRET, "plain")
    } else {
        value.to_owned()
    };
    format!("{indent}{name}: {value}\n")
}

/// A file in which every field may have any value.
fn any_file() -> impl proptest::strategy::Strategy<Value = String> {
    use proptest::prelude::*;
    let section = |at: usize| {
        let (_, fields) = TRIED[at];
        let one = (prop::sample::select(fields), prop::sample::select(VALUES));
        prop::collection::btree_map(one.0, one.1, 0..6)
    };
    let entry = (section(0), section(1));
    (prop::collection::vec(entry, 1..4), section(2), section(3), section(4)).prop_map(
        |(entries, router, library, general)| {
            let mut text = "model_list:\n".to_owned();
            for (index, (params, info)) in entries.iter().enumerate() {
                let name = ["bot", "other", "bot"][index];
                writeln!(text, "- model_name: {name}\n  litellm_params:\n    model: azure/ft").expect("text");
                for (name, value) in params {
                    text.push_str(&field("    ", name, value));
                }
                if !info.is_empty() {
                    text.push_str("  model_info:\n");
                }
                for (name, value) in info {
                    text.push_str(&field("    ", name, value));
                }
            }
            for (section, fields) in [
                ("router_settings", router),
                ("litellm_settings", library),
                ("general_settings", general),
            ] {
                if !fields.is_empty() {
                    writeln!(text, "{section}:").expect("text");
                }
                for (name, value) in fields {
                    text.push_str(&field("  ", name, value));
                }
            }
            text
        },
    )
}
