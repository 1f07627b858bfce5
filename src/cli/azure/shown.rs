//! A request to ARM for people: as it goes over the wire, as a curl line, and as the Azure CLI would send it. Variables stand for
//! tokens, which are never shown.

use serde::Serialize;
use serde_json::Value;

use crate::azure::address::ArmRequest;

/// What stands for the token.
const TOKEN: &str = "Bearer $TOKEN";
/// What stands for the token of the source's tenant.
const AUXILIARY: &str = "Bearer $AUXILIARY_TOKEN";

/// A request that is not sent.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct Shown {
    method: String,
    url: String,
    headers: Vec<(&'static str, &'static str)>,
    body: Option<Value>,
    /// The body's bytes.
    #[serde(skip)]
    text: Option<String>,
    curl: String,
    /// The same as a command of the Azure CLI.
    az: String,
}

impl Shown {
    /// With the arguments that the Azure CLI's own command takes; none where it has none that can say this, and `az rest` says it.
    pub(in crate::cli) fn new(request: &ArmRequest, az: Option<&[String]>) -> Self {
        let mut headers = vec![("Authorization", TOKEN)];
        if request.auxiliary_tenant.is_some() {
            headers.push(("x-ms-authorization-auxiliary", AUXILIARY));
        }
        if request.body.is_some() {
            headers.push(("Content-Type", "application/json"));
        }
        Self {
            method: request.method.to_string(),
            url: request.url.to_string(),
            curl: curl(request, &headers),
            az: az.map_or_else(|| az_rest(request), az_command),
            body: request.body.as_deref().and_then(|body| serde_json::from_str(body).ok()),
            text: request.body.clone(),
            headers,
        }
    }

    /// The request, then both commands.
    pub(in crate::cli) fn text(&self) -> String {
        let mut lines = vec![format!("{} {}", self.method, self.url)];
        lines.extend(self.headers.iter().map(|(name, value)| format!("{name}: {value}")));
        if let Some(body) = &self.text {
            lines.extend([String::new(), body.clone()]);
        }
        lines.extend([String::new(), self.curl.clone(), String::new(), self.az.clone()]);
        lines.join("\n")
    }
}

fn curl(request: &ArmRequest, headers: &[(&str, &str)]) -> String {
    let mut line = format!("curl -X {} {}", request.method, quoted(request.url.as_str()));
    for (name, value) in headers {
        // In double quotes, so that the shell puts the token in.
        line = format!("{line} \\\n  -H \"{name}: {value}\"");
    }
    match &request.body {
        Some(body) => format!("{line} \\\n  -d {}", quoted(body)),
        None => line,
    }
}

fn az_command(arguments: &[String]) -> String {
    let shown: Vec<String> = arguments.iter().map(|argument| quoted(argument)).collect();
    let mut line = "az cognitiveservices account deployment".to_owned();
    for argument in shown {
        let glue = if argument.starts_with('-') { " \\\n  " } else { " " };
        line = format!("{line}{glue}{argument}");
    }
    line
}

fn az_rest(request: &ArmRequest) -> String {
    let method = request.method.as_str().to_lowercase();
    let mut line = format!("az rest --method {method} --url {}", quoted(request.url.as_str()));
    if request.auxiliary_tenant.is_some() {
        line = format!("{line} \\\n  --headers \"x-ms-authorization-auxiliary={AUXILIARY}\"");
    }
    match &request.body {
        Some(body) => format!("{line} \\\n  --body {}", quoted(body)),
        None => line,
    }
}

/// An argument as a shell takes it.
fn quoted(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=@%+,".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_survive_a_shell() {
        for (text, expected) in [
            ("plain-1.0", "plain-1.0"),
            ("", "''"),
            ("a b", "'a b'"),
            ("$(rm)", "'$(rm)'"),
            ("it's", r"'it'\''s'"),
            ("a?b&c", "'a?b&c'"),
        ] {
            assert_eq!(quoted(text), expected);
        }
    }
}
