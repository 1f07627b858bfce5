//! Small fleets for tests: only names matter.

use super::{ApiForm, CacheKeys, Deployment, Endpoint, Resource, ResourceIx, Sku, Snapshot};

/// Resources with their region and the names of their deployments; without pools, routes and clients.
pub(crate) fn fleet(resources: &[(&str, &str, &[&str])]) -> Snapshot {
    let mut snapshot = Snapshot {
        replicas: 1,
        ..Snapshot::default()
    };
    for (at, (resource, region, names)) in resources.iter().enumerate() {
        snapshot.resources.push(Resource {
            id: (*resource).into(),
            region: (*region).into(),
            endpoint: Endpoint {
                tls: false,
                host: "localhost".to_owned(),
                port: 1,
                authority: "localhost:1".to_owned(),
                base_path: String::new(),
                http2: false,
            },
            api: ApiForm::V1,
        });
        snapshot.deployments.extend(names.iter().map(|name| Deployment {
            id: format!("{resource}/{name}").into(),
            name: (*name).to_owned(),
            resource: ResourceIx(at),
            sku: Sku::Standard,
            capacity: None,
            model: None,
            cache_keys: CacheKeys::Auto,
            stream_usage: true,
            created_at_ms: None,
            inactivity_days: None,
            price: None,
        }));
    }
    snapshot
}
