//! Endpoint URLs of resources.

use url::{Host, Url};

use crate::config::compile::context::Context;
use crate::config::errors::Pointer;
use crate::config::raw::fleet::RawResource;
use crate::core::topology::Endpoint;

/// Parses and checks a resource's endpoint.
pub(super) fn compile(context: &mut Context<'_>, raw: &RawResource, resource: &Pointer) -> Endpoint {
    let at = resource.key("endpoint");
    let text = context.text(&at, &raw.endpoint);
    match parse(&text, &raw.endpoint, raw.http2) {
        Ok((endpoint, loopback)) => {
            if !endpoint.tls && !loopback && !raw.allow_plaintext {
                context.error(
                    &at,
                    format!("`{}` would carry prompts and credentials readably", raw.endpoint),
                    "write `https://…`, or set `allow_plaintext: true` on the resource".to_owned(),
                );
            }
            endpoint
        }
        Err((message, hint)) => {
            context.error(&at, message, hint.to_owned());
            Endpoint {
                tls: true,
                host: String::new(),
                port: 0,
                authority: String::new(),
                base_path: String::new(),
                http2: false,
            }
        }
    }
}

const EXAMPLE: &str = "such as `https://contoso-swedencentral.openai.azure.com`";

/// The endpoint, and whether it is on this machine; or a message, which tells the text as it was written, and a hint.
fn parse(text: &str, written: &str, http2: bool) -> Result<(Endpoint, bool), (String, &'static str)> {
    let url = Url::parse(text).map_err(|error| (format!("`{written}` is not a URL: {error}"), EXAMPLE))?;
    if !url.username().is_empty() || url.password().is_some() {
        // Not shown: it may hold a password.
        return Err((
            "the URL holds a user name or password".to_owned(),
            "credentials go into `credential`",
        ));
    }
    let tls = match url.scheme() {
        "https" => true,
        "http" => false,
        _ => return Err((format!("`{written}` is neither `https` nor `http`"), EXAMPLE)),
    };
    if url.query().is_some() || url.fragment().is_some() {
        return Err((
            format!("`{}` has a query or fragment", without_query(written)),
            "give the base URL only; `api-version` goes into `api_version`",
        ));
    }
    let base_path = url.path().trim_end_matches('/');
    if base_path.split('/').any(|segment| segment == "openai") {
        return Err((
            format!("`{written}` includes `/openai`, which the gateway adds itself"),
            "give the URL up to, but without, `/openai`",
        ));
    }
    let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
        return Err((format!("`{written}` names no host"), EXAMPLE));
    };
    let loopback = match &host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(ip) => ip.is_loopback(),
        Host::Ipv6(ip) => ip.is_loopback(),
    };
    let bare = match &host {
        Host::Ipv6(ip) => ip.to_string(),
        other => other.to_string(),
    };
    let authority = url
        .port()
        .map_or_else(|| host.to_string(), |port| format!("{host}:{port}"));
    let endpoint = Endpoint {
        tls,
        host: bare,
        port,
        authority,
        base_path: base_path.to_owned(),
        http2: http2 && tls,
    };
    Ok((endpoint, loopback))
}

/// The part before a query or fragment, which may hold a key.
fn without_query(written: &str) -> &str {
    written.split(['?', '#']).next().unwrap_or(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let shown = match parse(text, text, true) {
            Ok((endpoint, loopback)) => format!(
                "tls={} host={} port={} authority={} base={} http2={} loopback={loopback}",
                endpoint.tls, endpoint.host, endpoint.port, endpoint.authority, endpoint.base_path, endpoint.http2
            ),
            Err((message, _)) => message,
        };
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn endpoints_are_taken_apart() {
        check(
            "https://Contoso.openai.azure.com/",
            "tls=true host=contoso.openai.azure.com port=443 authority=contoso.openai.azure.com base= http2=true loopback=false",
        );
        check(
            "https://proxy.example:8443/azure/eu/",
            "tls=true host=proxy.example port=8443 authority=proxy.example:8443 base=/azure/eu http2=true loopback=false",
        );
        check(
            "http://127.0.0.1:9101",
            "tls=false host=127.0.0.1 port=9101 authority=127.0.0.1:9101 base= http2=false loopback=true",
        );
        check(
            "http://[::1]:9101",
            "tls=false host=::1 port=9101 authority=[::1]:9101 base= http2=false loopback=true",
        );
    }

    #[test]
    fn what_a_reference_stands_for_is_not_shown() {
        for text in [
            "hunter2",
            "hunter2://x",
            "https://x?hunter2",
            "https://x/openai/hunter2",
            "data:hunter2",
        ] {
            let Err((message, _)) = parse(text, "${env:KEY}", true) else {
                panic!("{text} is no endpoint");
            };
            assert!(
                message.contains("`${env:KEY}`") && !message.contains("hunter2"),
                "{message}"
            );
        }
    }

    #[test]
    fn what_is_not_an_endpoint_is_refused() {
        check("contoso", "`contoso` is not a URL: relative URL without a base");
        check("ftp://contoso", "`ftp://contoso` is neither `https` nor `http`");
        check("https://user:secret@contoso", "the URL holds a user name or password");
        check(
            "https://contoso/x?api-version=1",
            "`https://contoso/x` has a query or fragment",
        );
        check(
            "https://contoso/openai/v1",
            "`https://contoso/openai/v1` includes `/openai`, which the gateway adds itself",
        );
    }
}
