//! What does a write want? The bodies of PUT and PATCH, read as the service reads them.
//!
//! SKU names compare without regard to case, `Developer` is `DeveloperTier`, and a capacity may be a number in a string, as
//! azure-cli sends it. Members that are not known are let be.

use serde_json::{Map, Value};

use crate::simulator::arm::error::ArmError;
use crate::simulator::scenario::Sku;

/// Longest value of any text taken.
const MAX_TEXT_BYTES: usize = 1_024;

/// A model as a deployment names it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelRef {
    /// Id of a model, a fine-tuned model or a checkpoint.
    pub name: String,
    /// Version; `1` for fine-tuned ones.
    pub version: String,
    /// ARM id of the account that has it, in the same tenant.
    pub source: Option<String>,
    /// The same for the recipe across tenants.
    pub source_account: Option<String>,
}

/// What a deployment should be.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// Its model.
    pub model: ModelRef,
    /// Its kind.
    pub sku: Sku,
    /// Its capacity; the least possible when absent.
    pub capacity: Option<u32>,
    /// `properties` that are only shown again.
    pub shown: Map<String, Value>,
    /// `tags`.
    pub tags: Map<String, Value>,
    /// Where a provisioned deployment spills over to.
    pub spillover: Option<String>,
}

/// What a PATCH changes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Change {
    /// The kind, when it is named.
    pub sku: Option<Sku>,
    /// The capacity.
    pub capacity: Option<u32>,
    /// Tags, all of them.
    pub tags: Option<Map<String, Value>>,
}

/// Members of `properties` that have no effect here and are shown again.
const SHOWN: &[&str] = &[
    "raiPolicyName",
    "versionUpgradeOption",
    "parentDeploymentName",
    "capacitySettings",
    "serviceTier",
];

/// Reads the body of a PUT.
///
/// # Errors
/// 400 when it is not a deployment.
pub fn put(body: &[u8]) -> Result<Wanted, ArmError> {
    let fields = object(body)?;
    let (sku, capacity) = sku_of(&fields)?;
    let sku = sku.ok_or_else(|| ArmError::invalid_properties("The property 'sku.name' is required."))?;
    let properties = fields.get("properties").and_then(Value::as_object);
    let properties = properties.ok_or_else(|| ArmError::invalid_content("Required property 'properties' not found"))?;
    let model = properties.get("model").and_then(Value::as_object);
    let model = model.ok_or_else(|| ArmError::invalid_content("Required property 'properties.model' not found"))?;
    let format = text(model, "format")?;
    if format.as_deref() != Some("OpenAI") {
        return Err(ArmError::invalid_properties(format!(
            "The model format '{}' is not supported by the simulator; it has 'OpenAI' only.",
            format.unwrap_or_default()
        )));
    }
    let name = text(model, "name")?
        .ok_or_else(|| ArmError::invalid_content("Required property 'properties.model.name' not found"))?;
    let version = text(model, "version")?.unwrap_or_default();
    let shown = SHOWN
        .iter()
        .filter_map(|&name| Some((name.to_owned(), properties.get(name)?.clone())));
    Ok(Wanted {
        model: ModelRef {
            name,
            version,
            source: text(model, "source")?,
            source_account: text(model, "sourceAccount")?,
        },
        sku,
        capacity,
        shown: shown.filter(|(_, value)| !value.is_null()).collect(),
        tags: tags(&fields)?.unwrap_or_default(),
        spillover: text(properties, "spilloverDeploymentName")?,
    })
}

/// Reads the body of a PATCH.
///
/// # Errors
/// 400 when it has more than `sku` and `tags`, or less than one of them.
pub fn patch(body: &[u8]) -> Result<Change, ArmError> {
    let fields = object(body)?;
    if let Some(other) = fields.keys().find(|name| !matches!(name.as_str(), "sku" | "tags")) {
        let problem = format!("Could not find member '{other}' on object of type 'PatchResourceTagsAndSku'");
        return Err(ArmError::invalid_content(&problem));
    }
    let (sku, capacity) = sku_of(&fields)?;
    let change = Change {
        sku,
        capacity,
        tags: tags(&fields)?,
    };
    if change == Change::default() {
        return Err(ArmError::invalid_content("One of 'sku' and 'tags' is required"));
    }
    Ok(change)
}

fn object(body: &[u8]) -> Result<Map<String, Value>, ArmError> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(ArmError::invalid_content("The body is not an object")),
        Err(error) => Err(ArmError::invalid_content(&error.to_string())),
    }
}

fn text(fields: &Map<String, Value>, name: &str) -> Result<Option<String>, ArmError> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) if text.len() <= MAX_TEXT_BYTES => Ok(Some(text.clone())),
        Some(_) => Err(ArmError::invalid_content(&format!(
            "The value of '{name}' is not a string of at most {MAX_TEXT_BYTES} bytes"
        ))),
    }
}

fn tags(fields: &Map<String, Value>) -> Result<Option<Map<String, Value>>, ArmError> {
    match fields.get("tags") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(tags)) if tags.len() <= 50 && tags.values().all(Value::is_string) => Ok(Some(tags.clone())),
        Some(_) => Err(ArmError::invalid_content(
            "The value of 'tags' is not at most 50 strings by name",
        )),
    }
}

fn sku_of(fields: &Map<String, Value>) -> Result<(Option<Sku>, Option<u32>), ArmError> {
    let sku = match fields.get("sku") {
        None | Some(Value::Null) => return Ok((None, None)),
        Some(Value::Object(sku)) => sku,
        Some(_) => return Err(ArmError::invalid_content("The value of 'sku' is not an object")),
    };
    let named = |name: String| {
        let unknown = || ArmError::invalid_properties(format!("The specified SKU '{name}' is not supported."));
        Sku::named(&name).ok_or_else(unknown)
    };
    let name = text(sku, "name")?.map(named).transpose()?;
    let capacity = match sku.get("capacity") {
        None | Some(Value::Null) => None,
        Some(Value::Number(number)) => Some(number.as_u64()),
        Some(Value::String(text)) => Some(text.trim().parse().ok()),
        Some(_) => Some(None),
    };
    let capacity = capacity.map(|number| number.and_then(|number| u32::try_from(number).ok()));
    match capacity {
        Some(None) => Err(ArmError::invalid_content("Could not convert 'sku.capacity' to integer")),
        Some(Some(0)) => Err(ArmError::invalid_properties("The capacity should be at least 1.")),
        Some(Some(number)) => Ok((name, Some(number))),
        None => Ok((name, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(sku: &str, model: &str) -> String {
        format!(
            r#"{{"sku":{sku},"properties":{{"model":{model},"raiPolicyName":"p","unknown":1}},"tags":{{"a":"b"}}}}"#
        )
    }

    #[test]
    fn puts_are_read_leniently_where_clients_differ() {
        const MODEL: &str = r#"{"format":"OpenAI","name":"m","version":"1","source":"/x"}"#;
        for (sku, expect) in [
            (r#"{"name":"standard","capacity":1}"#, (Sku::Standard, Some(1))),
            (
                r#"{"name":"Developer","capacity":"50"}"#,
                (Sku::DeveloperTier, Some(50)),
            ),
            (r#"{"name":"developertier"}"#, (Sku::DeveloperTier, None)),
            (
                r#"{"name":"GLOBALSTANDARD","capacity":null}"#,
                (Sku::GlobalStandard, None),
            ),
        ] {
            let wanted = put(body(sku, MODEL).as_bytes()).unwrap();
            assert_eq!((wanted.sku, wanted.capacity), expect, "{sku}");
            assert_eq!(wanted.model.source.as_deref(), Some("/x"));
            assert_eq!(wanted.shown.keys().collect::<Vec<_>>(), ["raiPolicyName"]);
            assert_eq!(wanted.tags["a"], "b");
        }
    }

    #[test]
    fn what_is_no_deployment_is_refused() {
        const SKU: &str = r#"{"name":"Standard","capacity":1}"#;
        const MODEL: &str = r#"{"format":"OpenAI","name":"m","version":"1"}"#;
        for (text, code) in [
            ("{".to_owned(), "InvalidRequestContent"),
            ("[]".to_owned(), "InvalidRequestContent"),
            (body("null", MODEL), "InvalidResourceProperties"),
            (
                body(r#"{"name":"GlobalBatch","capacity":1}"#, MODEL),
                "InvalidResourceProperties",
            ),
            (
                body(r#"{"name":"Standard","capacity":0}"#, MODEL),
                "InvalidResourceProperties",
            ),
            (
                body(r#"{"name":"Standard","capacity":"many"}"#, MODEL),
                "InvalidRequestContent",
            ),
            (
                body(r#"{"name":"Standard","capacity":-1}"#, MODEL),
                "InvalidRequestContent",
            ),
            (body(SKU, "null"), "InvalidRequestContent"),
            (
                body(SKU, r#"{"format":"openai","name":"m"}"#),
                "InvalidResourceProperties",
            ),
            (body(SKU, r#"{"format":"OpenAI"}"#), "InvalidRequestContent"),
            (body(SKU, r#"{"format":"OpenAI","name":7}"#), "InvalidRequestContent"),
        ] {
            assert_eq!(put(text.as_bytes()).unwrap_err().code, code, "{text}");
        }
    }

    #[test]
    fn patches_carry_sku_and_tags_only() {
        let change = patch(br#"{"sku":{"capacity":"7"}}"#).unwrap();
        assert_eq!((change.sku, change.capacity, change.tags), (None, Some(7), None));
        for text in [r"{}", r#"{"properties":{}}"#, r#"{"tags":{"a":1}}"#] {
            assert_eq!(
                patch(text.as_bytes()).unwrap_err().code,
                "InvalidRequestContent",
                "{text}"
            );
        }
    }
}
