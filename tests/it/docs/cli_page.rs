//! Writes `docs/cli.md` from clap's own description of the command line.

use std::fmt::Write as _;

use clap::{Arg, Command};

/// The page.
pub(super) fn render(mut root: Command) -> String {
    // Fills in what clap derives, such as usage lines and value names.
    root.build();
    let mut page = String::from(
        "# Commands\n\n\
         <!-- Generated from src/cli; UPDATE_GENERATED=1 cargo test --test it docs rewrites it. -->\n\n\
         Data goes to stdout, everything else to stderr. Exit codes: 0 success, 1 failure, 2 wrong flags, 78 a configuration\n\
         or scenario that cannot be used. `--help` and `--version` are understood everywhere.\n\n\
         | command | what it does |\n| --- | --- |\n",
    );
    let commands = || root.get_subcommands().filter(|command| command.get_name() != "help");
    for command in commands() {
        let (name, about) = (command.get_name(), about(command));
        let _ = writeln!(page, "| [`emberway {name}`](#emberway-{name}) | {about} |");
    }
    for command in commands() {
        section(&mut page, command.get_name(), command);
    }
    page
}

/// The commands below a command; one that has some takes no flags of its own.
fn verbs(command: &Command) -> Vec<&Command> {
    let verbs = command.get_subcommands();
    verbs.filter(|verb| verb.get_name() != "help").collect()
}

fn about(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

fn section(page: &mut String, name: &str, command: &Command) {
    let _ = write!(
        page,
        "\n## emberway {name}\n\n{}.\n",
        about(command).trim_end_matches('.')
    );
    let verbs = verbs(command);
    if !verbs.is_empty() {
        for verb in verbs {
            section(page, &format!("{name} {}", verb.get_name()), verb);
        }
        return;
    }
    let flags: Vec<&Arg> = command
        .get_arguments()
        .filter(|argument| !argument.is_hide_set() && !matches!(argument.get_id().as_str(), "help" | "version"))
        .collect();
    if flags.is_empty() {
        page.push_str("\nIt takes no flags.\n");
        return;
    }
    page.push_str("\n| flag | default | variable | meaning |\n| --- | --- | --- | --- |\n");
    for flag in flags {
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} |",
            spelling(flag),
            defaults(flag),
            code(flag.get_env().and_then(|name| name.to_str())),
            meaning(flag)
        );
    }
}

/// `-c`, `--config FILE`.
fn spelling(flag: &Arg) -> String {
    let takes_value = flag.get_action().takes_values();
    let value = flag
        .get_value_names()
        .filter(|_| takes_value)
        .and_then(|names| names.first());
    let value = value.map_or_else(String::new, |name| format!(" {name}"));
    if flag.is_positional() {
        return code(Some(value.trim()));
    }
    let long = flag.get_long().map(|long| format!("`--{long}{value}`"));
    let short = flag.get_short().map(|short| format!("`-{short}`"));
    let parts: Vec<String> = short.into_iter().chain(long).collect();
    parts.join(", ")
}

fn defaults(flag: &Arg) -> String {
    if !flag.get_action().takes_values() {
        return String::new();
    }
    let values: Vec<_> = flag
        .get_default_values()
        .iter()
        .map(|value| value.to_string_lossy())
        .collect();
    code(Some(values.join(" ").as_str()).filter(|text| !text.is_empty()))
}

/// The help text and the words that may be given.
fn meaning(flag: &Arg) -> String {
    let help = flag
        .get_help()
        .map(ToString::to_string)
        .unwrap_or_default()
        .replace('\n', " ");
    let words: Vec<String> = flag
        .get_possible_values()
        .iter()
        .map(|value| format!("`{}`", value.get_name()))
        .collect();
    let is_switch = !flag.get_action().takes_values();
    if words.is_empty() || is_switch {
        help
    } else {
        format!("{help}: {}", words.join(", "))
    }
}

fn code(text: Option<&str>) -> String {
    text.map_or_else(String::new, |text| format!("`{text}`"))
}
