//! One request on a client's connection: its head is read, it is answered, recorded, and the connection kept for the next one.
//!
//! This is pingora's [`HttpServerApp`], called for every request of an HTTP/1.1 connection in turn and for every HTTP/2 stream.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use pingora::ErrorType;
use pingora::apps::{HttpPersistentSettings, HttpServerApp, HttpServerOptions, ReusedHttpStream};
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::H2Options;
use pingora::server::ShutdownWatch;

use crate::proxy::activity::{Phase, Running};
use crate::proxy::context::RequestContext;
use crate::proxy::error::ProxyError;
use crate::proxy::{Gateway, finish, handler, reply};
use crate::telemetry::clock;
use crate::telemetry::events::process::{CutEnd, RequestCutOff};

/// How long a stream has to say its last words when the time for running requests is over.
const LAST_WORDS: Duration = Duration::from_millis(250);

/// How long a connection that was accepted just before its listener closed has for its request's head.
pub const LAST_MOMENT: Duration = Duration::from_secs(1);

/// How long a connection may be idle between two requests; pingora ends it then.
const IDLE_MAX: Duration = Duration::from_mins(1);

/// Marks a connection that has had a request, for the next one.
struct Used;

/// What pingora calls for each request of one listener.
pub struct Server {
    /// What all requests share.
    pub gateway: Arc<Gateway>,
    /// Bounds on connections.
    pub options: HttpServerOptions,
    /// Bounds on HTTP/2 connections.
    pub h2: H2Options,
}

/// A request's facts and its place among the running ones.
struct PerRequest {
    facts: RequestContext,
    gateway: Arc<Gateway>,
    _running: Running,
}

impl PerRequest {
    fn new(gateway: &Arc<Gateway>) -> Self {
        Self {
            facts: RequestContext::new(Instant::now(), clock::now_ms()),
            gateway: Arc::clone(gateway),
            _running: gateway.activity.enter(),
        }
    }
}

impl Drop for PerRequest {
    /// A request whose future is dropped (its connection's task was ended) is recorded all the same.
    fn drop(&mut self) {
        finish::finish(&self.gateway, &mut self.facts);
    }
}

#[async_trait]
impl HttpServerApp for Server {
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        _shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        if !self.has_request(&mut session).await {
            return None;
        }
        let activity = &self.gateway.activity;
        if activity.phase() > Phase::Serving {
            session.set_keepalive(None);
        }
        // Boxed, so that a connection that waits for its next request does not hold the room for answering one.
        if !Box::pin(self.serve(&mut session)).await {
            return None;
        }
        if activity.phase() == Phase::Closing {
            // It began to close meanwhile; nobody would wake the connection any more.
            session.set_keepalive(None);
        }
        let mut settings = HttpPersistentSettings::for_session(&session);
        settings.set_user_context(Box::new(Used));
        // A connection that fails here had its answer already, and is closed.
        let stream = session.finish().await.ok().flatten()?;
        Some(ReusedHttpStream::from_reusable_stream(stream, settings))
    }

    fn h2_options(&self) -> Option<H2Options> {
        Some(self.h2.clone())
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        Some(&self.options)
    }
}

impl Server {
    /// Waits for a request's head, within `limits.head_time`. False where none came: the client closed, sent no HTTP or was too slow, or
    /// the gateway stops.
    async fn has_request(&self, session: &mut ServerSession) -> bool {
        let is_used = session.take_connection_user_context().is_some();
        let head_time = self.gateway.live.load().config.runtime.limits.head_time;
        let activity = &self.gateway.activity;
        let limit = if activity.phase() == Phase::Closing {
            head_time.min(LAST_MOMENT)
        } else if is_used {
            IDLE_MAX + head_time
        } else {
            head_time
        };
        let read = tokio::select! {
            biased;
            read = tokio::time::timeout(limit, session.read_request()) => read,
            () = activity.begins_to_close() => return false,
        };
        match read {
            Ok(Ok(has_come)) => has_come,
            // Whether part of a head has come is not known, so nothing is said: to a connection that is only idle it would be an answer
            // to its next request.
            Err(_) => {
                session.shutdown().await;
                false
            }
            Ok(Err(error)) => {
                if *error.etype() == ErrorType::InvalidHTTPHeader {
                    reply::refuse_head(&self.gateway, session).await;
                }
                session.shutdown().await;
                false
            }
        }
    }

    /// Answers the request and records it. False where the connection cannot be used again.
    async fn serve(&self, session: &mut ServerSession) -> bool {
        let mut request = PerRequest::new(&self.gateway);
        let cut_off = std::pin::pin!(async {
            self.gateway.activity.is_cut_off().await;
            tokio::time::sleep(LAST_WORDS).await;
        });
        let answered = tokio::select! {
            biased;
            answered = handler::handle(&self.gateway, session, &mut request.facts) => Some(answered),
            () = cut_off => None,
        };
        let is_usable = match answered {
            Some(answered) => answered.is_ok(),
            // Boxed, since it is large and seldom needed.
            None => Box::pin(self.cut_off(session, &mut request.facts)).await,
        };
        finish::finish_waiting(&self.gateway, &mut request.facts).await;
        is_usable
    }

    fn told_cut_off(&self, facts: &RequestContext, end: CutEnd) {
        let request_id = &facts.id;
        RequestCutOff { request_id, end }.emit(&self.gateway.metrics);
    }

    /// Ends a request whose time is over. One without an answer gets a refusal.
    async fn cut_off(&self, session: &mut ServerSession, facts: &mut RequestContext) -> bool {
        session.set_keepalive(None);
        facts.cut_off();
        if facts.first_byte.is_some() {
            self.told_cut_off(facts, CutEnd::ConnectionClosed);
            return false;
        }
        self.told_cut_off(facts, CutEnd::Refused);
        reply::refuse(&self.gateway, session, facts, ProxyError::Stopping)
            .await
            .is_ok()
    }
}
