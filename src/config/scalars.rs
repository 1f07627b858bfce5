//! The text forms of single values in the file: names, references to deployments, durations, sizes, secrets.
//!
//! Each is a type of its own whose JSON Schema carries the pattern, so that an editor refuses what the compiler
//! would refuse; `$comment` says the form in words, for error messages. A text that matches its pattern always converts.

use std::borrow::Cow;
use std::time::Duration;

use bytesize::ByteSize;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A length of time, kept as it was written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(in crate::config) struct DurationText {
    text: String,
    value: Duration,
}

impl DurationText {
    pub(in crate::config) fn millis(count: u64) -> Self {
        Self {
            text: format!("{count}ms"),
            value: Duration::from_millis(count),
        }
    }

    pub(in crate::config) fn secs(count: u64) -> Self {
        Self {
            text: format!("{count}s"),
            value: Duration::from_secs(count),
        }
    }

    pub(in crate::config) fn value(&self) -> Duration {
        self.value
    }

    pub(in crate::config) fn text(&self) -> &str {
        &self.text
    }
}

impl TryFrom<String> for DurationText {
    type Error = humantime::DurationError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        humantime::parse_duration(&text).map(|value| Self { text, value })
    }
}

impl From<DurationText> for String {
    fn from(duration: DurationText) -> Self {
        duration.text
    }
}

impl JsonSchema for DurationText {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "title": "duration",
            "description": "A length of time: a whole number and `ms`, `s`, `m`, `h` or `d`.",
            "$comment": "a whole number and `ms`, `s`, `m`, `h` or `d`",
            "pattern": "^[0-9]{1,9}(ms|s|m|h|d)$",
            "examples": ["250ms", "30s", "10m"],
        })
    }
}

/// A number of bytes, kept as it was written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(in crate::config) struct SizeText {
    text: String,
    bytes: u64,
}

impl SizeText {
    pub(in crate::config) fn mib(count: u64) -> Self {
        Self {
            text: format!("{count}MiB"),
            bytes: ByteSize::mib(count).as_u64(),
        }
    }

    pub(in crate::config) fn gib(count: u64) -> Self {
        Self {
            text: format!("{count}GiB"),
            bytes: ByteSize::gib(count).as_u64(),
        }
    }

    /// In bytes; capped at what the machine can address.
    pub(in crate::config) fn bytes(&self) -> usize {
        usize::try_from(self.bytes).unwrap_or(usize::MAX)
    }

    pub(in crate::config) fn text(&self) -> &str {
        &self.text
    }
}

impl TryFrom<String> for SizeText {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let bytes = text.parse::<ByteSize>()?.as_u64();
        Ok(Self { text, bytes })
    }
}

impl From<SizeText> for String {
    fn from(size: SizeText) -> Self {
        size.text
    }
}

impl JsonSchema for SizeText {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "title": "size",
            "description": "A number of bytes: a whole number and `B`, `KiB`, `MiB` or `GiB`.",
            "$comment": "a whole number and `B`, `KiB`, `MiB` or `GiB`",
            "pattern": "^[0-9]{1,9}(B|KiB|MiB|GiB)$",
            "examples": ["64KiB", "32MiB", "1GiB"],
        })
    }
}

/// The name of a client, resource, deployment or pool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(in crate::config) struct Name(pub(in crate::config) String);

impl JsonSchema for Name {
    fn schema_name() -> Cow<'static, str> {
        "Name".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "title": "name",
            "description": "Up to 64 letters, digits, `-`, `_` and `.`, the first a letter or digit.",
            "$comment": "up to 64 letters, digits, `-`, `_` and `.`, the first a letter or digit",
            "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
            "examples": ["support"],
        })
    }
}

/// A model name as clients send it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(in crate::config) struct ModelName(pub(in crate::config) String);

impl JsonSchema for ModelName {
    fn schema_name() -> Cow<'static, str> {
        "ModelName".into()
    }

    // No slash: in Azure's own URLs the model is one segment of the path.
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "title": "model name",
            "description": "Up to 128 letters, digits, `-`, `_`, `.` and `:`, the first a letter or digit.",
            "$comment": "up to 128 letters, digits, `-`, `_`, `.` and `:`, the first a letter or digit",
            "pattern": "^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$",
            "examples": ["support-bot", "gpt-4.1-mini-support"],
        })
    }
}

/// A deployment, named `resource/deployment`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(in crate::config) struct DeploymentRef(pub(in crate::config) String);

impl JsonSchema for DeploymentRef {
    fn schema_name() -> Cow<'static, str> {
        "DeploymentReference".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "title": "deployment reference",
            "description": "A deployment of `resources`, written `resource/deployment`.",
            "$comment": "`resource/deployment`",
            "pattern": "^[^/]+/[^/]+$",
            "examples": ["contoso-swedencentral/support"],
        })
    }
}

/// A secret, given by reference.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(in crate::config) struct SecretText(pub(in crate::config) String);

impl std::fmt::Debug for SecretText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretText(…)")
    }
}

impl JsonSchema for SecretText {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "title": "secret",
            "description": "A secret by reference: `${env:NAME}` is an environment variable, `${file:path}` the \
                content of a file (relative to this one; line ends at its end are cut). Text around references is kept.",
            "pattern": r"\$\{(env|file):[^{}]+\}",
            "examples": ["${env:AZURE_OPENAI_KEY}", "${file:/run/secrets/azure-openai-key}"],
            "writeOnly": true,
        })
    }
}

/// A client's key: a reference or a digest.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(in crate::config) struct ClientKeyText(pub(in crate::config) String);

impl std::fmt::Debug for ClientKeyText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClientKeyText(…)")
    }
}

impl JsonSchema for ClientKeyText {
    fn schema_name() -> Cow<'static, str> {
        "ClientKey".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "title": "client key",
            "description": "A key by reference (`${env:NAME}`, `${file:path}`), or its SHA-256 digest as \
                `sha256:` and 64 hexadecimal digits: `printf %s \"$KEY\" | sha256sum`.",
            "pattern": r"^sha256:[0-9a-fA-F]{64}$|\$\{(env|file):[^{}]+\}",
            "examples": [
                "${env:SUPPORT_TEAM_KEY}",
                "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            ],
            "writeOnly": true,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_convert_at_their_extremes() {
        for text in ["0ms", "250ms", "999999999ms", "999999999d", "999999999h"] {
            DurationText::try_from(text.to_owned()).expect(text);
        }
        for (text, bytes) in [
            ("0B", 0),
            ("64KiB", 65_536),
            ("32MiB", 33_554_432),
            ("999999999GiB", 999_999_999 << 30),
        ] {
            assert_eq!(SizeText::try_from(text.to_owned()).expect(text).bytes(), bytes);
        }
    }

    #[test]
    fn built_in_values_read_back_as_themselves() {
        for duration in [DurationText::secs(0), DurationText::secs(60)] {
            assert_eq!(
                DurationText::try_from(duration.text().to_owned()).expect("reads"),
                duration
            );
        }
        for size in [SizeText::mib(32), SizeText::gib(1)] {
            assert_eq!(SizeText::try_from(size.text().to_owned()).expect("reads"), size);
        }
    }
}
