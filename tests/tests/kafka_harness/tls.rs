//! Certificates of brokers and of clients. One test, since it changes what all TLS listeners present.

use shipper_tests::kafka::{Acl, Certificate, Listener, Mechanism, Pair, Resource, Topic};

use crate::{eventually, password, produce, produce_as, shared};

#[test]
fn only_good_certificates_are_taken_by_either_side() -> anyhow::Result<()> {
    let Some(cluster) = shared() else { return Ok(()) };
    let (admin, pki) = (cluster.admin(), cluster.pki());
    admin.create_topic(&Topic::new("tls"))?;
    let ca = format!("-Xssl.ca.location={}", pki.ca_file().display());
    let ssl = cluster.bootstrap(Listener::Ssl);
    let send = || produce(&ssl, "tls", &["-Xsecurity.protocol=SSL", &ca], "in\n");
    send()?;
    let other = format!("-Xssl.ca.location={}", pki.other_ca_file().display());
    let refusal = produce(&ssl, "tls", &["-Xsecurity.protocol=SSL", &other], "in\n").unwrap_err();
    assert!(refusal.to_string().contains("certificate"), "{refusal}");

    for bad in [Certificate::Expired, Certificate::OtherAuthority, Certificate::OtherHost] {
        cluster.present(bad)?;
        let refusal = send().unwrap_err();
        assert!(refusal.to_string().contains("certificate"), "{bad:?}: {refusal}");
    }
    cluster.present(Certificate::Valid)?;
    send()?;

    let mtls = cluster.bootstrap(Listener::Mtls);
    let send_as = |pair: &Pair| {
        let cert = format!("-Xssl.certificate.location={}", pair.cert_file.display());
        let key = format!("-Xssl.key.location={}", pair.key_file.display());
        produce(&mtls, "tls", &["-Xsecurity.protocol=SSL", &ca, &cert, &key], "in\n")
    };
    admin.add_acl(&Acl::allow("CN=shipper", "write", Resource::Topic("tls".into())))?;
    let good = pki.client("shipper", Certificate::Valid)?;
    eventually(|| send_as(&good))?;
    let refusal = send_as(&pki.client("stranger", Certificate::Valid)?).unwrap_err().to_string();
    assert!(refusal.contains("uthorization failed"), "{refusal}");
    for bad in [Certificate::Expired, Certificate::OtherAuthority] {
        assert!(send_as(&pki.client("shipper", bad)?).is_err(), "{bad:?}");
    }
    assert!(
        produce(&mtls, "tls", &["-Xsecurity.protocol=SSL", &ca], "in\n").is_err(),
        "no certificate"
    );

    admin.set_scram("tls-user", Mechanism::ScramSha512, "secret")?;
    admin.add_acl(&Acl::allow("tls-user", "write", Resource::Topic("tls".into())))?;
    let ca_file = pki.ca_file().to_string_lossy().into_owned();
    let trust = [("ssl.truststore.type", "PEM"), ("ssl.truststore.location", ca_file.as_str())];
    let login = (Listener::SaslSsl, Mechanism::ScramSha512);
    let options = password("tls-user", "secret");
    eventually(|| produce_as(cluster, login, ("tls", "in"), &options, &trust).map(drop))
}
