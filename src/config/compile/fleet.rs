//! Resources, their deployments, and the pools made of them.

use std::collections::HashSet;

use crate::config::billed;
use crate::config::checked::{Credential, EntraLogin};
use crate::config::compile::context::Context;
use crate::config::compile::endpoint;
use crate::config::compile::names::Names;
use crate::config::compile::regions::Regions;
use crate::config::errors::Pointer;
use crate::config::raw::azure::RawAzure;
use crate::config::raw::fleet::{
    DEFAULT_API_VERSION, RawApi, RawCacheKeys, RawCredential, RawDeployment, RawEntra, RawMember, RawPool, RawPrice,
    RawResource, RawSku,
};
use crate::config::secrets::Secret;
use crate::core::fleet::catalogue::Catalogue;
use crate::core::ids::{DeploymentId, PoolId, Region, ResourceId};
use crate::core::ledger::book::Billed;
use crate::core::throughput;
use crate::core::topology::{
    ApiForm, CacheKeys, Deployment, DeploymentIx, Member, Pool, PoolIx, Price, Resource, ResourceIx, Route, Sku,
    TOKENS_A_UNIT,
};

/// Everything upstream of a route.
pub(super) struct Fleet {
    pub(super) resources: Vec<Resource>,
    pub(super) credentials: Vec<Credential>,
    pub(super) deployments: Vec<Deployment>,
    pub(super) pools: Vec<Pool>,
    pub(super) pool_names: Names,
    /// The region of each resource as it is written, for messages.
    pub(super) regions_written: Vec<String>,
    resource_names: Names,
    deployment_names: Names,
    /// Where each deployment stands in the file.
    places: Vec<Pointer>,
    /// Weight of each deployment, and where it comes from.
    weights: Vec<(f64, Scale)>,
}

/// What a member's weight is measured in. Weights on different scales say nothing relative to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scale {
    Weight,
    TokensPerMinute,
    ProvisionedUnits,
    Nothing,
}

impl Scale {
    fn as_str(self) -> &'static str {
        match self {
            Self::Weight => "by `weight`",
            Self::TokensPerMinute => "by `capacity` in tokens per minute",
            Self::ProvisionedUnits => "by `capacity` in PTUs",
            Self::Nothing => "by nothing, so as 1",
        }
    }
}

impl Fleet {
    fn empty() -> Self {
        Self {
            resources: Vec::new(),
            credentials: Vec::new(),
            deployments: Vec::new(),
            pools: Vec::new(),
            pool_names: Names::new("pool"),
            regions_written: Vec::new(),
            resource_names: Names::new("resource"),
            deployment_names: Names::new("deployment"),
            places: Vec::new(),
            weights: Vec::new(),
        }
    }
}

/// Compiles only what the price of deployments depends on, which needs no secret.
pub(super) fn compile_billed(
    context: &mut Context<'_>,
    resources: &[RawResource],
    catalogue: Option<&Catalogue>,
) -> Vec<Billed> {
    let mut billed = Vec::new();
    for (position, resource) in resources.iter().enumerate() {
        let at = Pointer::root().key("resources").index(position).key("deployments");
        for (position, raw) in resource.deployments.iter().enumerate() {
            let id = format!("{}/{}", resource.name.0, raw.name.0);
            let mut fleet = Fleet::empty();
            add_deployment(context, raw, &at.index(position), &id, &mut fleet);
            let declared = raw.fine_tuned_model.as_deref();
            billed.extend(
                fleet
                    .deployments
                    .iter()
                    .map(|deployment| billed::of(deployment, declared, catalogue)),
            );
        }
    }
    billed
}

/// Compiles resources and pools.
pub(super) fn compile(
    context: &mut Context<'_>,
    resources: &[RawResource],
    pools: &[RawPool],
    azure: Option<&RawAzure>,
) -> Fleet {
    let mut fleet = Fleet::empty();
    let regions = Regions::known();
    for (position, raw) in resources.iter().enumerate() {
        let at = Pointer::root().key("resources").index(position);
        fleet
            .resource_names
            .add(context, &at.key("name"), &raw.name.0, position);
        add_resource(context, raw, &at, (&regions, azure), &mut fleet);
        for (position, deployment) in raw.deployments.iter().enumerate() {
            let at = at.key("deployments").index(position);
            let id = format!("{}/{}", raw.name.0, deployment.name.0);
            let index = fleet.deployments.len();
            fleet.deployment_names.add(context, &at.key("name"), &id, index);
            add_deployment(context, deployment, &at, &id, &mut fleet);
        }
    }
    for (position, raw) in pools.iter().enumerate() {
        let at = Pointer::root().key("pools").index(position);
        fleet.pool_names.add(context, &at.key("name"), &raw.name.0, position);
        let pool = compile_pool(context, raw, &at, &fleet);
        fleet.pools.push(pool);
    }
    fleet
}

fn add_resource(
    context: &mut Context<'_>,
    raw: &RawResource,
    at: &Pointer,
    (regions, azure): (&Regions, Option<&RawAzure>),
    fleet: &mut Fleet,
) {
    let region = context.text(&at.key("region"), &raw.region);
    regions.warn_if_misspelt(context, &at.key("region"), &raw.region, &region);
    let endpoint = endpoint::compile(context, raw, at);
    let api = compile_api(context, raw, at);
    fleet.resources.push(Resource {
        id: ResourceId::from(raw.name.0.as_str()),
        region: Region::from(region),
        endpoint,
        api,
    });
    fleet.regions_written.push(raw.region.clone());
    let credential = compile_credential(context, &raw.credential, &at.key("credential"), azure);
    fleet.credentials.push(credential);
}

fn compile_api(context: &mut Context<'_>, raw: &RawResource, resource: &Pointer) -> ApiForm {
    let at = resource.key("api_version");
    match (raw.api, &raw.api_version) {
        (RawApi::V1, None) => ApiForm::V1,
        (RawApi::V1, Some(version)) => {
            context.warn(
                &at,
                format!("`{version}` is not used: `api: v1` has no version"),
                "leave it out".to_owned(),
            );
            ApiForm::V1
        }
        (RawApi::Classic, written) => {
            let written = written.as_deref().unwrap_or(DEFAULT_API_VERSION);
            let version = context.text(&at, written);
            if !is_api_version(&version) {
                context.error(
                    &at,
                    format!("`{written}` is not an API version"),
                    "a date, such as `2024-10-21` or `2025-04-01-preview`".to_owned(),
                );
            }
            ApiForm::Classic { api_version: version }
        }
    }
}

/// `YYYY-MM-DD`, with `-preview` or not.
pub(super) fn is_api_version(text: &str) -> bool {
    let date = text.strip_suffix("-preview").unwrap_or(text);
    date.len() == 10 && date.parse::<jiff::civil::Date>().is_ok()
}

fn compile_credential(
    context: &mut Context<'_>,
    raw: &RawCredential,
    at: &Pointer,
    azure: Option<&RawAzure>,
) -> Credential {
    let nothing = || Secret::new(String::new());
    match (&raw.api_key, &raw.token, &raw.entra) {
        (Some(key), None, None) => {
            Credential::ApiKey(context.secret(&at.key("api_key"), &key.0).unwrap_or_else(nothing))
        }
        (None, Some(token), None) => {
            Credential::Bearer(context.secret(&at.key("token"), &token.0).unwrap_or_else(nothing))
        }
        (None, None, Some(entra)) => Credential::Entra(compile_entra(context, entra, &at.key("entra"), azure)),
        // The schema allows exactly one; this is for a schema that was changed.
        _ => {
            context.error(at, "give exactly one of `api_key`, `token`, `entra`", None);
            Credential::ApiKey(nothing())
        }
    }
}

fn compile_entra(context: &mut Context<'_>, raw: &RawEntra, at: &Pointer, azure: Option<&RawAzure>) -> EntraLogin {
    match (azure, &raw.tenant) {
        (None, _) => context.error(
            at,
            "there is no `azure.credential` to get a token by",
            "add `azure: { credential: … }`, or use `api_key` or `token`".to_owned(),
        ),
        (Some(azure), Some(tenant)) if !azure.tenants.iter().any(|one| one.tenant.eq_ignore_ascii_case(tenant)) => {
            context.error(
                &at.key("tenant"),
                format!("`{tenant}` is not among `azure.tenants`"),
                "add it there with its credential, or leave `tenant` out".to_owned(),
            );
        }
        _ => {}
    }
    EntraLogin {
        audience: raw.audience.clone(),
        tenant: raw.tenant.clone(),
    }
}

fn add_deployment(context: &mut Context<'_>, raw: &RawDeployment, at: &Pointer, id: &str, fleet: &mut Fleet) {
    let sku = compile_sku(raw.sku);
    let created_at_ms = raw.created_at.as_ref().and_then(|text| {
        let parsed = text.parse::<jiff::Timestamp>();
        if parsed.is_err() {
            context.error(
                &at.key("created_at"),
                format!("`{text}` is not a point in time"),
                "date, time and offset (RFC 3339), such as `2026-10-01T08:00:00Z`".to_owned(),
            );
        }
        parsed.ok().map(jiff::Timestamp::as_millisecond)
    });
    warn_of_model(context, raw, at, sku);
    let price = raw.price.map(|raw| compile_price(context, raw, &at.key("price")));
    fleet.weights.push(own_weight(raw, sku));
    fleet.places.push(at.clone());
    fleet.deployments.push(Deployment {
        id: DeploymentId::from(id),
        name: raw.name.0.clone(),
        resource: ResourceIx(fleet.resources.len().saturating_sub(1)),
        sku,
        capacity: raw.capacity,
        model: raw.model.clone(),
        cache_keys: match raw.prompt_cache_key {
            RawCacheKeys::Off => CacheKeys::Off,
            RawCacheKeys::Auto => CacheKeys::Auto,
            RawCacheKeys::Always => CacheKeys::Always,
        },
        stream_usage: raw.stream_usage,
        created_at_ms,
        inactivity_days: Some(raw.inactivity_days).filter(|days| *days > 0),
        price,
    });
}

/// A provisioned deployment's limit follows from its model: remarks on one that is not known.
fn warn_of_model(context: &mut Context<'_>, raw: &RawDeployment, at: &Pointer, sku: Sku) {
    if let Some(model) = raw.model.as_deref().filter(|_| sku.is_provisioned())
        && throughput::of_model(model).is_none()
    {
        let known: Vec<_> = throughput::models().collect();
        context.warn(
            &at.key("model"),
            format!("how many tokens a PTU of `{model}` is worth is not known, so its room is not either: only its refusals keep requests away"),
            format!("known are {}", known.join(", ")),
        );
    }
}

fn compile_price(context: &mut Context<'_>, raw: RawPrice, at: &Pointer) -> Price {
    if let (Some(input), Some(cached)) = (raw.input, raw.cached_input)
        && cached > input
        // What stands in for a price that is wrong says nothing of the other.
        && !context.is_repaired(&at.key("input"))
    {
        context.error(
            &at.key("cached_input"),
            format!("`{cached}` is more than `input`"),
            "what is found cached costs less, or the same".to_owned(),
        );
    }
    Price {
        input: raw.input,
        cached_input: raw.cached_input,
        output: raw.output,
        hour: raw.hour,
    }
}

/// A deployment's weight where its pools say nothing else.
fn own_weight(raw: &RawDeployment, sku: Sku) -> (f64, Scale) {
    match (raw.weight, raw.capacity) {
        (Some(weight), _) => (weight, Scale::Weight),
        (None, Some(units)) if sku.is_provisioned() => (f64::from(units), Scale::ProvisionedUnits),
        (None, Some(units)) => (f64::from(units) * TOKENS_A_UNIT, Scale::TokensPerMinute),
        (None, None) => (1.0, Scale::Nothing),
    }
}

fn compile_sku(raw: RawSku) -> Sku {
    match raw {
        RawSku::Standard => Sku::Standard,
        RawSku::GlobalStandard => Sku::GlobalStandard,
        RawSku::DataZoneStandard => Sku::DataZoneStandard,
        RawSku::DeveloperTier => Sku::DeveloperTier,
        RawSku::ProvisionedManaged => Sku::ProvisionedManaged,
        RawSku::GlobalProvisionedManaged => Sku::GlobalProvisionedManaged,
        RawSku::DataZoneProvisionedManaged => Sku::DataZoneProvisionedManaged,
    }
}

fn compile_pool(context: &mut Context<'_>, raw: &RawPool, at: &Pointer, fleet: &Fleet) -> Pool {
    let mut taken = HashSet::new();
    let mut tiers = Vec::with_capacity(raw.tiers.len());
    for (position, raw_tier) in raw.tiers.iter().enumerate() {
        let at = at.key("tiers").index(position);
        let mut tier = Vec::with_capacity(raw_tier.len());
        let mut scales = Vec::with_capacity(raw_tier.len());
        for (position, raw_member) in raw_tier.iter().enumerate() {
            let Some((member, scale)) = compile_member(context, raw_member, &at.index(position), fleet, &mut taken)
            else {
                continue;
            };
            tier.push(member);
            scales.push(scale);
        }
        warn_of_scales(context, &at, &tier, &scales, fleet);
        tiers.push(tier);
    }
    warn_of_trial_pool(context, at, &tiers, fleet);
    Pool {
        id: PoolId::from(raw.name.0.as_str()),
        tiers,
    }
}

fn compile_member(
    context: &mut Context<'_>,
    raw: &RawMember,
    at: &Pointer,
    fleet: &Fleet,
    taken: &mut HashSet<usize>,
) -> Option<(Member, Scale)> {
    let (reference, at, weight) = match raw {
        RawMember::Plain(reference) => (reference, at.clone(), None),
        RawMember::Weighted(member) => (&member.deployment, at.key("deployment"), Some(member.weight)),
    };
    let index = find_deployment(context, &at, &reference.0, fleet)?;
    if !taken.insert(index) {
        context.error(
            &at,
            format!("`{}` is in this pool already", reference.0),
            "a pool names each deployment once; give it more traffic with `weight`".to_owned(),
        );
    }
    let (weight, scale) = weight.map_or(fleet.weights[index], |weight| (weight, Scale::Weight));
    let member = Member {
        deployment: DeploymentIx(index),
        weight,
    };
    Some((member, scale))
}

/// The position of a deployment; reports one that does not exist.
fn find_deployment(context: &mut Context<'_>, at: &Pointer, reference: &str, fleet: &Fleet) -> Option<usize> {
    let resource = reference.split('/').next().unwrap_or_default();
    match fleet
        .resource_names
        .position(resource)
        .map(|position| position.to_string())
    {
        Some(resource) => {
            let source: &[&str] = &["resources", &resource, "deployments", "*", "name"];
            fleet.deployment_names.find(context, at, reference, &[source])
        }
        None => fleet
            .deployment_names
            .find(context, at, reference, &[&["resources", "*", "name"]]),
    }
}

/// Remarks on a tier whose members are weighed against each other on different scales.
fn warn_of_scales(context: &mut Context<'_>, at: &Pointer, tier: &[Member], scales: &[Scale], fleet: &Fleet) {
    let Some(first) = scales.first() else {
        return;
    };
    let Some(other) = scales.iter().position(|scale| scale != first) else {
        return;
    };
    let name = |index: usize| &fleet.deployments[tier[index].deployment.0].id;
    context.warn(
        at,
        format!(
            "the tier compares different things: `{}` is weighed {}, `{}` {}",
            name(0),
            first.as_str(),
            name(other),
            scales[other].as_str()
        ),
        "set `weight` on every member of the tier, or on none; provisioned ones usually have a tier of their own"
            .to_owned(),
    );
}

fn warn_of_trial_pool(context: &mut Context<'_>, pool: &Pointer, tiers: &[Vec<Member>], fleet: &Fleet) {
    let mut members = tiers.iter().flatten().peekable();
    let is_trial = |member: &Member| fleet.deployments[member.deployment.0].sku == Sku::DeveloperTier;
    if members.peek().is_some() && members.all(is_trial) {
        context.warn(
            &pool.key("tiers"),
            "every member is `DeveloperTier`: Azure removes those after 24 hours, and the pool will be empty",
            "add a member of another SKU".to_owned(),
        );
    }
}

/// Points at pools without a route and deployments without a pool: Azure bills them, nothing uses them.
pub(super) fn warn_of_idle(context: &mut Context<'_>, fleet: &Fleet, routes: &[Route]) {
    let in_use: HashSet<PoolIx> = routes.iter().map(|route| route.pool).collect();
    for (position, pool) in fleet.pools.iter().enumerate() {
        if !in_use.contains(&PoolIx(position)) {
            let at = Pointer::root().key("pools").index(position);
            context.warn(&at, format!("no route leads to pool `{}`", pool.id), None);
        }
    }
    let pooled: HashSet<DeploymentIx> = fleet
        .pools
        .iter()
        .flat_map(Pool::members)
        .map(|member| member.deployment)
        .collect();
    for (position, deployment) in fleet.deployments.iter().enumerate() {
        if !pooled.contains(&DeploymentIx(position)) {
            let message = format!("deployment `{}` is in no pool", deployment.id);
            context.warn(&fleet.places[position], message, None);
        }
    }
}
