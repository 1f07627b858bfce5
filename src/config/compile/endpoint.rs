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
    match parse(&text, raw.http2) {
        Ok((endpoint, loopback)) => {
            if !endpoint.tls && !loopback && !raw.allow_plaintext {
                context.error(
                    &at,
                    format!("`{text}` would carry prompts and credentials readably"),
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

/// The endpoint, and whether it is on this machine; or a message and a hint.
fn parse(text: &str, http2: bool) -> Result<(Endpoint, bool), (String, &'static str)> {
    let url = Url::parse(text).map_err(|error| (format!("`{text}` is not a URL: {error}"), EXAMPLE))?;
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
        other => return Err((format!("`{other}` is not a scheme that endpoints have"), EXAMPLE)),
    };
    if url.query().is_some() || url.fragment().is_some() {
        return Err((
            format!("`{}` has a query or fragment", without_query(&url)),
            "give the base URL only; `api-version` goes into `api_version`",
        ));
    }
    let base_path = url.path().trim_end_matches('/');
    if base_path.split('/').any(|segment| segment == "openai") {
        return Err((
            format!("`{text}` includes `/openai`, which the gateway adds itself"),
            "give the URL up to, but without, `/openai`",
        ));
    }
    let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
        return Err((format!("`{text}` names no host"), EXAMPLE));
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

fn without_query(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    url.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let shown = match parse(text, true) {
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
    fn what_is_not_an_endpoint_is_refused() {
        check("contoso", "`contoso` is not a URL: relative URL without a base");
        check("ftp://contoso", "`ftp` is not a scheme that endpoints have");
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
