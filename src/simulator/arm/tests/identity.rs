//! Tokens from their endpoints to where they count, by the world's clock.

use super::*;

/// A token by client secret.
pub(super) async fn issued(bench: &Bench, tenant: &str, resource: &str) -> String {
    let form = format!(
        "grant_type=client_credentials&client_id=33333333-3333-4333-8333-333333333333&client_secret=sim-client-secret&scope={resource}%2F.default"
    );
    let request = Request::post(format!("/{tenant}/oauth2/v2.0/token"))
        .header("host", "arm")
        .body(Body::from(form));
    let reply = bench.send(request.unwrap()).await;
    reply.body["access_token"].as_str().expect("a token").to_owned()
}

/// The same without waiting.
pub(super) fn token(bench: &Bench, tenant: &str, resource: &str) -> String {
    use crate::simulator::arm::checks::Caller;
    let caller = Caller {
        principal: 0,
        tenant: tenant.to_owned(),
    };
    let now_s = bench.world.clock.unix_s();
    crate::simulator::arm::token::issue(&bench.plane().settings, &caller, resource, now_s, false).unwrap()
}

#[tokio::test(start_paused = true)]
async fn tokens_count_until_they_expire_in_the_world() {
    let bench = Bench::new();
    let token = issued(&bench, TENANT, "https://management.azure.com").await;
    let path = deployment("north", "a");
    let get = |token: &str| bench.send(request("GET", &path, token, &Value::Null));
    assert_eq!(get(&token).await.code(), "ResourceNotFound");
    let other = issued(&bench, "tenant2", "https://management.azure.com").await;
    assert_eq!(get(&other).await.code(), "InvalidAuthenticationTokenTenant");
    let inference = issued(&bench, TENANT, "https://cognitiveservices.azure.com").await;
    assert_eq!(get(&inference).await.code(), "InvalidAuthenticationToken");
    bench.advance(3_600);
    assert_eq!(get(&token).await.code(), "ExpiredAuthenticationToken");
    assert_eq!(
        get(&issued(&bench, TENANT, "https://management.azure.com").await)
            .await
            .code(),
        "ResourceNotFound"
    );
}

#[tokio::test(start_paused = true)]
async fn accounts_take_tokens_for_inference_of_those_who_may() {
    let principals = "  principals:
    - {name: operator, client_id: 33333333-3333-4333-8333-333333333333, object_id: o1, client_secret: sim-client-secret}
    - {name: deployer, client_id: c2, object_id: o2, rights: [{scope: /subscriptions/sub, role: cognitive_services_contributor}]}
";
    let bench = Bench::with(principals);
    bench.make("north", "support", &wanted("Standard", 50, MINI)).await;
    let chat = |token: String| {
        let bench = &bench;
        async move {
            bench
                .chat("north", "support", ("authorization", &format!("Bearer {token}")))
                .await
        }
    };
    let good = token(&bench, TENANT, "https://cognitiveservices.azure.com");
    assert_eq!(chat(good.clone()).await.status, 200);
    assert_eq!(chat(token(&bench, TENANT, "https://ai.azure.com")).await.status, 200);
    assert_eq!(
        chat(token(&bench, TENANT, "https://management.azure.com")).await.status,
        401
    );
    assert_eq!(
        chat(token(&bench, "tenant2", "https://cognitiveservices.azure.com"))
            .await
            .status,
        401
    );
    let caller = crate::simulator::arm::checks::Caller {
        principal: 1,
        tenant: TENANT.to_owned(),
    };
    let audience = "https://cognitiveservices.azure.com";
    let now_s = bench.world.clock.unix_s();
    let deployer = crate::simulator::arm::token::issue(&bench.plane().settings, &caller, audience, now_s, false);
    let refused = chat(deployer.unwrap()).await;
    assert_eq!((refused.status, refused.code()), (401, "PermissionDenied"));
    assert!(refused.body["error"]["message"].as_str().unwrap().contains("`o2`"));
    bench.advance(3_600);
    let expired = chat(good).await;
    assert_eq!((expired.status, &expired.body["statusCode"]), (401, &json!(401)));
}

#[tokio::test(start_paused = true)]
async fn the_cloud_describes_itself_at_the_address_that_was_used() {
    let bench = Bench::new();
    // azure-cli reads one cloud, older clients a list.
    let one = bench.get("/metadata/endpoints?api-version=2022-09-01").await.body;
    assert_eq!(one["resourceManager"], "http://arm/");
    let all = bench.get("/metadata/endpoints?api-version=2019-05-01").await.body;
    assert_eq!(all[0]["resourceManager"], "http://arm/");
    let openid = bench
        .get(&format!("/{TENANT}/v2.0/.well-known/openid-configuration"))
        .await
        .body;
    assert_eq!(
        openid["token_endpoint"],
        format!("http://arm/{TENANT}/oauth2/v2.0/token")
    );
}
