//! Who may use the admin listener: what is refused.

use super::mistakes::check_added;

#[test]
fn tokens_are_told_apart_and_a_provider_is_asked_securely() {
    check_added(
        "admin: {token: '${env:TEAM_KEY}', tokens: [{name: admin, token: '${env:TEAM_KEY}', role: viewer}]}",
        &[
            "22:45: admin.tokens[0].name: a token is named `admin` already",
            "22:58: admin.tokens[0].token: this token is also that of `admin`",
        ],
    );
    for name in ["file", "local", "admin"] {
        check_added(
            &format!("admin: {{tokens: [{{name: {name}, token: '${{env:TEAM_KEY}}', role: viewer}}]}}"),
            &[&format!("22:19: admin.tokens[0].name: no token may be named `{name}`")],
        );
    }
    check_added(
        "admin: {oidc: {issuer: '${env:AZURE_KEY}', client_id: a, client_secret: '${env:TEAM_KEY}', roles: {admin: [a]}}}",
        &["22:16: admin.oidc.issuer: `${env:AZURE_KEY}` is not a URL: relative URL without a base"],
    );
    check_added(
        "admin: {oidc: {issuer: 'http://login.example', client_id: a, client_secret: '${env:TEAM_KEY}', roles: {}, redirect_url: 'https://e.example/'}}",
        &[
            "22:16: admin.oidc.issuer: `http://login.example` would carry sign-ins readably",
            "22:96: admin.oidc.roles: nobody could sign in",
            "22:107: admin.oidc.redirect_url: nothing is served at its path",
        ],
    );
}
