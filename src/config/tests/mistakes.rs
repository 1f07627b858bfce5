//! What is refused or remarked upon, and how it is said.

use std::path::Path;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::{Value, json};

use super::{SMALL, compile, variables};
use crate::config::errors::Problem;
use crate::config::load;

/// Compiles the small file after replacing texts, and expects these problems, hints left out.
#[track_caller]
pub(super) fn check(edits: &[(&str, &str)], expected: &[&str]) {
    let shown: Vec<String> = problems(edits).iter().map(without_hint).collect();
    assert_eq!(shown, expected);
}

/// The same for one edit and one problem, with its hint.
#[track_caller]
pub(super) fn check_hint(from: &str, to: &str, hint: &str) {
    let problems = problems(&[(from, to)]);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(problems[0].hint.as_deref(), Some(hint));
}

/// The same for a file that compiles with warnings.
#[track_caller]
pub(super) fn check_warnings(edits: &[(&str, &str)], expected: &[&str]) {
    let checked = compile(&edited(edits)).unwrap_or_else(|errors| panic!("{errors}"));
    let shown: Vec<String> = checked.warnings.iter().map(without_hint).collect();
    assert_eq!(shown, expected);
}

#[track_caller]
pub(super) fn problems(edits: &[(&str, &str)]) -> Vec<Problem> {
    compile(&edited(edits)).expect_err("mistakes").problems
}

#[track_caller]
pub(super) fn edited(edits: &[(&str, &str)]) -> String {
    edits.iter().fold(SMALL.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "`{from}` is not in the file");
        text.replace(from, to)
    })
}

fn without_hint(problem: &Problem) -> String {
    let problem = Problem {
        hint: None,
        ..problem.clone()
    };
    problem.to_string()
}

/// An edit that adds top-level fields at the end, after line 21.
pub(super) fn added(line: &str) -> (&'static str, String) {
    ("    pool: support\n", format!("    pool: support\n{line}\n"))
}

#[track_caller]
pub(super) fn check_added(line: &str, expected: &[&str]) {
    let (from, to) = added(line);
    check(&[(from, &to)], expected);
}

#[test]
fn mistakes_of_every_kind_are_told_in_one_run_in_the_order_of_the_file() {
    check(
        &[
            ("address: 127.0.0.1:0", "address: 127.0.0.1"),
            ("sku: Standard, capacity: 50", "sku: Standart, capcity: 50"),
            ("contoso/spare", "contoso/spair"),
            ("    pool: support\n", "    pool: suport\n    timeouts: {idle: 5}\n"),
            ("${env:AZURE_KEY}", "${env:AZURE_KEI}"),
        ],
        &[
            "2:5: listeners[0].address: `127.0.0.1` is not an address",
            "10:18: resources[0].credential.api_key: the environment variable `AZURE_KEI` is not set",
            "12:25: resources[0].deployments[0].sku: `Standart` is not one of the possible values",
            "12:40: resources[0].deployments[0].capcity: unknown field `capcity`",
            "17:27: pools[0].tiers[0][1]: unknown deployment `contoso/spair`",
            "21:5: routes[0].pool: unknown pool `suport`",
            "22:16: routes[0].timeouts.idle: expected text, found `5`",
        ],
    );
}

#[test]
fn structure() {
    check_added(
        "usage: {queue: many}",
        &["22:9: usage.queue: expected a whole number, found the text `many`"],
    );
    check_added("usage: {queue: 0}", &["22:9: usage.queue: `0` is too small"]);
    check_added(
        "usage: {keep_days: 99999}",
        &["22:9: usage.keep_days: `99999` is too large"],
    );
    check_added(
        "usage: {when_full: explode}",
        &["22:9: usage.when_full: `explode` is not one of the possible values"],
    );
    check_added("usage: []", &["22:1: usage: expected an object, found a list"]);
    check_added("usage:", &["22:1: usage: there is no value"]);
    check_added(
        "limits: {body_size: 32MB}",
        &["22:10: limits.body_size: `32MB` is not a size"],
    );
    check_added(
        "shutdown: {drain: soon}",
        &["22:12: shutdown.drain: `soon` is not a duration"],
    );
    check(
        &[("tiers:", "tires:")],
        &["16:5: pools[0].tires: unknown field `tires`"],
    );
    check(
        &[("    region: swedencentral\n", "")],
        &["7:5: resources[0].region: `region` is missing"],
    );
    check(
        &[("name: team", "name: my team")],
        &["4:5: clients[0].name: `my team` is not a name"],
    );
    check(
        &[("[contoso/support, contoso/spare]", "[]")],
        &["17:9: pools[0].tiers[0]: the list is empty"],
    );
    check(
        &[("contoso/spare]", "contoso]")],
        &["17:27: pools[0].tiers[0][1]: `contoso` is not a deployment reference"],
    );
    check(
        &[("contoso/spare]", "{deployment: contoso/spare, weight: 0}]")],
        &["17:55: pools[0].tiers[0][1].weight: `0` is too small"],
    );
    check(
        &[("contoso/spare]", "7]")],
        &["17:27: pools[0].tiers[0][1]: expected text or an object, found `7`"],
    );
}

#[test]
fn files_that_are_no_configuration() {
    for text in ["", "# nothing\n", "just text", "[]"] {
        let errors = compile(text).expect_err(text);
        assert_eq!(errors.problems.len(), 1, "{errors}");
    }
    let errors = compile("a: [\n").expect_err("syntax");
    assert!(errors.to_string().starts_with("test.yaml:"), "{errors}");
    let errors = load::load(Path::new("/nonexistent.yaml"), &variables).expect_err("no file");
    assert!(
        errors
            .to_string()
            .starts_with("/nonexistent.yaml: cannot read the file: "),
        "{errors}"
    );
    let directory = tempfile::tempdir().expect("directory");
    let large = directory.path().join("large.yaml");
    std::fs::write(&large, format!("#{}\n{SMALL}", " ".repeat(1024 * 1024))).expect("write");
    let errors = load::load(&large, &variables).expect_err("large");
    assert!(
        errors.to_string().ends_with("the file is larger than 1 MiB"),
        "{errors}"
    );
}

#[test]
fn hints_name_what_was_meant() {
    check_hint("pool: support\n", "pool: suport\n", "did you mean `support`?");
    check_hint("contoso/spare]", "contoso/spair]", "did you mean `contoso/spare`?");
    check_hint(
        "sku: Standard, capacity: 50",
        "sku: standard, capacity: 50",
        "did you mean `Standard`?",
    );
}

#[test]
fn a_field_that_nobody_knows_beside_a_missing_one_is_that_one_misspelt() {
    check_hint("routes:\n", "roots:\n", "did you mean `routes`?");
    check_hint("resources:\n", "ressorces:\n", "did you mean `resources`?");
    check_hint("    region: s", "    rgn: s", "did you mean `region`?");
    check(
        &[("routes:\n", "garden:\n")],
        &[
            "1:1: routes: `routes` is missing",
            "18:1: garden: unknown field `garden`",
        ],
    );
}

#[test]
fn secrets_that_no_header_may_carry_are_refused_without_being_shown() {
    let text = format!("{SMALL}admin: {{token: '${{env:ADMIN}}'}}\n");
    for secret in [
        "hunter2\u{7f}",
        "hun\tter2",
        " hunter2",
        "hunter2 ",
        "h\u{fc}nter2",
        "hunter2\r\nx: y",
    ] {
        let with = |name: &str| match name {
            "AZURE_KEY" | "ADMIN" => Some(secret.to_owned()),
            _ => variables(name),
        };
        let errors = load::compile_text(&text, Path::new("test.yaml"), &with).expect_err(secret);
        let shown = errors.to_string();
        for place in [
            "test.yaml:10:18: resources[0].credential.api_key: ",
            "test.yaml:22:9: admin.token: ",
        ] {
            assert!(shown.contains(place), "{secret:?}: {shown}");
        }
        assert_eq!(
            shown.matches("cannot travel in a header").count(),
            2,
            "{secret:?}: {shown}"
        );
        assert!(!shown.contains(secret.trim()), "{secret:?}: {shown}");
    }
}

#[test]
fn names_and_references() {
    check(
        &[("name: spare", "name: support"), ("contoso/spare", "contoso/support")],
        &[
            "13:10: resources[0].deployments[1].name: there is another deployment `contoso/support`",
            "17:27: pools[0].tiers[0][1]: `contoso/support` is in this pool already",
        ],
    );
    check(
        &[("aliases: [gpt-4.1-support]", "aliases: [support-bot]")],
        &["20:15: routes[0].aliases[0]: there is another model name `support-bot`"],
    );
    check(
        &[("    keys:", "    routes: [support-bot, other]\n    keys:")],
        &["5:27: clients[0].routes[1]: unknown route `other`"],
    );
}

#[test]
fn addresses_and_endpoints() {
    check(
        &[("127.0.0.1:0", "0.0.0.0:8080")],
        &["2:5: listeners[0].address: plain HTTP on `0.0.0.0:8080` would let others read keys and prompts"],
    );
    check_added(
        "admin: {address: '0.0.0.0:9090'}",
        &["22:1: admin.token: an admin listener on `0.0.0.0:9090` needs a token"],
    );
    check(
        &[("127.0.0.1:0", "127.0.0.1:9090")],
        &["1:1: admin.address: `127.0.0.1:9090` is taken by `listeners[0].address`"],
    );
    check(
        &[("https://contoso.openai.azure.com", "http://contoso.example")],
        &["9:5: resources[0].endpoint: `http://contoso.example` would carry prompts and credentials readably"],
    );
    check_warnings(&[("https://contoso.openai.azure.com", "'${env:HOST}'")], &[]);
    check_warnings(
        &[(
            "https://contoso.openai.azure.com",
            "http://contoso.example\n    allow_plaintext: true",
        )],
        &[],
    );
    check(
        &[("    credential:", "    api_version: latest\n    credential:")],
        &["10:5: resources[0].api_version: `latest` is not an API version"],
    );
}

#[test]
fn times_and_limits() {
    check_added("shutdown: {drain: 2d}", &["22:12: shutdown.drain: `2d` is too long"]);
    check_added(
        "health: {open_for: 0s}",
        &["22:10: health.open_for: `0s` is no time at all"],
    );
    check_added(
        "health: {throttle_default: 2m}",
        &["22:10: health.throttle_default: `2m` is longer than `health.throttle_max`"],
    );
    check_added(
        "limits: {held_bodies: 1MiB}",
        &["22:10: limits.held_bodies: `1MiB` is less than `limits.body_size`"],
    );
    check_added(
        "log: {filter: 'a=b=c'}",
        &["22:7: log.filter: `a=b=c` is not a log filter"],
    );
    check(
        &[("capacity: 50", "capacity: 50, created_at: yesterday")],
        &["12:54: resources[0].deployments[0].created_at: `yesterday` is not a point in time"],
    );
}

#[test]
fn secrets_are_referred_to_and_never_shown() {
    check(
        &[("${env:AZURE_KEY}", "hunter2hunter2")],
        &["10:18: resources[0].credential.api_key: a secret must be given by reference, not written out"],
    );
    check(
        &[("{api_key: '${env:AZURE_KEY}'}", "hunter2hunter2")],
        &["10:5: resources[0].credential: expected an object, found text"],
    );
    check(
        &[("'${env:TEAM_KEY}'", "1234567890")],
        &["5:12: clients[0].keys[0]: expected text, found a number"],
    );
    check(
        &[("${env:AZURE_KEY}", "${env:EMPTY}")],
        &["10:18: resources[0].credential.api_key: the secret behind `${env:EMPTY}` is empty"],
    );
    check(
        &[("${env:AZURE_KEY}", "${env:TWO_LINES}")],
        &[
            "10:18: resources[0].credential.api_key: the secret behind `${env:TWO_LINES}` has characters that cannot \
           travel in a header",
        ],
    );
    check(
        &[("clients:\n", "clients:\n  - {name: other, keys: ['${env:TEAM_KEY}']}\n")],
        &["6:12: clients[1].keys[0]: this key is also a key of client `other`"],
    );
    check(
        &[(
            "{api_key: '${env:AZURE_KEY}'}",
            "{api_key: '${env:AZURE_KEY}', token: '${env:AZURE_KEY}'}",
        )],
        &["10:5: resources[0].credential: give exactly one of `api_key`, `token`, `entra`"],
    );
    let checked = compile(SMALL).expect("compiles");
    assert!(!format!("{checked:?}").contains("azure-key"));
}

#[test]
fn a_key_and_its_digest_are_the_same_key() {
    // printf %s team-key-team-key-team-key | sha256sum
    let digest = "sha256:c4768f028c78cf209da326bb046c5e29dcc736a6d7ffaa8406024c56d82bfb6d";
    let by_digest = compile(&edited(&[("${env:TEAM_KEY}", digest)])).expect("compiles");
    let by_reference = compile(SMALL).expect("compiles");
    assert_eq!(by_digest.runtime.client_keys, by_reference.runtime.client_keys);
}

#[test]
fn what_is_legal_but_odd_is_remarked_upon() {
    check_warnings(
        &[("${env:TEAM_KEY}", "${env:SHORT_KEY}")],
        &["5:12: clients[0].keys[0]: the secret behind `${env:SHORT_KEY}` has fewer than 16 characters"],
    );
    check_warnings(
        &[("[contoso/support, contoso/spare]", "[contoso/support]")],
        &["13:9: resources[0].deployments[1]: deployment `contoso/spare` is in no pool"],
    );
    check_warnings(
        &[("pools:\n", "pools:\n  - {name: other, tiers: [[contoso/spare]]}\n")],
        &["15:5: pools[0]: no route leads to pool `other`"],
    );
    check_warnings(
        &[("Standard", "DeveloperTier")],
        &[
            "16:5: pools[0].tiers: every member is `DeveloperTier`: Azure removes those after 24 hours, and the pool will \
           be empty",
        ],
    );
    check_warnings(
        &[("spare, sku: Standard", "spare, sku: ProvisionedManaged")],
        &[
            "17:9: pools[0].tiers[0]: the tier compares different things: `contoso/support` is weighed by `capacity` in \
           tokens per minute, `contoso/spare` by `capacity` in PTUs",
        ],
    );
    check_warnings(
        &[(
            "    credential:",
            "    api: v1\n    api_version: 2024-10-21\n    credential:",
        )],
        &["11:5: resources[0].api_version: `2024-10-21` is not used: `api: v1` has no version"],
    );
    check_warnings(
        &[(
            "    pool: support\n",
            "    pool: support\n    timeouts: {first_byte: 2m, total: 1m}\n",
        )],
        &["22:16: routes[0].timeouts.first_byte: `2m` never takes effect, since `total` is shorter"],
    );
}

#[test]
fn tls_files_are_judged() {
    let directory = tempfile::tempdir().expect("directory");
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).expect("certificate");
    let other = generate_simple_self_signed(["localhost".to_owned()]).expect("certificate");
    let files = [
        ("good.pem", cert.pem()),
        ("good.key", signing_key.serialize_pem()),
        ("other.key", other.signing_key.serialize_pem()),
        ("text.pem", "no certificate\n".to_owned()),
    ];
    for (name, content) in files {
        std::fs::write(directory.path().join(name), content).expect("write");
    }
    let path = directory.path().join("config.yaml");
    let outcome = |certificate: &str, key: &str| {
        let tls = format!("0.0.0.0:0\n    tls: {{certificate: {certificate}, key: {key}}}");
        let text = SMALL.replace("127.0.0.1:0", &tls);
        match load::compile_text(&text, &path, &variables) {
            Ok(checked) => format!("{:?}", checked.install.listeners[0].tls.is_some()),
            Err(errors) => {
                let shown: Vec<String> = errors.problems.iter().map(without_hint).collect();
                shown
                    .join("\n")
                    .replace(&format!("{}/", directory.path().display()), "")
            }
        }
    };
    assert_eq!(outcome("good.pem", "good.key"), "true");
    assert_eq!(
        outcome("none.pem", "text.pem"),
        "3:11: listeners[0].tls.certificate: there is no file `none.pem`\n\
         3:34: listeners[0].tls.key: `text.pem` holds no private key"
    );
    let mismatch = outcome("good.pem", "other.key");
    assert!(
        mismatch.contains("listeners[0].tls.key: `other.key` does not fit the certificate"),
        "{mismatch}"
    );
}

/// Replaces every part of the file by every kind of value: nothing panics, every problem has a place, and a mistake in
/// shape is never followed by complaints elsewhere.
#[test]
fn a_wrong_value_is_told_where_it_stands_and_nowhere_else() {
    let whole = serde_saphyr::from_str::<Value>(SMALL).expect("parses");
    let mut pointers = Vec::new();
    every_pointer(&whole, String::new(), &mut pointers);
    let wrong = [
        json!(null),
        json!("§"),
        json!(5),
        json!(-1),
        json!({}),
        json!([]),
        json!(true),
        json!({"x": 1}),
        json!([[]]),
    ];
    let mut refused = 0;
    for pointer in &pointers {
        for value in &wrong {
            let mut edited = whole.clone();
            *edited.pointer_mut(pointer).expect("exists") = value.clone();
            // JSON is YAML.
            let Err(errors) = compile(&edited.to_string()) else {
                continue;
            };
            refused += 1;
            let field = crate::config::errors::Pointer::from_json(pointer).to_string();
            for problem in &errors.problems {
                assert!(
                    problem.line >= 1 || pointer.is_empty(),
                    "{pointer} = {value}: {problem:?}"
                );
                assert!(
                    problem.field.starts_with(&field),
                    "{pointer} = {value} is told at `{}`:\n{errors}",
                    problem.field
                );
            }
        }
    }
    assert!(refused > 300, "{refused} wrong files");
}

fn every_pointer(value: &Value, at: String, pointers: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields
            .iter()
            .for_each(|(name, value)| every_pointer(value, format!("{at}/{name}"), pointers)),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .for_each(|(index, value)| every_pointer(value, format!("{at}/{index}"), pointers)),
        _ => {}
    }
    pointers.push(at);
}
