//! Row 4: the Azure CLI's flags, and what `--dry-run` prints, which curl really sends: the four samples of Azure's documentation.

use std::path::Path;

use tokio::process::Command;

use super::Row;
use super::creation::desk;
use crate::clients::fleet::interpreter;
use crate::harness::desk::{Desk, MODEL, NANO, PARTNERS_TOKEN, THEIRS, TOKEN, account, create};
use crate::harness::{eventually, within};

/// The flags of `az cognitiveservices account deployment create`, in its order.
const AZ_FLAGS: &[&str] = &[
    "deployment",
    "create",
    "--resource-group",
    "emberway-sim",
    "--name",
    "home",
    "--deployment-name",
    "flags",
    "--model-name",
    MODEL,
    "--model-version",
    "1",
    "--model-format",
    "OpenAI",
    "--sku-capacity",
    "1",
    "--sku-name",
    "Standard",
];

pub(super) async fn equivalents(row: Row) {
    let desk = desk().await;
    let dry = [AZ_FLAGS, &["--dry-run"]].concat();
    let az = "az cognitiveservices account deployment create";
    row.said(
        &dry,
        &desk.run(&dry).await,
        0,
        &["curl -X PUT", az, "--sku-name Standard"],
    );
    row.said(AZ_FLAGS, &desk.run(AZ_FLAGS).await, 0, &["Succeeded"]);
    let alias = [
        &create("home", "alias", MODEL)[..],
        &["--sku", "standard", "--capacity", "1", "--dry-run"],
    ]
    .concat();
    row.said(
        &alias,
        &desk.run(&alias).await,
        0,
        &[r#""sku":{"name":"Standard","capacity":1}"#],
    );
    let curl = match interpreter("EMBERWAY_TEST_CURL", Path::new("curl"), &["--version"]).await {
        Ok(curl) => curl,
        Err(reason) => return row.skipped("curl", &reason),
    };
    samples(&row, &desk, &curl).await;
}

/// The four samples of Azure's documentation: create, from another region, from another tenant, delete.
async fn samples(row: &Row, desk: &Desk, curl: &Path) {
    let (trainer, partner) = (account("trainer"), account("partner"));
    let version = ["--api-version", "2024-10-21", "--dry-run"];
    let plain = [&create("home", "plain", MODEL)[..], &version].concat();
    let region = [
        &create("home", "region", NANO)[..],
        &["--model-source", &trainer],
        &version,
    ]
    .concat();
    let tenant = [
        &create("home", "tenant", THEIRS)[..],
        &[
            "--source-account",
            &partner,
            "--auxiliary-tenant",
            "partner.example",
            "--dry-run",
        ],
    ]
    .concat();
    let delete = [
        &["deployment", "delete", "-n", "home", "--deployment-name", "plain"][..],
        &version,
    ]
    .concat();
    for (command, status, has) in [
        (plain, "201", true),
        (region, "201", true),
        (tenant, "201", true),
        (delete, "202", false),
    ] {
        let at = command
            .iter()
            .position(|word| *word == "--deployment-name")
            .expect("a name");
        let name = command[at + 1];
        let answered = execute(desk, curl, &command).await;
        assert_eq!(answered, status, "{command:?}");
        settled(desk, name, has).await;
        let end = if has { "made" } else { "deleted" };
        row.held(
            &format!("emberway {}, and its curl line by a shell", command.join(" ")),
            &format!("HTTP {answered}; deployment '{name}' is {end}"),
        );
    }
}

/// Has a shell run the curl line that a dry run prints, with the variables that it names; the status that came back.
async fn execute(desk: &Desk, curl: &Path, command: &[&str]) -> String {
    let said = desk.run(command).await;
    let from = said.find("curl -X").unwrap_or_else(|| panic!("{said}"));
    let to = said[from..].find("\n\n").expect("its end");
    let program = curl.to_str().expect("UTF-8");
    let line = said[from..from + to].replacen(
        "curl ",
        &format!("{program} -sS --fail-with-body --noproxy '*' -o /dev/null -w '%{{http_code}}' "),
        1,
    );
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &line])
        .env("TOKEN", TOKEN)
        .env("AUXILIARY_TOKEN", PARTNERS_TOKEN);
    let output = within("curl", shell.kill_on_drop(true).output())
        .await
        .expect("a shell");
    assert!(output.status.success(), "{line}\n{output:?}");
    String::from_utf8(output.stdout).expect("a status")
}

/// Waits until the simulator has this deployment, or has it no longer.
async fn settled(desk: &Desk, name: &str, is_there: bool) {
    eventually("its operation's end", || async {
        let status = desk.status();
        let found = status.deployments.iter().find(|one| one.name == name);
        let is_done = found.is_some_and(|one| one.state == "Succeeded");
        (is_done == is_there && status.under_way.is_empty()).then_some(())
    })
    .await;
}
