//! The front door of an account's data plane: one request in, one response out.
//!
//! Checks what needs no deployment, in the service's order: credential, headers, path, body. `operation` does the
//! rest. Faults are chosen once the body told deployment and stream; those that answer before the
//! body is read are chosen earlier.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use serde_json::{Map, Value};
use tokio::time::sleep;

use crate::simulator::body::Twist;
use crate::simulator::failure::{Failure, Limited};
use crate::simulator::faults::{Action, Target};
use crate::simulator::fine_tuning::{self, Page};
use crate::simulator::flight::Flight;
use crate::simulator::head;
use crate::simulator::listener::ConnectionEnd;
use crate::simulator::models;
use crate::simulator::operation::perform;
use crate::simulator::record::{Ending, Origin};
use crate::simulator::request::{self, Operation};
use crate::simulator::route::{self, Route};
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
pub(super) struct Call {
    pub(super) site: Site,
    pub(super) head: Parts,
    pub(super) number: u64,
    pub(super) flight: Flight,
}

/// An operation that has passed the front door.
pub(super) struct Asked {
    pub(super) operation: Operation,
    pub(super) name: String,
    pub(super) fields: Map<String, Value>,
    pub(super) twist: Twist,
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
        Ok(Passed::Asked(asked)) => perform(call, asked).await,
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
        self.site.world.settle();
        self.authorize()?;
        route::count_headers(&self.head.headers)?;
        let (operation, named) = match route::find(&self.head)? {
            Route::Operation { operation, deployment } => (operation, deployment),
            Route::FineTuning(asked) => {
                let page = Page {
                    limit: route::parameter(&self.head, "limit").and_then(|text| text.parse().ok()),
                    after: route::parameter(&self.head, "after").map(str::to_owned),
                };
                let answer = fine_tuning::answer(&self.site.account.spec, &asked, &page);
                return Ok(Passed::Answered(
                    self.json(&answer.ok_or_else(Failure::resource_not_found)?),
                ));
            }
            Route::Models => return Ok(Passed::Answered(self.json(&models::list(&self.site.account)))),
            Route::Model(id) => {
                let model = models::one(&self.site.account, &id).ok_or_else(Failure::resource_not_found)?;
                return Ok(Passed::Answered(self.json(&model)));
            }
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

        if let Some(deployment) = self.site.account.deployment(&name) {
            self.flight.attach_deployment(deployment);
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

    /// Checks the credential: a key or token of the scenario, or else a token of Entra ID.
    fn authorize(&self) -> Result<(), Failure> {
        let Site { world, account, .. } = &self.site;
        let refused = match route::authorize(&account.spec, &self.head) {
            Ok(()) => return Ok(()),
            Err(refused) => refused,
        };
        match (&world.arm, route::bearer(&self.head.headers)) {
            (Some(arm), Some(token)) if route::is_jwt(token) => {
                arm.admit(&account.spec.name, token, &self.head.method, world.clock.unix_s())
            }
            _ => Err(refused),
        }
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

    pub(super) fn limited<'a>(&'a self, deployment: Option<&'a Deployment>, operation: Operation) -> Limited<'a> {
        Limited {
            deployment: deployment.map_or("unknown", |deployment| &deployment.spec.name),
            model: deployment.map_or("unknown", |deployment| &deployment.spec.model),
            region: self.site.account.spec.shown_region(),
            operation: operation.shown(),
            api_version: route::api_version(&self.head).unwrap_or("v1"),
        }
    }

    pub(super) fn common_headers(&self) -> HeaderMap {
        let echoed = self.head.headers.get(head::CLIENT_REQUEST_ID);
        head::common(&self.site.account, self.site.world.scenario.seed, self.number, echoed)
    }

    fn complete(mut self, response: Response<Body>) -> Response<Body> {
        if !self.flight.has_record() {
            // Answered before its body was read: refused at the front door, or a list of models.
            self.record(None, &[]);
        }
        self.flight.responded(response.status());
        self.flight.end(Ending::Complete);
        response
    }

    pub(super) fn fail(self, failure: &Failure) -> Response<Body> {
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

    fn json(&self, body: &Value) -> Response<Body> {
        let mut headers = self.common_headers();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        head::respond(StatusCode::OK, headers, Body::from(body.to_string()))
    }
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
