//! What an answer tells of where it was processed: kept in its usage record, and an alarm where it contradicts the route's residency.

use http::HeaderMap;
use http::header::HeaderName;

use crate::core::ids::Region;
use crate::openai::azure;
use crate::proxy::attempt::Attempt;
use crate::proxy::context::RequestContext;
use crate::telemetry::{clock, events};

const REGION: HeaderName = HeaderName::from_static("x-ms-region");
const SERVED_BY: HeaderName = HeaderName::from_static("x-ms-deployment-name");
/// Longest name that is kept of what an answer tells; Azure's are shorter.
const NAME_CHARS_MAX: usize = 64;

/// Notes what an answer's head tells. `is_own` says that it is of the deployment that was asked.
pub fn note(attempt: &Attempt<'_>, context: &mut RequestContext, headers: &HeaderMap, is_own: bool) {
    let text = |name: &HeaderName| headers.get(name)?.to_str().ok();
    context.spilled_to = text(&SERVED_BY)
        .filter(|name| !is_own && name.len() <= NAME_CHARS_MAX)
        .map(Into::into);
    let snapshot = &attempt.call.live.config.runtime.snapshot;
    let deployment = &snapshot.deployments[attempt.deployment.0];
    let asked = &snapshot.resources[deployment.resource.0].region;
    let Some(told) = text(&REGION).filter(|told| !told.is_empty() && told.len() <= NAME_CHARS_MAX) else {
        context.served_region = None;
        return;
    };
    // Nearly always the region that was asked, whose name is shared.
    let served = if azure::is_region(told, asked) {
        asked.clone()
    } else {
        Region::from(azure::region_name(told))
    };
    if let Some(residency) = &attempt.call.route.residency
        && !residency.regions.contains(&served)
    {
        events::ResidencyContradicted {
            request_id: &context.id,
            route: attempt.call.route_ix,
            deployment: attempt.deployment,
            served: &served,
            is_news: attempt.call.live.deployments[attempt.deployment.0]
                .state
                .contradiction_told
                .is_news(clock::now_ms()),
        }
        .emit(&attempt.call.live.series);
    }
    context.served_region = Some(served);
}
