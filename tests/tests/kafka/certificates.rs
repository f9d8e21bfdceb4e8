//! TLS: who is trusted, and certificates that expire while the daemon runs.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::ensure;
use shipper_tests::kafka::{Certificate, Cluster, Listener, Mechanism, Pair};
use shipper_tests::process::until;

use super::guarded::{
    Guarded, MARK, alone, breakable, put, reconnect, sasl, shared, tls, topic_for,
};

/// Puts a certificate and its key where the daemon looks for them.
fn replace(dir: &Path, pair: &Pair) -> anyhow::Result<()> {
    fs::copy(&pair.key_file, dir.join("client.key"))?;
    fs::copy(&pair.cert_file, dir.join("client.pem"))?;
    Ok(())
}

/// Whether the certificate that the broker of [`breakable`] presents now is a good one.
fn is_accepted(cluster: &Cluster) -> anyhow::Result<bool> {
    let output = Command::new("openssl")
        .args(["s_client", "-brief", "-verify_return_error", "-verify_ip", "127.0.0.1"])
        .args(["-connect", &cluster.bootstrap(Listener::SaslSsl), "-CAfile"])
        .arg(cluster.pki().ca_file())
        .stdin(Stdio::null())
        .output()?;
    Ok(output.status.success())
}

/// The line `tls` of a sink that has its certificate there; `more` follows inside.
fn mutual(ca_file: &Path, dir: &Path, more: &str) -> String {
    let (ca, dir) = (ca_file.display(), dir.display());
    format!(
        "    tls: {{ ca_file: {ca}, cert_file: {dir}/client.pem, key_file: {dir}/client.key{more} }}\n"
    )
}

#[test]
fn a_certificate_of_the_client_is_its_name_and_its_key_may_be_encrypted() -> anyhow::Result<()> {
    let Some(cluster) = shared() else { return Ok(()) };
    topic_for(cluster, "CN=mutual", "mutual")?;
    let dir = tempfile::tempdir()?;
    let pair = cluster.pki().client("mutual", Certificate::Valid)?;
    replace(dir.path(), &pair)?;
    let password = dir.path().join("password");
    put(&password, &format!("{MARK}-key"))?;
    let status = Command::new("openssl")
        .args(["pkcs8", "-topk8", "-v2", "aes-256-cbc", "-in"])
        .arg(&pair.key_file)
        .arg("-out")
        .arg(dir.path().join("client.key"))
        .arg("-passout")
        .arg(format!("file:{}", password.display()))
        .status()?;
    ensure!(status.success(), "openssl {status}");
    let more = format!(", key_password: {{ file: {} }}", password.display());
    let sink = mutual(&cluster.pki().ca_file(), dir.path(), &more)
        + "    options: { debug: \"conf,security\" }\n";
    let Some(guarded) = Guarded::new(cluster, Listener::Mtls, "mutual", &sink)? else {
        return Ok(());
    };
    let Some(process) = guarded.start_or_skip()? else { return Ok(()) };
    let mut stream = guarded.stream()?;
    stream.await_more(100)?;
    guarded.await_state("delivering", "")?;
    guarded.settle(stream, process, cluster)?.assert_exact();
    Ok(())
}

#[test]
fn a_certificate_of_the_client_that_has_expired_is_replaced_without_a_restart() -> anyhow::Result<()>
{
    let Some(cluster) = shared() else { return Ok(()) };
    topic_for(cluster, "CN=renewed", "renewed")?;
    let dir = tempfile::tempdir()?;
    replace(dir.path(), &cluster.pki().client("renewed", Certificate::Expired)?)?;
    let sink = mutual(&cluster.pki().ca_file(), dir.path(), "");
    let Some(guarded) = Guarded::new(cluster, Listener::Mtls, "renewed", &sink)? else {
        return Ok(());
    };
    let Some(mut process) = guarded.start_or_skip()? else { return Ok(()) };
    let mut stream = guarded.stream()?;
    process
        .await_log("cannot deliver: the broker does not accept the certificate of this client")?;
    guarded.await_state("blocked", "`tls.cert_file`")?;
    stream.await_more(100)?;
    replace(dir.path(), &cluster.pki().client("renewed", Certificate::Valid)?)?;
    guarded.await_state("delivering", "")?;
    stream.await_more(100)?;
    guarded.settle(stream, process, cluster)?.assert_exact();
    Ok(())
}

#[test]
fn a_broker_whose_certificate_is_not_accepted_gets_nothing_until_it_has_a_good_one()
-> anyhow::Result<()> {
    let Some(cluster) = breakable() else { return Ok(()) };
    let _alone = alone();
    let secret = format!("{MARK}-tls");
    cluster.admin().set_scram("tls", Mechanism::ScramSha512, &secret)?;
    topic_for(cluster, "tls", "tls")?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("password");
    put(&file, &secret)?;
    let sink = tls(&cluster.pki().ca_file()) + &sasl(Mechanism::ScramSha512, "tls", &file);
    let Some(guarded) = Guarded::new(cluster, Listener::SaslSsl, "tls", &sink)? else {
        return Ok(());
    };
    let Some(mut process) = guarded.start_or_skip()? else { return Ok(()) };
    let mut stream = guarded.stream()?;
    for bad in [Certificate::Expired, Certificate::OtherAuthority, Certificate::OtherHost] {
        guarded.await_state("delivering", "")?;
        stream.await_more(100)?;
        cluster.present(bad)?;
        until("the broker presents it", || Ok(!is_accepted(cluster)?))?;
        reconnect(cluster)?;
        process.await_log("cannot deliver: the broker's certificate is not accepted")?;
        guarded.await_state("blocked", "it has expired, or is for another host")?;
        stream.await_more(100)?;
        cluster.present(Certificate::Valid)?;
    }
    guarded.await_state("delivering", "")?;
    guarded.settle(stream, process, cluster)?.assert_exact();
    Ok(())
}
