//! The data plane of one account: one request in, one response out.
//!
//! The order of checks is the service's, as far as it can be seen: credential, headers, path, body, deployment,
//! fields, content filter, limits. Faults are chosen once the body told deployment and stream; those that answer before the
//! body is read are chosen earlier.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep, sleep_until};

use crate::simulator::admission::{Admission, admit};
use crate::simulator::answer::{Circumstances, plan};
use crate::simulator::body::{Twist, streamed, whole};
use crate::simulator::chance::draw;
use crate::simulator::embedding;
use crate::simulator::engine::Demand;
use crate::simulator::failure::{Failure, Limited};
use crate::simulator::faults::{Action, Target};
use crate::simulator::filters::{Verdict, judge};
use crate::simulator::flight::Flight;
use crate::simulator::head;
use crate::simulator::listener::ConnectionEnd;
use crate::simulator::prompt_cache::PrefixDigest;
use crate::simulator::record::{Ending, Origin};
use crate::simulator::request::{self, Operation, Strictness};
use crate::simulator::route::{self, Route};
use crate::simulator::scenario::DeploymentState;
use crate::simulator::stream::Script;
use crate::simulator::world::{Account, Deployment, World};

/// Longest request body read.
const MAX_BODY_BYTES: usize = 32 * 1024 * 1024;

/// Where a request came in.
#[derive(Debug, Clone)]
pub struct Site {
    /// The world.
    pub world: Arc<World>,
    /// The account whose listener it was.
    pub account: Arc<Account>,
    /// Ends the connection it came on.
    pub connection: Arc<ConnectionEnd>,
}

/// A request being answered.
struct Call {
    site: Site,
    head: Parts,
    number: u64,
    flight: Flight,
}

/// An operation that has passed the front door.
struct Asked {
    operation: Operation,
    name: String,
    fields: Map<String, Value>,
    twist: Twist,
}

/// Answers a request. It never fails: failures are responses, and some faults never answer.
pub async fn serve(site: Site, request: Request<Body>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let flight = Flight::begin(Arc::clone(&site.world), Arc::clone(&site.account));
    let number = site.world.next_number();
    let mut call = Call {
        site,
        head,
        number,
        flight,
    };
    match call.front_door(body).await {
        Err(failure) => call.fail(&failure),
        Ok(Passed::Answered(response)) => call.complete(response),
        Ok(Passed::Asked(asked)) => call.back_office(asked).await,
    }
}

/// What the front door made of a request.
enum Passed {
    /// It is answered.
    Answered(Response<Body>),
    /// It goes to a deployment.
    Asked(Asked),
}

impl Call {
    async fn front_door(&mut self, body: Body) -> Result<Passed, Failure> {
        route::authorize(&self.site.account.spec, &self.head)?;
        route::count_headers(&self.head.headers)?;
        let (operation, named) = match route::find(&self.head)? {
            Route::Operation { operation, deployment } => (operation, deployment),
            Route::Models => return Ok(Passed::Answered(self.models())),
            Route::Model(id) => return self.model(&id).map(Passed::Answered),
        };
        if let Some(Action::Respond(canned)) = self.early_fault(named.as_deref()) {
            self.record(named.as_deref(), &[]);
            sleep(Duration::from_millis(canned.delay_ms)).await;
            return Ok(Passed::Answered(head::canned(&canned, self.common_headers())));
        }
        let body = read_body(&self.head.headers, body).await?;
        let parsed = request::parse_object(&body);
        let in_body = parsed
            .as_ref()
            .ok()
            .and_then(|fields| fields.get("model"))
            .and_then(Value::as_str);
        let name = named.or_else(|| in_body.map(str::to_owned));
        self.record(name.as_deref(), &body);
        let fields = parsed?;
        let name = name.ok_or_else(|| Failure::invalid_request("you must provide a model parameter", None, None))?;

        if let Some(deployment) = self.site.account.deployments.get(&name) {
            self.flight.attach_deployment(Arc::clone(deployment));
        }
        let stream = fields.get("stream").and_then(Value::as_bool).unwrap_or(false);
        let target = Target {
            account: &self.site.account.spec.name,
            deployment: Some(&name),
            stream: Some(stream),
        };
        let twist = match self.site.world.faults.take_after_body(target) {
            None => Twist::None,
            Some(Action::Respond(canned)) => {
                sleep(Duration::from_millis(canned.delay_ms)).await;
                return Ok(Passed::Answered(head::canned(&canned, self.common_headers())));
            }
            Some(action) => self.meet(&action, operation).await?,
        };
        Ok(Passed::Asked(Asked {
            operation,
            name,
            fields,
            twist,
        }))
    }

    /// Carries out the part of a fault that comes before the response head.
    async fn meet(&mut self, action: &Action, operation: Operation) -> Result<Twist, Failure> {
        match action {
            Action::Preset(preset) => {
                let deployment = self.flight.deployment().cloned();
                let limited = self.limited(deployment.as_deref(), operation);
                Err(preset.failure(&limited))
            }
            Action::Delay { ms } => {
                sleep(Duration::from_millis(*ms)).await;
                Ok(Twist::None)
            }
            Action::Hang => {
                self.flight.end(Ending::Faulted);
                std::future::pending().await
            }
            Action::Reset => {
                self.flight.end(Ending::Faulted);
                self.site.connection.reset();
                std::future::pending().await
            }
            other => Ok(Twist::of(other)),
        }
    }

    /// Everything a deployment does.
    async fn back_office(mut self, asked: Asked) -> Response<Body> {
        let (request, deployment) = match self.accept(&asked) {
            Ok(accepted) => accepted,
            Err(failure) => return self.fail(&failure),
        };
        let prefix = match asked.operation {
            Operation::Embeddings => PrefixDigest::default(),
            Operation::Chat | Operation::Completions => {
                PrefixDigest::of(&request.prompt, request.prompt_cache_key.as_deref())
            }
        };
        let choices = request.total_choices();
        let embeds = asked.operation == Operation::Embeddings;
        let demand = Demand {
            prefix,
            prompt_tokens: request.prompt_tokens(),
            output_limit: if embeds {
                Some(0)
            } else {
                request.output_limit.map(|limit| limit.saturating_mul(choices))
            },
            choices,
            number: self.number,
        };
        let began = Instant::now();
        let spill_header = self
            .head
            .headers
            .get(head::SPILLOVER_TO)
            .and_then(|value| value.to_str().ok());
        let admission = match admit(&self.site.world, &self.site.account, &deployment, spill_header, &demand) {
            Ok(admission) => admission,
            Err(refused) => {
                let limited = self.limited(Some(&deployment), asked.operation);
                let failure = Failure::throttled(&refused.throttled, &limited);
                let spilled = refused.spillover_failed;
                let mut response = self.fail(&failure);
                if spilled {
                    response
                        .headers_mut()
                        .insert(head::SPILLOVER_ERROR, HeaderValue::from_static("429"));
                }
                return response;
            }
        };
        if admission.spilled {
            self.flight.attach_deployment(Arc::clone(&admission.deployment));
        }
        self.flight.admitted(demand, admission.admitted);
        self.play(&asked, &request, admission, &deployment, began).await
    }

    /// Waits like a model and answers.
    async fn play(
        mut self,
        asked: &Asked,
        request: &request::Request,
        admission: Admission,
        requested: &Deployment,
        began: Instant,
    ) -> Response<Body> {
        let scenario = &self.site.world.scenario;
        let Admission {
            deployment,
            admitted,
            remaining,
            spilled,
        } = admission;
        let mut headers = self.common_headers();
        if let Some(remaining) = &remaining {
            head::add_limits(&mut headers, remaining, false);
        }
        if spilled {
            headers.insert(head::SPILLOVER_FROM, requested.name_header.clone());
        }
        let answer = (asked.operation != Operation::Embeddings).then(|| {
            let facts = Circumstances {
                seed: scenario.seed,
                number: self.number,
                created: self.site.world.clock.unix_s(),
                model: &deployment.spec.model,
                cached_tokens: admitted.cached_tokens,
            };
            plan(request, judge(&request.prompt), &scenario.engine, &facts)
        });
        let last_token = match &answer {
            Some(answer) if !request.stream => answer.longest_choice(),
            _ => 0,
        };
        wait_until(began, admitted.due(last_token)).await;
        head::add_deployment(&mut headers, &deployment, admitted.machine, began.elapsed());
        self.flight.responded(StatusCode::OK);
        let text = match answer {
            Some(answer) if request.stream => {
                headers.insert(
                    CONTENT_TYPE,
                    HeaderValue::from_static("text/event-stream; charset=utf-8"),
                );
                let script = Script::new(answer, deployment.spec.stream, request.include_usage);
                let body = streamed(script, began, admitted, self.flight, asked.twist);
                return head::respond(StatusCode::OK, headers, body);
            }
            Some(answer) => {
                self.flight.produced(answer.output_tokens(), 0);
                answer.to_json()
            }
            None => embedding::to_json(request, &deployment.spec.model, draw(scenario.seed, "embedding")),
        };
        let (body, length) = whole(text, self.flight, asked.twist);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        head::respond(StatusCode::OK, headers, body)
    }

    /// The request in the deployment's terms, or why it is refused.
    fn accept(&self, asked: &Asked) -> Result<(request::Request, Arc<Deployment>), Failure> {
        let deployment = self
            .site
            .account
            .deployments
            .get(&asked.name)
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
            (Operation::Completions, true) => return Err(Failure::operation_not_supported("completion", model)),
            _ => {}
        }
        let strictness = Strictness {
            refuse_unknown: !route::is_v1(self.head.uri.path()),
            accepts_stream_options: deployment.spec.accepts_stream_options,
        };
        let request = request::read(asked.operation, &asked.fields, strictness)?;
        let tokens = request.prompt_tokens();
        if tokens > deployment.spec.context_tokens {
            return Err(Failure::context_length(deployment.spec.context_tokens, tokens));
        }
        match judge(&request.prompt) {
            Verdict::Prompt(category) => Err(Failure::content_filter(category)),
            Verdict::Safe | Verdict::Answer => Ok((request, Arc::clone(deployment))),
        }
    }

    fn early_fault(&self, deployment: Option<&str>) -> Option<Action> {
        let target = Target {
            account: &self.site.account.spec.name,
            deployment,
            stream: None,
        };
        self.site.world.faults.take_before_body(target)
    }

    fn record(&mut self, deployment: Option<&str>, body: &[u8]) {
        let at_ms = self.site.world.clock.now().as_millis() as u64;
        let origin = Origin {
            number: self.number,
            at_ms,
            account: &self.site.account.spec.name,
            deployment,
        };
        let record = self.site.world.log.open(origin, &self.head, body);
        self.flight.attach_record(record);
    }

    fn limited<'a>(&'a self, deployment: Option<&'a Deployment>, operation: Operation) -> Limited<'a> {
        Limited {
            deployment: deployment.map_or("unknown", |deployment| &deployment.spec.name),
            model: deployment.map_or("unknown", |deployment| &deployment.spec.model),
            region: self.site.account.spec.shown_region(),
            operation: operation.shown(),
            api_version: route::api_version(&self.head).unwrap_or("v1"),
        }
    }

    fn common_headers(&self) -> HeaderMap {
        let echoed = self.head.headers.get(head::CLIENT_REQUEST_ID);
        head::common(&self.site.account, self.site.world.scenario.seed, self.number, echoed)
    }

    fn complete(mut self, response: Response<Body>) -> Response<Body> {
        self.flight.responded(response.status());
        self.flight.end(Ending::Complete);
        response
    }

    fn fail(self, failure: &Failure) -> Response<Body> {
        let mut headers = self.common_headers();
        if failure.status == StatusCode::TOO_MANY_REQUESTS
            && let Some(deployment) = self.flight.deployment()
        {
            let world = &self.site.world;
            let reduction = world
                .faults
                .limit_reduction(&self.site.account.spec.name, &deployment.spec.name);
            if let Some(remaining) = deployment.engine.lock().remaining(world.clock.now(), reduction) {
                head::add_limits(&mut headers, &remaining, true);
            }
        }
        let response = head::failed(failure, headers);
        self.complete(response)
    }

    fn models(&self) -> Response<Body> {
        let mut models: Vec<&str> = self
            .site
            .account
            .deployments
            .values()
            .map(|entry| entry.spec.model.as_str())
            .collect();
        models.sort_unstable();
        models.dedup();
        let data: Vec<Value> = models.into_iter().map(shown_model).collect();
        self.json(&json!({ "object": "list", "data": data }))
    }

    fn model(&self, id: &str) -> Result<Response<Body>, Failure> {
        let known = self
            .site
            .account
            .deployments
            .values()
            .any(|entry| entry.spec.model == id);
        if known {
            Ok(self.json(&shown_model(id)))
        } else {
            Err(Failure::resource_not_found())
        }
    }

    fn json(&self, body: &Value) -> Response<Body> {
        let mut headers = self.common_headers();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        head::respond(StatusCode::OK, headers, Body::from(body.to_string()))
    }
}

fn shown_model(id: &str) -> Value {
    let embeds = id.contains("embedding");
    json!({
        "id": id, "object": "model", "status": "succeeded", "lifecycle_status": "generally-available",
        "created_at": 1_744_600_000, "updated_at": 1_744_600_000, "deprecation": {},
        "capabilities": { "chat_completion": !embeds, "completion": false, "embeddings": embeds, "inference": true, "fine_tune": false },
    })
}

async fn read_body(headers: &HeaderMap, body: Body) -> Result<Bytes, Failure> {
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > MAX_BODY_BYTES) {
        return Err(Failure::body_too_large());
    }
    // The other way to fail is a connection that broke, where nobody reads the answer.
    to_bytes(body, MAX_BODY_BYTES)
        .await
        .map_err(|_| Failure::body_too_large())
}

async fn wait_until(began: Instant, due: Duration) {
    if !due.is_zero() {
        sleep_until(began + due).await;
    }
}
