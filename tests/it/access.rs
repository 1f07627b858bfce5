//! Who may use the admin listener, and from where: every endpoint of the API, as its own document names them, so that one that is added
//! later is held to the same.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{ADMIN_TOKEN, Answer, KEY, OTHER_KEY, Setup, World, read};

mod oidc;
mod provider;
mod refused;

/// A gateway with a token for each role: `ADMIN_TOKEN`, and the harness's two client keys for an operator and a viewer.
async fn world() -> World {
    World::start(Setup {
        admin: "token: '${env:ADMIN_TOKEN}', tokens: [{ name: olga, token: '${env:KEY}', role: operator }, \
            { name: vera, token: '${env:OTHER_KEY}', role: viewer }]",
        ..Setup::default()
    })
    .await
}

/// An operation of the document.
struct Operation {
    method: Method,
    path: String,
    role: Option<String>,
}

impl Operation {
    fn changes(&self) -> bool {
        self.method != Method::GET
    }
}

/// All operations, parameters in paths filled in.
async fn operations(world: &World) -> Vec<Operation> {
    let document = world.admin("/api/v1/openapi.json").await.json();
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let filled = path
                .split('/')
                .map(|part| if part.starts_with('{') { "1" } else { part });
            all.push(Operation {
                method: method.to_uppercase().parse().expect("a method"),
                path: filled.collect::<Vec<_>>().join("/"),
                role: operation["x-emberway-role"].as_str().map(str::to_owned),
            });
        }
    }
    all
}

/// Asks with these headers.
async fn ask(world: &World, method: &Method, path: &str, headers: &[(&str, &str)]) -> Answer {
    let url = format!("http://{}{path}", world.gateway.admin_address());
    let mut request = world.client.request(method.clone(), url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    read(request.send().await.expect("an answer")).await
}

/// Headers that are to be refused, with the status and the code.
type Refused<'a> = (&'a [(&'a str, &'a str)], u16, &'a str);

/// Expects each of these requests to be refused.
async fn refused(world: &World, operation: &Operation, cases: &[Refused<'_>]) {
    for (headers, status, code) in cases {
        let answer = ask(world, &operation.method, &operation.path, headers).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (*status, *code),
            "{} {} {headers:?}",
            operation.method,
            operation.path
        );
        assert_eq!(answer.header("cache-control"), "no-store");
    }
}

/// The cookie of a session that this token began.
async fn cookie(world: &World, token: &str) -> String {
    let url = format!("http://{}/api/v1/session", world.gateway.admin_address());
    let asked = world
        .client
        .post(url)
        .header("x-emberway-csrf", "1")
        .json(&json!({ "token": token }));
    let answer = read(asked.send().await.expect("an answer")).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let set = answer.header("set-cookie");
    let mut parts: Vec<&str> = set.split("; ").collect();
    let cookie = parts.remove(0).to_owned();
    parts.sort_unstable();
    assert_eq!(parts, ["HttpOnly", "Path=/", "SameSite=Strict"]);
    cookie
}

#[tokio::test(flavor = "multi_thread")]
async fn every_endpoint_asks_who_asks_and_from_where() {
    let world = world().await;
    let own = format!("http://{}", world.gateway.admin_address());
    let bearer = |token: &str| format!("Bearer {token}");
    let (viewer, operator, wrong) = (bearer(OTHER_KEY), bearer(KEY), bearer("a-wrong-token"));
    let session = cookie(&world, ADMIN_TOKEN).await;
    let cookie = ("cookie", session.as_str());
    let (name, _) = session.split_once('=').expect("a cookie");
    assert_eq!(
        name,
        format!("emberway_session_{}", world.gateway.admin_address().port())
    );
    let ended = format!("{name}=0");
    let (csrf, origin, elsewhere) = (
        ("x-emberway-csrf", "1"),
        ("origin", own.as_str()),
        ("origin", "https://evil.example"),
    );
    let operations = operations(&world).await;
    let writes = operations.iter().filter(|operation| operation.changes()).count();
    assert!(
        writes >= 2 && operations.len() - writes >= 4,
        "{writes} writes of {}",
        operations.len()
    );
    for operation in &operations {
        if operation.role.is_some() {
            let strangers: [Refused<'_>; 4] = [
                (&[csrf], 401, "invalid_admin_token"),
                (&[("authorization", &wrong)], 401, "invalid_admin_token"),
                (&[("cookie", &ended), csrf, origin], 401, "invalid_admin_token"),
                (
                    &[("authorization", &wrong), cookie, csrf, origin],
                    401,
                    "invalid_admin_token",
                ),
            ];
            refused(&world, operation, &strangers).await;
        }
        let too_low: &[&str] = match operation.role.as_deref() {
            Some("admin") => &[&viewer, &operator],
            Some("operator") => &[&viewer],
            _ => &[],
        };
        for token in too_low {
            refused(&world, operation, &[(&[("authorization", token)], 403, "role_too_low")]).await;
        }
        if operation.changes() {
            let forged: [Refused<'_>; 6] = [
                (&[cookie, origin], 403, "csrf_header_missing"),
                (&[cookie, csrf], 403, "cross_site"),
                (&[cookie, csrf, elsewhere], 403, "cross_site"),
                (&[cookie, csrf, ("origin", "null")], 403, "cross_site"),
                (
                    &[cookie, csrf, ("sec-fetch-site", "cross-site"), origin],
                    403,
                    "cross_site",
                ),
                (&[cookie, csrf, ("sec-fetch-site", "same-site")], 403, "cross_site"),
            ];
            refused(&world, operation, &forged).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_credential_every_endpoint_is_of_this_machine_only() {
    let world = World::start(Setup::default()).await;
    for operation in operations(&world).await {
        let names = ["evil.example", "127.0.0.1.evil.example:9090", "10.0.0.1"];
        for name in names {
            let headers = [("host", name), ("x-emberway-csrf", "1")];
            refused(&world, &operation, &[(&headers, 403, "foreign_host")]).await;
        }
        if operation.changes() {
            let forged: [Refused<'_>; 3] = [
                (&[], 403, "csrf_header_missing"),
                (
                    &[("x-emberway-csrf", "1"), ("origin", "https://evil.example")],
                    403,
                    "cross_site",
                ),
                (
                    &[("x-emberway-csrf", "1"), ("sec-fetch-site", "cross-site")],
                    403,
                    "cross_site",
                ),
            ];
            refused(&world, &operation, &forged).await;
        }
    }
    let foreign = [("host", "evil.example")];
    for path in ["/", "/status", "/metrics", "/admin/drains"] {
        let answer = ask(&world, &Method::GET, path, &foreign).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (403, "foreign_host"),
            "{path}"
        );
    }
    // Probes come by any name.
    for path in ["/livez", "/readyz"] {
        assert_eq!(ask(&world, &Method::GET, path, &foreign).await.status, 200, "{path}");
    }
    let told = ask(&world, &Method::GET, "/api/v1/session", &[("host", "localhost:1")])
        .await
        .json();
    assert_eq!(
        (&told["signed_in"], &told["role"], &told["auth"], &told["offers"]),
        (&json!(true), &json!("admin"), &json!("none"), &json!([]))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_older_endpoints_are_no_browsers_to_write_to() {
    let body = json!({ "kind": "region", "name": "region-a" });
    for setup in [
        Setup::default(),
        Setup {
            admin: "token: '${env:ADMIN_TOKEN}'",
            ..Setup::default()
        },
    ] {
        let has_token = !setup.admin.is_empty();
        let world = World::start(setup).await;
        let session = if has_token {
            cookie(&world, ADMIN_TOKEN).await
        } else {
            String::new()
        };
        let url = format!("http://{}/admin/drains", world.gateway.admin_address());
        for (name, value) in [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")] {
            for method in [Method::POST, Method::DELETE] {
                let asked = world
                    .client
                    .request(method, &url)
                    .header("cookie", &session)
                    .header(name, value);
                let answer = read(asked.json(&body).send().await.expect("an answer")).await;
                assert_eq!((answer.status.as_u16(), answer.code().as_str()), (403, "cross_site"));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_begins_with_a_token_and_ends() {
    let world = world().await;
    let own = format!("http://{}", world.gateway.admin_address());
    let session = cookie(&world, KEY).await;
    let told = async || {
        ask(&world, &Method::GET, "/api/v1/session", &[("cookie", &session)])
            .await
            .json()
    };
    let signed_in = told().await;
    assert_eq!(
        (&signed_in["name"], &signed_in["role"]),
        (&json!("olga"), &json!("operator"))
    );
    let headers = [("cookie", session.as_str()), ("x-emberway-csrf", "1"), ("origin", &own)];
    let drained = world
        .client
        .post(format!("{own}/admin/drains"))
        .header("cookie", &session)
        .header("sec-fetch-site", "same-origin")
        .json(&json!({ "kind": "region", "name": "region-a", "for_s": 60 }));
    assert_eq!(drained.send().await.expect("an answer").status(), 200);
    let audit = ask(&world, &Method::GET, "/api/v1/audit?limit=1", &[("cookie", &session)])
        .await
        .json();
    let entry = &audit["entries"][0];
    assert_eq!(
        (&entry["who"], &entry["result"], &entry["text"]),
        (
            &json!("olga (operator)"),
            &json!("done"),
            &json!("drain region region-a for 60 s")
        )
    );
    let ended = ask(&world, &Method::DELETE, "/api/v1/session", &headers).await;
    assert!(
        ended.status == 200 && ended.header("set-cookie").contains("Max-Age=0"),
        "{ended:?}"
    );
    assert_eq!(told().await["signed_in"], false);
    let audit = ask(&world, &Method::GET, "/api/v1/audit", &[("cookie", &session)]).await;
    assert_eq!(audit.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_tokens_is_slowed_down() {
    let world = world().await;
    let url = format!("http://{}/api/v1/session", world.gateway.admin_address());
    let try_it = async |token: &str| {
        let asked = world.client.post(&url).header("x-emberway-csrf", "1");
        read(asked.json(&json!({ "token": token })).send().await.expect("an answer")).await
    };
    for _ in 0..10 {
        assert_eq!(try_it("a-wrong-token").await.code(), "invalid_admin_token");
    }
    assert_eq!(try_it(ADMIN_TOKEN).await.status, 200, "the right one always passes");
    let refused = try_it("a-wrong-token").await;
    assert_eq!(
        (refused.status.as_u16(), refused.code().as_str()),
        (429, "too_many_attempts")
    );
    let after: u64 = refused.header("retry-after").parse().expect("seconds");
    assert!((1..=60).contains(&after), "{after}");
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_are_told_to_run_nothing_of_others() {
    let world = world().await;
    let expected = [
        (
            "content-security-policy",
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; \
             form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        ),
        ("x-frame-options", "DENY"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ];
    let paths = [
        "/",
        "/livez",
        "/metrics",
        "/nothing",
        "/auth/login",
        "/api/v1/session",
        "/api/v1/status",
        "/api/v1/nothing",
    ];
    for (path, token) in paths.iter().flat_map(|path| [(path, "wrong"), (path, ADMIN_TOKEN)]) {
        let answer = ask(
            &world,
            &Method::GET,
            path,
            &[("authorization", &format!("Bearer {token}"))],
        )
        .await;
        for (name, value) in expected {
            assert_eq!(answer.header(name), value, "{path} {}", answer.status);
        }
        assert!(!answer.header("permissions-policy").is_empty());
        let kept = if *path == "/" {
            answer.header("cache-control")
        } else {
            ""
        };
        assert!(
            kept == "no-cache" || answer.header("cache-control") == "no-store",
            "{path} {answer:?}"
        );
    }
    // What is called JSON is JSON, whatever is asked.
    let wrong = ask(&world, &Method::PUT, "/api/v1/status", &[]).await;
    assert_eq!(
        (wrong.status.as_u16(), wrong.code().as_str(), wrong.header("allow")),
        (405, "wrong_method", "GET,HEAD")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_served_as_it_was_built() {
    let world = world().await;
    let get = async |path: &str, headers: &[(&str, &str)]| ask(&world, &Method::GET, path, headers).await;
    let index = get("/", &[]).await;
    assert_eq!(
        (index.status.as_u16(), index.header("content-type")),
        (200, "text/html; charset=utf-8")
    );
    let text = index.text();
    if text.contains("make page") {
        // Built without Node.
        assert!(text.contains("built without"), "{text}");
        return;
    }
    let tag = index.header("etag").to_owned();
    assert!(
        !tag.is_empty() && index.header("cache-control") == "no-cache",
        "{index:?}"
    );
    assert_eq!(
        get("/", &[("if-none-match", &tag)]).await.status,
        StatusCode::NOT_MODIFIED
    );
    let script = text
        .split('"')
        .find(|part| part.starts_with("./assets/") && part.rsplit('.').next() == Some("js"));
    let script = script.expect("a script").trim_start_matches('.');
    let plain = get(script, &[]).await;
    assert_eq!(plain.header("content-type"), "text/javascript; charset=utf-8");
    assert_eq!(plain.header("cache-control"), "public, max-age=31536000, immutable");
    let mut seen = vec![(plain.body.len(), plain.header("etag").to_owned())];
    for (accepted, encoding) in [("gzip", "gzip"), ("gzip, deflate, br", "br"), ("br;q=0, gzip", "gzip")] {
        let packed = get(script, &[("accept-encoding", accepted)]).await;
        assert_eq!(
            (packed.header("content-encoding"), packed.header("vary")),
            (encoding, "accept-encoding")
        );
        assert_eq!(packed.header("content-type"), plain.header("content-type"));
        assert!(packed.body.len() < plain.body.len());
        seen.push((packed.body.len(), packed.header("etag").to_owned()));
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 3, "an encoding is an entity of its own: {seen:?}");
    let head = ask(&world, &Method::HEAD, script, &[]).await;
    assert!(
        head.body.is_empty() && head.header("content-length") == plain.body.len().to_string(),
        "{head:?}"
    );
    for nothing in [
        &format!("{script}.br"),
        "/assets/nothing.js",
        "/index.html/x",
        "/../Cargo.toml",
    ] {
        assert_eq!(get(nothing, &[]).await.code(), "not_served", "{nothing}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_of_the_api_are_compressed_for_those_who_can() {
    let world = world().await;
    let authorization = format!("Bearer {ADMIN_TOKEN}");
    let headers = [("authorization", authorization.as_str()), ("accept-encoding", "gzip")];
    let packed = ask(&world, &Method::GET, "/api/v1/openapi.json", &headers).await;
    assert_eq!(packed.header("content-encoding"), "gzip");
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&packed.body[..]), &mut text).expect("gzip");
    let document: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(document["openapi"], "3.1.0");
}
