//! Who is told what people should look at.

use url::{Host, Url};

use crate::config::checked::AlertSettings;
use crate::config::compile::context::Context;
use crate::config::errors::Pointer;
use crate::config::raw::alerts::RawAlerts;

/// Compiles the section; none after a mistake. What references stand for is never shown.
pub(super) fn compile(
    context: &mut Context<'_>,
    raw: &RawAlerts,
    has_azure: bool,
    at: &Pointer,
) -> Option<AlertSettings> {
    let at = at.key("webhook");
    if !has_azure {
        let hint = "add the section `azure`, or leave this out".to_owned();
        context.warn(
            &at,
            "alerts are about what Azure's control plane shows, and there is no `azure`",
            hint,
        );
    }
    let raw = &raw.webhook;
    let authorization = raw
        .authorization
        .as_ref()
        .and_then(|written| context.secret(&at.key("authorization"), &written.0));
    let at = at.key("url");
    let text = context.secret(&at, &raw.url.0)?;
    let example = "such as `https://hooks.example.com/services/…`";
    let url = match Url::parse(text.expose()) {
        Ok(url) if matches!(url.scheme(), "https" | "http") && url.has_host() => url,
        Ok(_) => {
            context.error(&at, "it is neither an `https` nor an `http` URL", example.to_owned());
            return None;
        }
        Err(error) => {
            context.error(&at, format!("it is not a URL: {error}"), example.to_owned());
            return None;
        }
    };
    let is_near = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    if url.scheme() == "http" && !is_near && !raw.allow_plaintext {
        let hint = "use `https://…`, or set `allow_plaintext: true`".to_owned();
        context.error(&at, "alerts would travel readably", hint);
    }
    Some(AlertSettings { url, authorization })
}
