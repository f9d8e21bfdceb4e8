//! Who may log in, and who may write.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use shipper_tests::kafka::{
    Acl, CLIENT_ID, CLIENT_SECRET, Listener, Mechanism, PLAIN_PASSWORD, PLAIN_USER, Resource,
    TokenEndpoint, Topic,
};
use shipper_tests::process::until;

use crate::{eventually, password, produce, produce_as, shared};

/// Whether it failed, and said this.
fn is_refused(outcome: &anyhow::Result<()>, text: &str) -> bool {
    outcome.as_ref().is_err_and(|refusal| format!("{refusal:#}").contains(text))
}

#[test]
fn a_user_logs_in_with_the_password_it_has_now() -> anyhow::Result<()> {
    let Some(cluster) = shared() else { return Ok(()) };
    let admin = cluster.admin();
    admin.create_topic(&Topic::new("logins"))?;
    admin.add_acl(&Acl::allow("scram", "all", Resource::Topic("logins".into())))?;
    for mechanism in [Mechanism::ScramSha256, Mechanism::ScramSha512] {
        let login = (Listener::SaslPlaintext, mechanism);
        let send = |word: &str| {
            let options = password("scram", word);
            produce_as(cluster, login, ("logins", "in"), &options, &[]).map(drop)
        };
        admin.set_scram("scram", mechanism, "first")?;
        eventually(|| send("first"))?;
        let outcome = send("wrong");
        assert!(is_refused(&outcome, "SaslAuthenticationException"), "{outcome:?}");
        admin.set_scram("scram", mechanism, "second")?;
        eventually(|| send("second"))?;
        assert!(send("first").is_err());
        admin.remove_scram("scram", mechanism)?;
        until("no password is left", || Ok(send("second").is_err()))?;
    }
    Ok(())
}

#[test]
fn plain_and_bearer_tokens_are_taken_as_well() -> anyhow::Result<()> {
    let Some(cluster) = shared() else { return Ok(()) };
    let admin = cluster.admin();
    admin.create_topic(&Topic::new("others"))?;
    for user in [PLAIN_USER, "bearer"] {
        admin.add_acl(&Acl::allow(user, "all", Resource::Topic("others".into())))?;
    }
    let brokers = cluster.bootstrap(Listener::SaslPlaintext);
    let user = format!("-Xsasl.username={PLAIN_USER}");
    let word = format!("-Xsasl.password={PLAIN_PASSWORD}");
    let plain = ["-Xsecurity.protocol=SASL_PLAINTEXT", "-Xsasl.mechanism=PLAIN", &user, &word];
    eventually(|| produce(&brokers, "others", &plain, "in\n"))?;

    // Debian's kcat makes its tokens itself; it has no client for an endpoint.
    let bearer = [
        "-Xsecurity.protocol=SASL_PLAINTEXT",
        "-Xsasl.mechanism=OAUTHBEARER",
        "-Xenable.sasl.oauthbearer.unsecure.jwt=true",
        "-Xsasl.oauthbearer.config=principal=bearer scope=kafka",
    ];
    eventually(|| produce(&brokers, "others", &bearer, "in\n"))?;
    Ok(())
}

#[test]
fn the_endpoint_gives_a_token_to_its_client_alone() -> anyhow::Result<()> {
    let endpoint = TokenEndpoint::start()?;
    let ask = |secret: &str| -> anyhow::Result<String> {
        let body =
            format!("grant_type=client_credentials&client_id={CLIENT_ID}&client_secret={secret}");
        let address = endpoint.url().replace("http://", "").replace("/token", "");
        let mut connection = TcpStream::connect(address)?;
        write!(connection, "POST /token HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}", body.len())?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = ask(CLIENT_SECRET)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("a body")?;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let body: serde_json::Value = serde_json::from_str(body)?;
    let token = body["access_token"].as_str().context("a token")?;
    let claims = token.split('.').nth(1).context("claims")?;
    let claims: serde_json::Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims)?)?;
    assert_eq!(claims["sub"], CLIENT_ID);
    assert_eq!(claims["exp"].as_u64(), claims["iat"].as_u64().map(|issued| issued + 300));
    assert!(ask("wrong")?.starts_with("HTTP/1.1 401"));
    endpoint.refuse(true);
    assert!(ask(CLIENT_SECRET)?.starts_with("HTTP/1.1 401"));
    assert_eq!(endpoint.issued(), 1);
    Ok(())
}

#[test]
fn a_user_writes_only_while_an_acl_allows_it() -> anyhow::Result<()> {
    let Some(cluster) = shared() else { return Ok(()) };
    let admin = cluster.admin();
    admin.create_topic(&Topic::new("guarded"))?;
    admin.set_scram("writer", Mechanism::ScramSha256, "secret")?;
    let login = (Listener::SaslPlaintext, Mechanism::ScramSha256);
    let options = password("writer", "secret");
    let send = || produce_as(cluster, login, ("guarded", "in"), &options, &[]).map(drop);
    let refused = || Ok(is_refused(&send(), "AuthorizationException"));
    until("a refusal", refused)?;
    let acl = Acl::allow("writer", "write", Resource::Topic("guarded".into()));
    admin.add_acl(&acl)?;
    eventually(send)?;
    let deny = Acl::deny("writer", "write", Resource::Topic("guarded".into()));
    admin.add_acl(&deny)?;
    until("a denial", refused)?;
    admin.remove_acl(&deny)?;
    eventually(send)?;
    admin.remove_acl(&acl)?;
    until("a refusal again", refused)
}
