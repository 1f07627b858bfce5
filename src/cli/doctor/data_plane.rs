//! What does a resource answer to its credential?
//!
//! The list of models is asked for, which costs nothing and reaches no model; its answer also tells the clock and whether the API version
//! is known. A deployment can be asked only by a request to its model: that is done with `--call`, and said what it costs.

use std::time::Instant;

use http::header;
use reqwest::Response;
use serde_json::{Value, json};

use crate::azure::transport::Http;
use crate::cli::doctor::Patient;
use crate::cli::doctor::report::{Finding, Group};
use crate::cli::doctor::verdicts::{self, Answered, Called};
use crate::config::checked::Credential;
use crate::core::topology::{ApiForm, Deployment, Resource, ResourceIx};
use crate::fleet::connect;
use crate::openai::azure::{classic_path, v1_path};
use crate::openai::error as wire_error;
use crate::openai::target::WireOperation;
use crate::telemetry::clock;

/// Output tokens of a call at most.
const CALL_TOKENS_MAX: u32 = 16;
/// Most that is read of an answer; a list of models is some 100 KB.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Asks a resource, and with `--call` each of its deployments.
pub(super) async fn check(patient: &Patient, at: ResourceIx) -> Vec<Finding> {
    let snapshot = &patient.checked.runtime.snapshot;
    let resource = &snapshot.resources[at.0];
    let login = match login(patient, at).await {
        Ok(login) => login,
        Err(finding) => return vec![finding],
    };
    let url = models_url(resource);
    let mut findings = match get(patient, &url, &login).await {
        Ok(answered) => verdicts::of_resource(resource, &answered, clock::now_ms()),
        Err(why) => vec![Finding::fail(
            Group::Requests,
            &**resource.id,
            format!("no answer to its list of models: {why}"),
            "look what stands between this machine and the resource",
        )],
    };
    let declared = &patient.checked.runtime.care.deployments;
    let own = snapshot.deployments.iter().zip(declared);
    for (deployment, declared) in own.filter(|(deployment, _)| deployment.resource == at) {
        findings.push(if let Some(skipped) = verdicts::without_chat(deployment, declared) {
            skipped
        } else if patient.call {
            called(patient, resource, deployment, &login).await
        } else {
            let what = "not called; `--call` sends one tiny chat, which is billed";
            Finding::skipped(Group::Requests, &**deployment.id, what)
        });
    }
    findings
}

/// The header that logs in.
async fn login(patient: &Patient, at: ResourceIx) -> Result<(header::HeaderName, String), Finding> {
    let checked = &patient.checked;
    let name = &checked.runtime.snapshot.resources[at.0].id;
    let wrong = |what: String, mend: &str| Finding::fail(Group::Requests, &***name, what, mend);
    match &checked.runtime.credentials[at.0] {
        Credential::ApiKey(key) => Ok((header::HeaderName::from_static("api-key"), key.expose().to_owned())),
        Credential::Bearer(token) => Ok((header::AUTHORIZATION, format!("Bearer {}", token.expose()))),
        Credential::Entra(login) => {
            let Some(azure) = &checked.install.azure else {
                return Err(wrong(
                    "has `entra`, but there is no `azure`".to_owned(),
                    "configure `azure.credential`",
                ));
            };
            let tenant = login.tenant.as_ref();
            let known = azure
                .tenants
                .iter()
                .find(|known| tenant.is_some_and(|tenant| known.tenant.eq_ignore_ascii_case(tenant)));
            let credential = known.map_or(&azure.credential, |known| &known.credential);
            let http = Http::new(azure.ca.as_deref()).map_err(|error| wrong(error.to_string(), error.advice()))?;
            let tokens =
                connect::tokens(azure, credential, &http).map_err(|error| wrong(error.to_string(), error.advice()))?;
            let asked = tokio::time::timeout(patient.timeout, tokens.token(&login.audience)).await;
            let token = asked
                .map_err(|_elapsed| {
                    wrong(
                        format!("no token for `{}` in time", login.audience),
                        "look at the way to Microsoft Entra ID",
                    )
                })?
                .map_err(|error| wrong(format!("no token for `{}`: {error}", login.audience), error.advice()))?;
            Ok((header::AUTHORIZATION, format!("Bearer {}", token.expose())))
        }
    }
}

fn base_url(resource: &Resource) -> String {
    let endpoint = &resource.endpoint;
    let scheme = if endpoint.tls { "https" } else { "http" };
    format!("{scheme}://{}", endpoint.authority)
}

fn models_url(resource: &Resource) -> String {
    let base = format!("{}{}", base_url(resource), resource.endpoint.base_path);
    match &resource.api {
        ApiForm::Classic { api_version } => format!("{base}/openai/models?api-version={api_version}"),
        ApiForm::V1 => format!("{base}/openai/v1/models"),
    }
}

async fn get(patient: &Patient, url: &str, login: &(header::HeaderName, String)) -> Result<Answered, String> {
    let request = patient.http.get(url).header(&login.0, &login.1);
    answered(request.send().await).await
}

/// Reads an answer up to a bound.
async fn answered(sent: reqwest::Result<Response>) -> Result<Answered, String> {
    let why = |error: reqwest::Error| crate::cli::output::chain(&anyhow::Error::new(error.without_url()));
    let mut response = sent.map_err(why)?;
    let text = |name: &str| {
        response
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned)
    };
    let mut answered = Answered {
        status: response.status().as_u16(),
        date: text("date"),
        limit_tokens: text("x-ratelimit-limit-tokens").and_then(|limit| limit.parse().ok()),
        body: Vec::new(),
    };
    while let Some(chunk) = response.chunk().await.map_err(why)? {
        if answered.body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err("an answer that is larger than any list of models".to_owned());
        }
        answered.body.extend_from_slice(&chunk);
    }
    Ok(answered)
}

/// Sends a deployment one tiny chat.
async fn called(
    patient: &Patient,
    resource: &Resource,
    deployment: &Deployment,
    login: &(header::HeaderName, String),
) -> Finding {
    let path = match &resource.api {
        ApiForm::Classic { api_version } => classic_path(
            &resource.endpoint.base_path,
            &deployment.name,
            WireOperation::Chat,
            api_version,
        ),
        ApiForm::V1 => v1_path(&resource.endpoint.base_path, WireOperation::Chat),
    };
    let url = format!("{}{path}", base_url(resource));
    let began = Instant::now();
    let mut outcome = Err(String::new());
    // Older models know the second word only.
    for bound in ["max_completion_tokens", "max_tokens"] {
        let body = json!({
            "model": deployment.name,
            "messages": [{ "role": "user", "content": "ping" }],
            bound: CALL_TOKENS_MAX,
        });
        let request = patient.http.post(&url).header(&login.0, &login.1).json(&body);
        outcome = answered(request.send().await).await;
        let is_refused =
            |answered: &Answered| answered.status == 400 && wire_error::read(&answered.body).refuses_member(bound);
        if !outcome.as_ref().is_ok_and(is_refused) {
            break;
        }
    }
    let called = Called {
        took_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        usage: outcome.as_ref().ok().and_then(usage),
        outcome,
    };
    verdicts::of_call(deployment, &called)
}

/// Prompt and completion tokens of an answer.
fn usage(answered: &Answered) -> Option<(u64, u64)> {
    let body: Value = serde_json::from_slice(&answered.body).ok()?;
    let of = |name: &str| body["usage"][name].as_u64();
    Some((of("prompt_tokens")?, of("completion_tokens")?))
}
