//! What an authenticated call gets: resources read, lists page by page, writes with the headers of their operations.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};

use crate::simulator::arm::checks::{Caller, Callers};
use crate::simulator::arm::error::ArmError;
use crate::simulator::arm::http::Asked;
use crate::simulator::arm::lists;
use crate::simulator::arm::operation::{Kind, Operation, Status};
use crate::simulator::arm::path::{AccountId, Part, Target, parameter};
use crate::simulator::arm::plane::Plane;
use crate::simulator::arm::principals::Action;
use crate::simulator::arm::settings::SubscriptionSpec;
use crate::simulator::arm::wanted;
use crate::simulator::arm::writes::{Place, Taken};

/// Where the next page begins.
const SKIP: &str = "$skipToken";
/// The first version that shows pauses.
const PAUSES_FROM: &str = "2025-10-01-preview";

/// What goes back.
#[derive(Debug)]
pub struct Answer {
    /// Status code.
    pub status: StatusCode,
    /// Body.
    pub body: Option<Value>,
    /// Headers of its own.
    pub headers: HeaderMap,
}

/// A call of a subscription.
pub struct Call<'a> {
    /// The control plane.
    pub plane: &'a Plane,
    /// The request.
    pub asked: &'a Asked,
    /// The subscription.
    pub subscription: &'a str,
    /// Its version.
    pub version: &'a str,
    /// Whose it is.
    pub callers: &'a Callers,
}

/// The subscriptions of a caller's tenant.
pub fn subscriptions(plane: &Plane, caller: &Caller) -> Answer {
    let all = plane.settings.all_subscriptions().into_iter();
    let own = all.filter(|spec| spec.tenant.eq_ignore_ascii_case(&caller.tenant));
    let listed: Vec<Value> = own.map(|spec| shown_subscription(&spec)).collect();
    Answer::new(StatusCode::OK, Some(json!({ "value": listed })))
}

/// One of them.
///
/// # Errors
/// 404 when there is none.
pub fn subscription(plane: &Plane, caller: &Caller, id: &str) -> Result<Answer, ArmError> {
    let mut all = plane.settings.all_subscriptions().into_iter();
    let found = all.find(|spec| spec.id.eq_ignore_ascii_case(id) && spec.tenant.eq_ignore_ascii_case(&caller.tenant));
    let found = found.ok_or_else(|| ArmError::no_subscription(id))?;
    Ok(Answer::new(StatusCode::OK, Some(shown_subscription(&found))))
}

fn shown_subscription(spec: &SubscriptionSpec) -> Value {
    let SubscriptionSpec { id, tenant } = spec;
    json!({
        "id": format!("/subscriptions/{id}"), "subscriptionId": id, "tenantId": tenant, "displayName": "Emberway simulator",
        "state": "Enabled", "authorizationSource": "RoleBased", "managedByTenants": [],
        "subscriptionPolicies": { "locationPlacementId": "Public_2014-09-01", "quotaId": "PayAsYouGo_2014-09-01", "spendingLimit": "Off" },
    })
}

/// The tenants of this world.
pub fn tenants(plane: &Plane) -> Answer {
    let mut ids: Vec<String> = plane
        .settings
        .all_subscriptions()
        .into_iter()
        .map(|spec| spec.tenant)
        .collect();
    ids.sort_unstable();
    ids.dedup();
    let shown = |id: String| json!({ "id": format!("/tenants/{id}"), "tenantId": id, "tenantCategory": "Home", "displayName": "Emberway simulator", "countryCode": "SE" });
    Answer::new(
        StatusCode::OK,
        Some(json!({ "value": ids.into_iter().map(shown).collect::<Vec<_>>() })),
    )
}

impl Call<'_> {
    /// Answers it.
    ///
    /// # Errors
    /// When it is refused.
    pub fn answer(&self, target: &Target) -> Result<Answer, ArmError> {
        let (plane, now_ms) = (self.plane, self.asked.now_ms);
        let whole = format!("/subscriptions/{}", self.subscription);
        if let Target::Account { group, account, part } = target {
            return self.of_account(group, account, part);
        }
        if self.asked.head.method != Method::GET {
            return Err(ArmError::wrong_method(self.asked.head.method.as_str()));
        }
        match target {
            Target::Accounts(group) => {
                let group = group.as_deref();
                let scope = group.map_or_else(|| whole.clone(), |group| format!("{whole}/resourceGroups/{group}"));
                self.require(Action::Read, &scope)?;
                group.map_or(Ok(()), |group| self.group_exists(group))?;
                let own = plane.accounts.iter().filter(|managed| {
                    managed.subscription.eq_ignore_ascii_case(self.subscription)
                        && group.is_none_or(|group| managed.group.eq_ignore_ascii_case(group))
                });
                Ok(self.page(own.map(|managed| lists::account(managed, now_ms)).collect()))
            }
            Target::Models(location) => {
                self.require(Action::Read, &whole)?;
                Ok(self.page(plane.location_models(location, now_ms)))
            }
            Target::Usages(location) => {
                self.require(Action::ReadQuota, &whole)?;
                Ok(self.page(plane.usages(self.subscription, location)))
            }
            Target::Capacities(location) => {
                self.require(Action::Read, &whole)?;
                let asked = |name: &str| {
                    let missing = || ArmError::invalid_content(&format!("The query parameter '{name}' is required"));
                    parameter(&self.asked.head, name).ok_or_else(missing)
                };
                let (name, version) = (asked("modelName")?, asked("modelVersion")?);
                asked("modelFormat")?;
                let listed = plane.capacities(self.subscription, location.as_deref(), (&name, &version));
                Ok(self.page(listed))
            }
            Target::OperationStatus(id) => self.operation(id, false),
            Target::OperationResult(id) => self.operation(id, true),
            Target::Subscription | Target::Account { .. } => Err(ArmError::no_path()),
        }
    }

    fn of_account(&self, group: &str, name: &str, part: &Part) -> Result<Answer, ArmError> {
        let (plane, now_ms) = (self.plane, self.asked.now_ms);
        let method = &self.asked.head.method;
        let action = match (method, part) {
            (&Method::POST, Part::Keys) => Action::ListKeys,
            (&Method::DELETE, Part::Deployment(_)) => Action::Delete,
            (&Method::PUT | &Method::PATCH, Part::Deployment(_))
            | (&Method::POST, Part::Pause(_) | Part::Resume(_)) => Action::Write,
            (&Method::POST, Part::Deployment(_)) if plane.settings.compatibility.post_as_put => Action::Write,
            (&Method::GET, Part::Itself | Part::Models | Part::Deployments | Part::Deployment(_) | Part::Skus(_)) => {
                Action::Read
            }
            _ => return Err(ArmError::wrong_method(method.as_str())),
        };
        let subscription = self.subscription;
        let id = format!(
            "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.CognitiveServices/accounts/{name}"
        );
        self.require(action, &id)?;
        self.group_exists(group)?;
        let parsed = AccountId {
            subscription: subscription.to_owned(),
            group: group.to_owned(),
            name: name.to_owned(),
        };
        let account = plane
            .find(&parsed)
            .ok_or_else(|| ArmError::no_resource("accounts", name, group))?;
        let managed = &plane.accounts[account];
        let ok = |body: Value| Ok(Answer::new(StatusCode::OK, Some(body)));
        let at = |name| Place {
            account,
            name,
            pauses: self.version >= PAUSES_FROM,
            now_ms,
        };
        match part {
            Part::Itself => ok(lists::account(managed, now_ms)),
            Part::Keys => ok(lists::keys(managed)),
            Part::Models => Ok(self.page(plane.account_models(account, now_ms))),
            Part::Deployments => Ok(self.page(plane.deployments(at("")))),
            Part::Deployment(name) if action == Action::Read => ok(plane.deployment(at(name))?),
            Part::Deployment(name) => self.write(at(name), action),
            Part::Skus(name) => {
                plane.deployment(at(name))?;
                Ok(self.page(plane.skus(account, name).unwrap_or_default()))
            }
            Part::Pause(name) => ok(plane.pause(at(name), true)?),
            Part::Resume(name) => ok(plane.pause(at(name), false)?),
        }
    }

    fn write(&self, place: Place<'_>, action: Action) -> Result<Answer, ArmError> {
        let body = &self.asked.body;
        let is_patch = self.asked.head.method == Method::PATCH;
        let Taken {
            operation,
            is_new,
            resource,
        } = match (action, is_patch) {
            (Action::Delete, _) => self.plane.delete(place)?,
            (_, true) => self.plane.patch(place, &wanted::patch(body)?, self.callers)?,
            _ => self.plane.put(place, &wanted::put(body)?, self.callers)?,
        };
        let Some(operation) = operation else {
            return Ok(Answer::new(StatusCode::NO_CONTENT, None));
        };
        let status = match (action, is_patch, is_new) {
            (Action::Delete, ..) | (_, true, _) => StatusCode::ACCEPTED,
            (_, _, true) => StatusCode::CREATED,
            (_, _, false) => StatusCode::OK,
        };
        let mut answer = Answer::new(status, resource);
        self.link(&mut answer, &operation);
        Ok(answer)
    }

    fn operation(&self, id: &str, is_result: bool) -> Result<Answer, ArmError> {
        let now_ms = self.asked.now_ms;
        let operation = self.plane.operation(id).ok_or_else(|| ArmError::no_operation(id))?;
        if !is_result {
            let mut answer = Answer::new(StatusCode::OK, Some(operation.shown()));
            if operation.status == Status::InProgress {
                answer.retry_after(Some(self.wait_s(&operation)));
            }
            return Ok(answer);
        }
        match (operation.status, &operation.failure) {
            (Status::InProgress, _) => {
                let mut answer = Answer::new(StatusCode::ACCEPTED, None);
                self.link(&mut answer, &operation);
                Ok(answer)
            }
            (Status::Failed, Some((code, message))) => {
                let is_conflict = code == "RequestConflict";
                let status = if is_conflict {
                    StatusCode::CONFLICT
                } else {
                    StatusCode::BAD_REQUEST
                };
                Err(ArmError::new(status, code, message.as_str()))
            }
            _ if operation.kind == Kind::Delete => Ok(Answer::new(StatusCode::NO_CONTENT, None)),
            _ => {
                let place = Place {
                    account: operation.account,
                    name: &operation.key,
                    pauses: self.version >= PAUSES_FROM,
                    now_ms,
                };
                Ok(Answer::new(StatusCode::OK, Some(self.plane.deployment(place)?)))
            }
        }
    }

    fn wait_s(&self, operation: &Operation) -> u64 {
        operation.retry_after_s(self.asked.now_ms, self.plane.settings.durations.retry_after_s)
    }

    /// Says where an operation can be asked about.
    fn link(&self, answer: &mut Answer, operation: &Operation) {
        let Operation {
            id,
            subscription,
            location,
            ..
        } = operation;
        let base = &self.asked.base;
        let version = self.version;
        let url = |kind: &str| {
            format!(
                "{base}/subscriptions/{subscription}/providers/Microsoft.CognitiveServices/locations/{location}/{kind}/{id}?api-version={version}"
            )
        };
        let asynchronous = HeaderName::from_static("azure-asyncoperation");
        for (name, kind) in [
            (asynchronous, "operationsStatus"),
            (header::LOCATION, "operationResults"),
        ] {
            if let Ok(value) = HeaderValue::from_str(&url(kind)) {
                answer.headers.insert(name, value);
            }
        }
        answer.retry_after(Some(self.wait_s(operation)));
    }

    /// One page of a list.
    fn page(&self, items: Vec<Value>) -> Answer {
        let head = &self.asked.head;
        let first = parameter(head, SKIP)
            .and_then(|text| text.parse::<usize>().ok())
            .unwrap_or(0);
        let size = self.plane.settings.limits.page_size;
        let next = first.saturating_add(size);
        let link = (next < items.len()).then(|| {
            let query = head.uri.query().unwrap_or_default();
            let kept = url::form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name != SKIP);
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            query.extend_pairs(kept).append_pair(SKIP, &next.to_string());
            format!("{}{}?{}", self.asked.base, head.uri.path(), query.finish())
        });
        let mut body = json!({ "value": items.into_iter().skip(first).take(size).collect::<Vec<_>>() });
        if let Some(link) = link {
            body["nextLink"] = json!(link);
        }
        Answer::new(StatusCode::OK, Some(body))
    }

    fn require(&self, action: Action, scope: &str) -> Result<(), ArmError> {
        let principal = self.plane.principal(&self.callers.primary);
        if principal.may(action, scope) {
            return Ok(());
        }
        let client = (principal.client_id.as_str(), principal.object_id.as_str());
        Err(ArmError::not_authorized(client, action.shown(), scope))
    }

    fn group_exists(&self, group: &str) -> Result<(), ArmError> {
        let settings = &self.plane.settings;
        let is_usual = self.subscription.eq_ignore_ascii_case(&settings.subscription)
            && group.eq_ignore_ascii_case(&settings.resource_group);
        let has_accounts = self.plane.accounts.iter().any(|managed| {
            managed.subscription.eq_ignore_ascii_case(self.subscription) && managed.group.eq_ignore_ascii_case(group)
        });
        if is_usual || has_accounts {
            Ok(())
        } else {
            Err(ArmError::no_resource_group(group))
        }
    }
}
