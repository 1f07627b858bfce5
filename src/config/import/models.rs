//! `model_list`: one entry at a time becomes a deployment of ours and a place in its group.
//!
//! An entry's parameters are those of `litellm_params`, then those of the credential that it names. What a parameter becomes is told
//! where it is read, and `advice` tells of those that become nothing, so each is told once.

use std::time::Duration;

use crate::config::errors::ConfigErrors;
use crate::config::import::Options;
use crate::config::import::account::{AccountReader, Params};
use crate::config::import::advice;
use crate::config::import::applications::Applications;
use crate::config::import::fleet::{Fleet, Placed, RegionSource};
use crate::config::import::report::{Grade, Report};
use crate::config::import::secrets::Secrets;
use crate::config::import::source::Node;
use crate::config::raw::fleet::{RawPrice, RawSku};

/// Parameters that `take_azure` reads, beside those of the account.
const TAKEN: &[&str] = &[
    "model",
    "custom_llm_provider",
    "litellm_credential_name",
    "rpm",
    "tpm",
    "weight",
    "order",
    "max_parallel_requests",
    "timeout",
    "stream_timeout",
    "max_retries",
    "num_retries",
    "input_cost_per_token",
    "output_cost_per_token",
    "cache_read_input_token_cost",
];

/// Fields of `model_info` that are read.
const INFO_TAKEN: &[&str] = &[
    "id",
    "base_model",
    "tpm",
    "rpm",
    "ptu_count",
    "cost_per_ptu_per_hour",
    "input_cost_per_token",
    "output_cost_per_token",
    "cache_read_input_token_cost",
];

/// An entry that was carried over, with what its group needs to know.
pub(super) struct Entry<'a> {
    pub(super) model_name: &'a str,
    pub(super) named: Node<'a>,
    /// The deployment, as pools name it.
    pub(super) reference: String,
    pub(super) id: Option<&'a str>,
    pub(super) weight: Option<(f64, Node<'a>)>,
    pub(super) rpm: Option<(f64, Node<'a>)>,
    pub(super) order: Option<i64>,
    pub(super) parallel: Option<(u32, Node<'a>)>,
    pub(super) timeout: Option<Duration>,
    pub(super) stream_timeout: Option<Duration>,
    pub(super) retries: Option<u32>,
}

/// What is built while entries are read.
pub(super) struct Models<'a, 'r> {
    pub(super) report: &'r mut Report,
    pub(super) fleet: Fleet,
    pub(super) secrets: Secrets,
    pub(super) applications: Applications,
    pub(super) options: Options,
    /// `credential_list`, by name.
    pub(super) credentials: Vec<(&'a str, Node<'a>)>,
}

impl<'a> Models<'a, '_> {
    /// Reads an entry; none where it is no deployment of Azure OpenAI.
    ///
    /// # Errors
    /// When it has no name or names no model.
    pub(super) fn read(&mut self, entry: &Node<'a>) -> Result<Option<Entry<'a>>, ConfigErrors> {
        let missing = |name: &str| {
            let message = format!("the entry has no `{name}`");
            entry.mistake(
                message,
                "an entry of `model_list` has `model_name` and `litellm_params.model`",
            )
        };
        let named = entry.get("model_name").ok_or_else(|| missing("model_name"))?;
        let model_name = named.text().ok_or_else(|| missing("model_name"))?;
        let params = entry.get("litellm_params").ok_or_else(|| missing("litellm_params"))?;
        let model = params.get("model").ok_or_else(|| missing("litellm_params.model"))?;
        let written = model.text().ok_or_else(|| missing("litellm_params.model"))?;
        let provider = params.get("custom_llm_provider").and_then(|node| node.text());
        let Some(deployment) = azure_deployment(written, provider) else {
            let remark = no_azure(written, provider);
            self.report.tell(entry, Grade::Unsupported, remark);
            return Ok(None);
        };
        if model_name.contains('*') || deployment.contains('*') {
            let remark = "a name with `*` stands for names that are not known here; write an entry for each model";
            self.report.tell(entry, Grade::Unsupported, remark);
            return Ok(None);
        }
        if !is_deployment_name(deployment) {
            let remark =
                "no name that an Azure OpenAI deployment can have; write the deployment's own, as `azure/NAME`";
            self.report.tell(entry, Grade::Unsupported, remark);
            return Ok(None);
        }
        let params = Params::new(params, &self.credentials, self.report);
        let read = self.take_azure(entry, &named, &model, &params, deployment);
        self.tell_rest(entry, &params);
        Ok(Some(Entry { model_name, ..read }))
    }

    fn take_azure(
        &mut self,
        entry: &Node<'a>,
        named: &Node<'a>,
        model: &Node<'a>,
        params: &Params<'a>,
        deployment: &str,
    ) -> Entry<'a> {
        let info = entry.get("model_info");
        let mut reader = AccountReader {
            report: self.report,
            secrets: &mut self.secrets,
            applications: &mut self.applications,
        };
        let (account, region) = reader.read(params, model);
        let placed = self.fleet.place(account, region, deployment);
        let reference = self.fleet.reference(&placed);
        self.tell_deployment(model, params, &placed, &reference);
        let of = |name: &str| {
            let in_info = || info.as_ref().and_then(|info| info.get(name));
            params.get(name).or_else(in_info).or_else(|| entry.get(name))
        };
        let capacity = self.take_capacity(&of, &placed);
        self.take_sku(model, &of, &placed, capacity);
        self.take_model(info.as_ref(), &placed);
        self.take_price(&of, &placed);
        let id = info.as_ref().and_then(|info| info.get("id"));
        if let Some(id) = &id {
            let remark = format!("the deployment is named `{reference}` in logs, metrics and records");
            self.report.tell(id, Grade::Approximate, remark);
        }
        Entry {
            model_name: "",
            named: named.clone(),
            reference,
            id: id.and_then(|id| id.text()),
            weight: self.number(&of, "weight"),
            rpm: self.number(&of, "rpm"),
            order: self.take_order(params),
            parallel: self
                .number(&of, "max_parallel_requests")
                .and_then(|(number, node)| Some((whole_u32(number)?, node))),
            timeout: self.take_time(params, "timeout", "the longest of its group is its route's `timeouts`"),
            stream_timeout: self.take_time(
                params,
                "stream_timeout",
                "the longest of its group is its route's `timeouts.first_byte`: to a stream's beginning",
            ),
            retries: self.take_retries(params),
        }
    }

    fn tell_deployment(&mut self, model: &Node<'a>, params: &Params<'a>, placed: &Placed, reference: &str) {
        let remark = if placed.is_new {
            format!("deployment `{reference}`")
        } else {
            format!("deployment `{reference}`, which another entry names too")
        };
        let written = model.text().unwrap_or_default();
        if written.contains("responses/") {
            let remark =
                format!("{remark}; chats are not turned into Responses: clients ask `/v1/responses` themselves");
            self.report.tell(model, Grade::Approximate, remark);
        } else {
            self.report.tell(model, Grade::Exact, remark);
        }
        if let Some(provider) = params.get("custom_llm_provider") {
            self.report
                .tell(&provider, Grade::Exact, "all deployments here are Azure OpenAI's");
        }
        if !placed.is_new_resource {
            return;
        }
        let resource = &self.fleet.resources[placed.resource];
        let (name, region) = (&resource.name.0, &resource.region);
        let base = params.get("api_base");
        let at = base.as_ref().unwrap_or(model);
        match placed.region {
            RegionSource::Told => {}
            RegionSource::Host => {
                let remark = format!(
                    "region `{region}` of resource `{name}` is taken from its host's name; look whether it is so"
                );
                self.report.tell(at, Grade::Approximate, remark);
            }
            RegionSource::Unknown => {
                let remark = format!(
                    "fill in `region` of resource `{name}`: it is not known here, so `{region}` stands in, which `emberway check` accepts"
                );
                self.report.tell(at, Grade::Manual, remark);
            }
        }
    }

    /// Sets the capacity from `tpm` or `ptu_count`; whether it is known, and whether in provisioned units.
    fn take_capacity(&mut self, of: &dyn Fn(&str) -> Option<Node<'a>>, placed: &Placed) -> Option<bool> {
        if let Some((units, node)) = self.number(of, "ptu_count") {
            let units = whole_u32(units).filter(|units| (1..=1_000_000).contains(units));
            self.fleet.deployment_mut(placed).capacity = units;
            self.report.tell(&node, Grade::Exact, "`capacity`, in PTUs");
            if let Some(tpm) = of("tpm") {
                let remark = "what a PTU is worth follows from `model`, and how full it is from Azure's answers";
                self.report.tell(&tpm, Grade::Approximate, remark);
            }
            return units.map(|_| true);
        }
        let (tpm, node) = self.number(of, "tpm")?;
        if self.options.sku.is_some_and(is_provisioned) {
            let remark = "not used: the `capacity` of a provisioned deployment is in PTUs";
            self.report.tell(&node, Grade::Approximate, remark);
            return None;
        }
        let units = (tpm / 1_000.0).ceil().clamp(1.0, 1_000_000.0) as u32;
        let known = *self.fleet.deployment_mut(placed).capacity.get_or_insert(units);
        if known != units {
            let remark = format!(
                "another entry tells the deployment's capacity otherwise, and `{known}` is written: look which it is"
            );
            self.report.tell(&node, Grade::Manual, remark);
            return Some(false);
        }
        let told = "it is also the deployment's limit until Azure's answers tell it, and its share";
        if (f64::from(units) * 1_000.0 - tpm).abs() < 0.5 {
            self.report.tell(
                &node,
                Grade::Exact,
                format!("`capacity: {units}`, in thousands of tokens a minute; {told}"),
            );
        } else {
            let remark = format!("`capacity: {units}`: in whole thousands of tokens a minute; {told}");
            self.report.tell(&node, Grade::Approximate, remark);
        }
        Some(false)
    }

    fn take_sku(
        &mut self,
        model: &Node<'a>,
        of: &dyn Fn(&str) -> Option<Node<'a>>,
        placed: &Placed,
        capacity: Option<bool>,
    ) {
        let has_units = of("ptu_count").is_some();
        // What has PTUs cannot be of a type that is paid per token.
        let told = self.options.sku.filter(|sku| is_provisioned(*sku) || !has_units);
        if let Some(sku) = told {
            self.fleet.deployment_mut(placed).sku = sku;
            if capacity.is_none() {
                let remark =
                    "its capacity is not known: its share is that of 1, and its room is learned from Azure's answers";
                self.report.tell(model, Grade::Approximate, remark);
            }
            return;
        }
        if !placed.is_new {
            return;
        }
        let (sku, name) = if has_units {
            (RawSku::ProvisionedManaged, "ProvisionedManaged")
        } else {
            (RawSku::Standard, "Standard")
        };
        self.fleet.deployment_mut(placed).sku = sku;
        let and_capacity = if capacity.is_none() { " and `capacity`" } else { "" };
        let comment = if capacity.is_none() {
            "FILL IN: the deployment type; and below it `capacity`, in thousands of tokens a minute or PTUs"
        } else {
            "FILL IN: the deployment type, as Azure shows it"
        };
        self.fleet.comment(placed, "sku", comment);
        let remark = format!(
            "fill in `sku`{and_capacity}: not known here, so `{name}` stands in, which `emberway check` accepts; `--sku` sets all"
        );
        self.report.tell(model, Grade::Manual, remark);
    }

    fn take_model(&mut self, info: Option<&Node<'a>>, placed: &Placed) {
        let Some(node) = info.and_then(|info| info.get("base_model")) else {
            return;
        };
        let Some(written) = node.text() else {
            self.report
                .tell(&node, Grade::Unsupported, "no text; write the base model's name");
            return;
        };
        // `azure/gpt-4o`, or `azure/eu/gpt-4o` for prices of a region.
        let name = written.rsplit('/').next().unwrap_or(written);
        let fits = !name.is_empty() && name.len() <= 128 && !name.contains('$');
        if fits {
            self.fleet.deployment_mut(placed).model = Some(name.to_owned());
            self.report.tell(&node, Grade::Exact, "`model` of the deployment");
        } else {
            self.report.tell(&node, Grade::Unsupported, "no name of a model");
        }
    }

    /// Prices are for a token there and for a million here.
    fn take_price(&mut self, of: &dyn Fn(&str) -> Option<Node<'a>>, placed: &Placed) {
        let mut price = RawPrice {
            input: None,
            cached_input: None,
            output: None,
            hour: None,
        };
        for (name, ours, field) in [
            ("input_cost_per_token", "input", &mut price.input),
            ("cache_read_input_token_cost", "cached_input", &mut price.cached_input),
            ("output_cost_per_token", "output", &mut price.output),
        ] {
            if let Some((number, node)) = self.number(of, name) {
                let million = (number * 1e12).round() / 1e6;
                *field = Some(million).filter(|million| (0.0..=1e6).contains(million));
                self.report
                    .tell(&node, Grade::Exact, format!("`price.{ours}`, for a million tokens"));
            }
        }
        if let Some((hourly, node)) = self.number(of, "cost_per_ptu_per_hour") {
            let units = self.fleet.deployment_mut(placed).capacity.unwrap_or(1);
            let all = hourly * f64::from(units);
            price.hour = Some(all).filter(|all| (0.0..=1e6).contains(all));
            self.report
                .tell(&node, Grade::Exact, "`price.hour`, for all its PTUs together");
        }
        let is_known = [price.input, price.cached_input, price.output, price.hour];
        if is_known.iter().any(Option::is_some) {
            self.fleet.deployment_mut(placed).price = Some(price);
        }
    }

    fn take_order(&mut self, params: &Params<'a>) -> Option<i64> {
        let node = params.get("order")?;
        let order = node.number();
        if order.is_some() {
            self.report.tell(
                &node,
                Grade::Exact,
                "a tier of the pool, lowest first; without an order comes last",
            );
        } else {
            self.report.tell(&node, Grade::Unsupported, "no number; write one");
        }
        order.map(|order| order as i64)
    }

    fn take_time(&mut self, params: &Params<'a>, name: &str, remark: &str) -> Option<Duration> {
        let node = params.get(name)?;
        let time = node.number().and_then(seconds);
        match time {
            Some(_) => self.report.tell(&node, Grade::Approximate, remark),
            None => self.report.tell(&node, Grade::Unsupported, NO_TIME),
        }
        time
    }

    fn take_retries(&mut self, params: &Params<'a>) -> Option<u32> {
        let mut most = None;
        for name in ["num_retries", "max_retries"] {
            let Some(node) = params.get(name) else { continue };
            let number = node.whole().and_then(|number| u32::try_from(number).ok());
            match number {
                Some(_) => self.report.tell(
                    &node,
                    Grade::Approximate,
                    "the most of its group is its route's `failover.max_attempts`, less one; they go to other deployments first",
                ),
                None => self.report.tell(&node, Grade::Unsupported, "no whole number; write one"),
            }
            most = most.max(number);
        }
        most
    }

    /// A number that must be one; what is none is told.
    fn number(&mut self, of: &dyn Fn(&str) -> Option<Node<'a>>, name: &str) -> Option<(f64, Node<'a>)> {
        let node = of(name)?;
        if let Some(number) = node.number().filter(|number| *number >= 0.0) {
            return Some((number, node));
        }
        self.report.tell(
            &node,
            Grade::Unsupported,
            "no number that is 0 or more; write one, not a reference",
        );
        None
    }

    /// What was not taken.
    fn tell_rest(&mut self, entry: &Node<'a>, params: &Params<'a>) {
        for (name, node) in params.fields() {
            if !TAKEN.contains(&name) && !AccountReader::TAKEN.contains(&name) {
                advice::tell(self.report, "litellm_params", name, &node);
            }
        }
        for (name, node) in entry.get("model_info").iter().flat_map(Node::fields) {
            if !INFO_TAKEN.contains(&name) {
                advice::tell(self.report, "model_info", name, &node);
            }
        }
        for (name, node) in entry.fields() {
            if !["model_name", "litellm_params", "model_info", "rpm", "tpm"].contains(&name) {
                advice::tell(self.report, "model_list", name, &node);
            }
        }
    }
}

fn is_provisioned(sku: RawSku) -> bool {
    matches!(
        sku,
        RawSku::ProvisionedManaged | RawSku::GlobalProvisionedManaged | RawSku::DataZoneProvisionedManaged
    )
}

/// What is said of a time that is none.
pub(super) const NO_TIME: &str = "no number of seconds above 0 and up to a day; write one";

/// Seconds as a time that a setting may have: above zero and up to a day.
pub(super) fn seconds(number: f64) -> Option<Duration> {
    let is_fit = (0.001..=86_400.0).contains(&number);
    is_fit.then(|| Duration::from_millis((number * 1_000.0).round() as u64))
}

fn whole_u32(number: f64) -> Option<u32> {
    let is_whole = number.fract() == 0.0 && number <= f64::from(u32::MAX);
    is_whole.then_some(number as u32).filter(|number| *number > 0)
}

/// The deployment that a model of theirs is, if it is Azure OpenAI's.
fn azure_deployment<'t>(model: &'t str, provider: Option<&str>) -> Option<&'t str> {
    let rest = match (model.split_once('/'), provider) {
        (Some(("azure" | "azure_text", rest)), _) => rest,
        (_, Some("azure" | "azure_text")) => model,
        _ => return None,
    };
    // Words that say how to ask, not what.
    let words = ["responses/", "o_series/", "gpt5_series/", "gpt_series/"];
    Some(words.iter().find_map(|word| rest.strip_prefix(word)).unwrap_or(rest))
}

fn no_azure(model: &str, provider: Option<&str>) -> String {
    let name = provider.or_else(|| model.split_once('/').map(|(provider, _)| provider));
    let is_plain =
        |name: &&str| name.len() <= 32 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    match name.filter(is_plain) {
        Some(name) => format!("a model of `{name}`: Emberway is for Azure OpenAI; clients ask that provider themselves, or keep LiteLLM for it"),
        None => "no model of Azure OpenAI, which would be `azure/NAME`: clients ask its provider themselves, or keep LiteLLM for it".to_owned(),
    }
}

fn is_deployment_name(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}
