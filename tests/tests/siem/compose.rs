//! docker-compose.yml, as docker-compose itself reads it; that needs no container engine.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use saphyr::{LoadableYamlNode as _, Yaml};
use shipper_tests::skip;

use crate::workspace;

const PROFILES: [&str; 2] = ["elastic", "splunk"];

/// A service, resolved.
struct Service<'a> {
    name: &'a str,
    yaml: &'a Yaml<'a>,
}

impl Service<'_> {
    fn list(&self, key: &str) -> impl Iterator<Item = &Yaml<'_>> {
        self.yaml.as_mapping_get(key).and_then(Yaml::as_vec).into_iter().flatten()
    }

    fn profiles(&self) -> Vec<&str> {
        self.list("profiles").filter_map(Yaml::as_str).collect()
    }

    /// Others it starts after, and what it waits for in each.
    fn waits_for(&self) -> Vec<(&str, &str)> {
        let after = self.yaml.as_mapping_get("depends_on").and_then(Yaml::as_mapping);
        let after = after.into_iter().flatten();
        after
            .filter_map(|(name, how)| {
                Some((name.as_str()?, how.as_mapping_get("condition")?.as_str()?))
            })
            .collect()
    }
}

/// What `docker-compose config` makes of the file. `None` where there is no docker-compose, which has
/// been said then.
fn resolved(profiles: &[&str]) -> Result<Option<String>> {
    let mut command = Command::new("docker-compose");
    command.current_dir(workspace()).stdin(Stdio::null());
    for profile in profiles {
        command.args(["--profile", profile]);
    }
    let output = match command.arg("config").output() {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            skip("docker-compose is not installed (Debian's package docker-compose)");
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    if !output.status.success() || !output.stderr.is_empty() {
        bail!("docker-compose config: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(Some(String::from_utf8(output.stdout)?))
}

fn parsed(text: &str) -> Result<Yaml<'_>> {
    Yaml::load_from_str(text)?.pop().context("a document")
}

fn services<'a>(document: &'a Yaml<'a>) -> Result<Vec<Service<'a>>> {
    let services = document.as_mapping_get("services").and_then(Yaml::as_mapping);
    let services = services.context("services")?.iter();
    Ok(services.filter_map(|(name, yaml)| Some(Service { name: name.as_str()?, yaml })).collect())
}

#[test]
fn docker_compose_reads_the_file_with_each_profile_and_without() -> Result<()> {
    for profiles in [&[] as &[&str], &["elastic"], &["splunk"], &PROFILES] {
        let Some(text) = resolved(profiles)? else { return Ok(()) };
        let document = parsed(&text)?;
        let services = services(&document)?;
        let has = |name: &str| services.iter().any(|service| service.name == name);
        assert!(has("kafka") && has("topic"), "{profiles:?}");
        for (profile, wanted) in PROFILES.iter().zip(["connect-elasticsearch", "connect-splunk"]) {
            assert!(!profiles.contains(profile) || has(wanted), "{profiles:?}");
        }
    }
    Ok(())
}

#[test]
fn images_are_pinned_and_nothing_is_reachable_from_other_machines() -> Result<()> {
    let Some(text) = resolved(&PROFILES)? else { return Ok(()) };
    let document = parsed(&text)?;
    for service in services(&document)? {
        let image = service.yaml.as_mapping_get("image").and_then(Yaml::as_str);
        let tag = image.and_then(|image| image.rsplit_once(':')).context("a tag")?.1;
        let parts: Vec<&str> = tag.split('.').collect();
        let is_version = parts.len() == 3 && parts.iter().all(|part| part.parse::<u32>().is_ok());
        assert!(is_version, "{}: {tag} is not a full version", service.name);
        for port in service.list("ports") {
            // As text by docker-compose 1, as a mapping by 2.
            let host = port.as_mapping_get("host_ip").or(Some(port)).and_then(Yaml::as_str);
            let is_local = host.is_some_and(|host| host.starts_with("127.0.0.1"));
            assert!(is_local, "{}: {port:?}", service.name);
        }
        assert!(service.yaml.as_mapping_get("network_mode").is_none(), "{}", service.name);
    }
    Ok(())
}

/// `docker compose up --wait` waits for health, and takes a service that ended for a failure unless one
/// that goes on has waited for that.
#[test]
fn up_with_wait_can_tell_of_each_service_whether_it_is_ready() -> Result<()> {
    let Some(text) = resolved(&PROFILES)? else { return Ok(()) };
    let document = parsed(&text)?;
    let services = services(&document)?;
    let has_health = |service: &Service<'_>| service.yaml.as_mapping_get("healthcheck").is_some();
    for service in &services {
        let awaited = services.iter().any(|other| {
            let ends =
                other.waits_for().contains(&(service.name, "service_completed_successfully"));
            ends && has_health(other) && other.profiles() == service.profiles()
        });
        assert!(has_health(service) != awaited, "{}", service.name);
        for (name, condition) in service.waits_for() {
            let before = services.iter().find(|other| other.name == name).context("the service")?;
            let waits_for_health = condition == "service_healthy";
            assert_eq!(waits_for_health, has_health(before), "{} after {name}", service.name);
        }
    }
    Ok(())
}

/// A worker refuses a connector whose group of consumers, `connect-` and its name, is its own group.
#[test]
fn no_connect_worker_is_in_the_group_of_its_connector() -> Result<()> {
    let Some(text) = resolved(&PROFILES)? else { return Ok(()) };
    let document = parsed(&text)?;
    let mut count = 0;
    for service in services(&document)? {
        let environment = service.yaml.as_mapping_get("environment");
        let variable = |name| environment?.as_mapping_get(name)?.as_str();
        let Some(connector) = variable("CONNECTOR") else { continue };
        let group = variable("CONNECT_GROUP_ID").context("the worker's group")?;
        assert_ne!(group, format!("connect-{connector}"), "{}", service.name);
        count += 1;
    }
    assert_eq!(count, 2);
    Ok(())
}

#[test]
fn what_is_mounted_is_there() -> Result<()> {
    let Some(text) = resolved(&PROFILES)? else { return Ok(()) };
    let document = parsed(&text)?;
    let mut count = 0;
    for service in services(&document)? {
        for volume in service.list("volumes") {
            let source = volume.as_mapping_get("source").or(Some(volume)).and_then(Yaml::as_str);
            let source = source.and_then(|source| source.split(':').next()).context("a source")?;
            // Others are volumes by name.
            if source.starts_with('/') {
                assert!(std::path::Path::new(source).exists(), "{}: {source}", service.name);
                count += 1;
            }
        }
    }
    assert!(count >= 4, "only {count} were found");
    Ok(())
}
