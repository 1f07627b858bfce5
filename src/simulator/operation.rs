//! One operation at one deployment: is the request acceptable, is there room, and what goes back when?
//!
//! The half of the data plane behind the front door. The order of checks is the service's: state of the deployment,
//! kind of model, fields, length, content filter, limits.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use tokio::time::{Instant, sleep_until};

use crate::simulator::admission::{Admission, admit};
use crate::simulator::answer::{Answer, Circumstances, plan};
use crate::simulator::body::{Events, streamed, whole};
use crate::simulator::chance::draw;
use crate::simulator::data_plane::{Asked, Call};
use crate::simulator::embedding;
use crate::simulator::engine::Demand;
use crate::simulator::failure::Failure;
use crate::simulator::filters::{Verdict, judge};
use crate::simulator::head;
use crate::simulator::prompt_cache::PrefixDigest;
use crate::simulator::request::{self, Operation, Request, Strictness};
use crate::simulator::responses::shape::{self, Stage};
use crate::simulator::responses::stream::ResponseScript;
use crate::simulator::route;
use crate::simulator::scenario::DeploymentState;
use crate::simulator::stream::Script;
use crate::simulator::world::Deployment;

/// A request that its deployment understands.
struct Accepted {
    request: Request,
    deployment: Arc<Deployment>,
    verdict: Verdict,
}

/// Does what was asked, or says why not.
pub(super) async fn perform(mut call: Call, asked: Asked) -> Response<Body> {
    let accepted = match accept(&call, &asked) {
        Ok(accepted) => accepted,
        Err(failure) => return call.fail(&failure),
    };
    let demand = demand_of(&accepted.request, call.number);
    let began = Instant::now();
    let spill_header = call
        .head
        .headers
        .get(head::SPILLOVER_TO)
        .and_then(|value| value.to_str().ok());
    let admission = match admit(
        &call.site.world,
        &call.site.account,
        &accepted.deployment,
        spill_header,
        &demand,
    ) {
        Ok(admission) => admission,
        Err(refused) => {
            let limited = call.limited(Some(&accepted.deployment), asked.operation);
            let failure = Failure::throttled(&refused.throttled, &limited);
            let mut response = call.fail(&failure);
            if refused.spillover_failed {
                response
                    .headers_mut()
                    .insert(head::SPILLOVER_ERROR, HeaderValue::from_static("429"));
            }
            return response;
        }
    };
    if admission.spilled {
        call.flight.attach_deployment(Arc::clone(&admission.deployment));
    }
    call.flight.admitted(demand, admission.admitted);
    play(call, &asked, &accepted, admission, began).await
}

fn demand_of(request: &Request, number: u64) -> Demand {
    let choices = request.total_choices();
    let embeds = request.operation == Operation::Embeddings;
    Demand {
        prefix: if embeds {
            PrefixDigest::default()
        } else {
            PrefixDigest::of(&request.prompt, request.prompt_cache_key.as_deref())
        },
        prompt_tokens: request.prompt_tokens(),
        output_limit: if embeds {
            Some(0)
        } else {
            request.output_limit.map(|limit| limit.saturating_mul(choices))
        },
        choices,
        number,
    }
}

/// Waits like a model and answers.
async fn play(
    mut call: Call,
    asked: &Asked,
    accepted: &Accepted,
    admission: Admission,
    began: Instant,
) -> Response<Body> {
    let scenario = &call.site.world.scenario;
    let request = &accepted.request;
    let Admission {
        deployment,
        admitted,
        remaining,
        spilled,
    } = admission;
    let mut headers = call.common_headers();
    if let Some(remaining) = &remaining {
        head::add_limits(&mut headers, remaining, false);
    }
    if spilled {
        headers.insert(head::SPILLOVER_FROM, accepted.deployment.name_header.clone());
    }
    let answer = (asked.operation != Operation::Embeddings).then(|| {
        let facts = Circumstances {
            seed: scenario.seed,
            number: call.number,
            created: call.site.world.clock.unix_s(),
            model: &deployment.spec.model,
            cached_tokens: admitted.cached_tokens,
        };
        plan(request, accepted.verdict, &scenario.engine, &facts)
    });
    if let Some(answer) = &answer {
        keep(&call, request, answer);
    }
    let last_token = match &answer {
        Some(answer) if !request.stream => answer.longest_choice(),
        _ => 0,
    };
    wait_until(began, admitted.due(last_token)).await;
    head::add_deployment(&mut headers, &deployment, admitted.machine, began.elapsed());
    call.flight.responded(StatusCode::OK);
    let text = match answer {
        Some(answer) if request.stream => {
            headers.insert(
                CONTENT_TYPE,
                HeaderValue::from_static("text/event-stream; charset=utf-8"),
            );
            let events = events_of(answer, request, &deployment);
            let body = streamed(events, began, admitted, call.flight, asked.twist);
            return head::respond(StatusCode::OK, headers, body);
        }
        Some(answer) => {
            call.flight.produced(answer.output_tokens(), 0);
            match request.response.as_deref() {
                Some(asked) => shape::response(&answer, asked, Stage::Ended).to_string(),
                None => answer.to_json(),
            }
        }
        None => embedding::to_json(request, &deployment.spec.model, draw(scenario.seed, "embedding")),
    };
    let (body, length) = whole(text, call.flight, asked.twist);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    head::respond(StatusCode::OK, headers, body)
}

fn events_of(answer: Answer, request: &Request, deployment: &Deployment) -> Events {
    let spec = deployment.spec.stream;
    match request.response.as_deref() {
        Some(asked) => Events::Response(ResponseScript::new(answer, asked.clone(), spec.tokens_per_chunk)),
        None => Events::Chunks(Script::new(answer, spec, request.include_usage)),
    }
}

/// Keeps a response's conversation with its answer, so that it can be continued.
fn keep(call: &Call, request: &Request, answer: &Answer) {
    let Some(asked) = request.response.as_deref().filter(|asked| asked.store) else {
        return;
    };
    let said = format!("assistant\n{}\n", shape::text(answer));
    let conversation = [&request.prompt[asked.head_bytes..], said.as_bytes()].concat();
    call.site.account.responses.lock().keep(&answer.id, conversation);
}

/// Puts the conversation that a response continues where it belongs in the prompt.
fn recall(call: &Call, request: &mut Request) -> Result<(), Failure> {
    let Some(asked) = request.response.as_deref() else {
        return Ok(());
    };
    let Some(id) = &asked.continues else { return Ok(()) };
    let earlier = call.site.account.responses.lock().conversation(id);
    let earlier = earlier.ok_or_else(|| Failure::previous_response_not_found(id))?;
    let at = asked.head_bytes;
    request.prompt.splice(at..at, earlier.iter().copied());
    Ok(())
}

/// The request in the deployment's terms, or why it is refused.
fn accept(call: &Call, asked: &Asked) -> Result<Accepted, Failure> {
    let deployment = call
        .site
        .account
        .deployment(&asked.name)
        .ok_or_else(Failure::deployment_not_found)?;
    match deployment.spec.state {
        DeploymentState::Ok => {}
        DeploymentState::Paused => return Err(Failure::paused()),
        DeploymentState::Deleted => return Err(Failure::deployment_not_found()),
        DeploymentState::Retired => return Err(Failure::model_retired()),
    }
    let model = &deployment.spec.model;
    match (asked.operation, model.contains("embedding")) {
        (Operation::Embeddings, false) => return Err(Failure::operation_not_supported("embeddings", model)),
        (Operation::Chat, true) => return Err(Failure::operation_not_supported("chatCompletion", model)),
        (Operation::Responses, true) => return Err(Failure::operation_not_supported("responses", model)),
        (Operation::Completions, true) => return Err(Failure::operation_not_supported("completion", model)),
        _ => {}
    }
    let strictness = Strictness {
        refuse_unknown: !route::is_v1(call.head.uri.path()),
        accepts_stream_options: deployment.spec.accepts_stream_options,
    };
    let mut request = request::read(asked.operation, &asked.fields, strictness)?;
    recall(call, &mut request)?;
    let tokens = request.prompt_tokens();
    if tokens > deployment.spec.context_tokens {
        return Err(Failure::context_length(deployment.spec.context_tokens, tokens));
    }
    match judge(&request.prompt) {
        Verdict::Prompt(category) => Err(Failure::content_filter(category)),
        verdict => Ok(Accepted {
            request,
            deployment,
            verdict,
        }),
    }
}

async fn wait_until(began: Instant, due: Duration) {
    if !due.is_zero() {
        sleep_until(began + due).await;
    }
}
