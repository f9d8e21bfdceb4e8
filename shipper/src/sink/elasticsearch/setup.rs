//! What a cluster needs to have of us: the ingest pipeline that stamps when an event arrived, component
//! templates with the types of all fields, and an index template. The files are those that
//! `config/siem/elasticsearch/install.sh` installs.

use serde_json::{Value, json};

use super::cluster::{Cluster, Reply, Target, foreign};
use crate::config::settings::ElasticsearchSettings;
use crate::sink::Finding;
use crate::sink::transport::{Failure, Method, Transport, TransportError};

macro_rules! file {
    ($path:literal) => {
        Step {
            path: concat!("/", $path).to_owned(),
            body: include_str!(concat!("../../../../config/siem/elasticsearch/", $path, ".json"))
                .to_owned(),
            is_operators: false,
        }
    };
}

/// How the names of data streams begin that the template is for as it is.
const STREAM_PREFIX: &str = "logs-shipper.process-";

/// One thing to be put into the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Path of the request.
    pub path: String,
    /// Its body, JSON.
    pub body: String,
    /// It is for the operator to change: what is there is left as it is.
    pub is_operators: bool,
}

/// Sets up the cluster of a sink.
pub struct Setup {
    transport: Transport,
    data_stream: String,
}

/// What is put into the cluster for this name, in this order: each names the ones before.
#[must_use]
pub fn steps(data_stream: &str, target: &Target) -> Vec<Step> {
    let mut steps = vec![
        file!("_ingest/pipeline/logs-shipper.process"),
        file!("_component_template/shipper-process-ecs"),
        file!("_component_template/shipper-process-own"),
        Step { is_operators: true, ..file!("_component_template/shipper-process-custom") },
    ];
    let template = file!("_index_template/logs-shipper.process");
    match target {
        // The templates of its indices have other patterns, which are not ours.
        Target::Alias => {}
        Target::Missing | Target::DataStream(_) | Target::Hidden
            if data_stream.starts_with(STREAM_PREFIX) =>
        {
            steps.push(template);
        }
        _ => {
            let mut body: Value =
                serde_json::from_str(&template.body).expect("the file in the source is JSON");
            body["index_patterns"] = json!([data_stream]);
            if *target == Target::Index
                && let Some(body) = body.as_object_mut()
            {
                body.remove("data_stream");
            }
            let path = format!("/_index_template/shipper-{data_stream}");
            steps.push(Step { path, body: format!("{body:#}\n"), is_operators: false });
        }
    }
    steps
}

impl Setup {
    /// For the cluster of this sink; nothing is sent yet.
    ///
    /// # Errors
    /// When a URL is none.
    pub fn new(settings: &ElasticsearchSettings) -> Result<Setup, TransportError> {
        Ok(Setup {
            transport: Transport::new(&settings.transport)?,
            data_stream: settings.data_stream.clone(),
        })
    }

    /// What [`Setup::run`] would put into a cluster where the name in the configuration is that of a
    /// data stream, or not yet known.
    #[must_use]
    pub fn steps(&self) -> Vec<Step> {
        steps(&self.data_stream, &Target::Missing)
    }

    /// Puts all of it into the cluster and tells of each step; ends with the first that fails.
    pub async fn run(&self, mut tell: impl FnMut(Finding)) {
        // The first URL that answers is asked for all of it.
        let urls = self.transport.shown().count();
        for endpoint in 0..urls {
            let cluster = Cluster::new(&self.transport, endpoint);
            match cluster.target(&self.data_stream).await {
                Ok(target) => {
                    if let Err(failure) = self.install(&cluster, &target, &mut tell).await {
                        tell(Finding::bad(failure.cause));
                    }
                    return;
                }
                Err(failure) if endpoint + 1 == urls => tell(Finding::bad(failure.cause)),
                Err(failure) => tell(Finding::note(failure.cause)),
            }
        }
    }

    async fn install(
        &self,
        cluster: &Cluster<'_>,
        target: &Target,
        tell: &mut impl FnMut(Finding),
    ) -> Result<(), Failure> {
        for Step { path, body, is_operators } in steps(&self.data_stream, target) {
            if is_operators {
                let reply = cluster.get(&path).await?;
                if reply.is_good() {
                    tell(Finding::good(format!("{path} is there already and is left as it is")));
                    continue;
                }
                // Where it cannot be seen it may be there.
                if reply.status != 404 {
                    tell(Finding::bad(refused(&format!("GET {path}"), &reply)));
                    return Ok(());
                }
            }
            let reply = cluster.request(Method::PUT, &path, Some(&body)).await?;
            if !reply.is_good() {
                tell(Finding::bad(refused(&format!("PUT {path}"), &reply)));
                return Ok(());
            }
            match reply.body["acknowledged"].as_bool() {
                Some(true) => tell(Finding::good(format!("PUT {path}"))),
                Some(false) => {
                    tell(Finding::bad(format!(
                        "PUT {path}: not every node of the cluster has confirmed it in time; run this again"
                    )));
                    return Ok(());
                }
                None => {
                    tell(Finding::bad(foreign(&cluster.shown())));
                    return Ok(());
                }
            }
        }
        if let Some(text) = what_counts(&self.data_stream, target) {
            tell(Finding::note(text));
        }
        Ok(())
    }
}

/// What was refused, and with which rights it would not be.
fn refused(request: &str, reply: &Reply) -> String {
    let need = match reply.status {
        403 => {
            "; this needs the cluster privileges `manage_index_templates` and `manage_ingest_pipelines`, which a sink does not need: run it with a copy of the configuration that has other credentials"
        }
        _ => "",
    };
    format!("{request}: {}{need}", reply.words)
}

/// From when on what was installed counts, where that is not from the first event on.
fn what_counts(name: &str, target: &Target) -> Option<String> {
    Some(match target {
        Target::Missing | Target::Hidden => return None,
        Target::DataStream(_) => format!(
            "the data stream {name} is there already: what is new counts from its next rollover on (POST /{name}/_rollover)"
        ),
        Target::Index => format!(
            "{name} is an index and no data stream: it takes events, its mappings stay as they are, and the template counts when it is made anew"
        ),
        Target::Alias => format!(
            "{name} is an alias: name shipper-process-ecs and shipper-process-own in `composed_of` of the template of its indices, with `\"index.final_pipeline\": \"logs-shipper.process\"`"
        ),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    use super::*;

    fn folder() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/siem/elasticsearch")
    }

    fn files(dir: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                files(&path, found);
            } else if let Some(name) = path.to_str().unwrap().strip_suffix(".json") {
                found.insert(name.strip_prefix(folder().to_str().unwrap()).unwrap().to_owned());
            }
        }
    }

    #[test]
    fn what_the_script_installs_is_installed_in_its_order() {
        let steps = steps("logs-shipper.process-default", &Target::Missing);
        let mut expected = BTreeSet::new();
        files(&folder(), &mut expected);
        assert_eq!(steps.iter().map(|step| step.path.clone()).collect::<BTreeSet<_>>(), expected);
        let script = std::fs::read_to_string(folder().join("install.sh")).unwrap();
        let mut rest = &script[..];
        for step in &steps {
            let file = format!("{}.json", &step.path[1..]);
            assert_eq!(step.body, std::fs::read_to_string(folder().join(&file)).unwrap());
            rest = rest.split_once(&format!("put {file} ")).expect("in this order").1;
        }
        let operators = steps.iter().filter(|step| step.is_operators).collect::<Vec<_>>();
        assert_eq!(operators.len(), 1);
        assert!(operators[0].path.ends_with("-custom"));
    }

    #[test]
    fn a_name_of_the_operators_own_gets_a_template_of_its_own() {
        let template = |name: &str, target: Target| -> (String, Value) {
            let step = steps(name, &target).pop().unwrap();
            (step.path, serde_json::from_str(&step.body).unwrap())
        };
        let (path, ours) = template("logs-shipper.process-prod", Target::Missing);
        assert_eq!(path, "/_index_template/logs-shipper.process");
        assert_eq!(ours["index_patterns"], json!([format!("{STREAM_PREFIX}*")]));
        let (path, own) = template("audit-execs", Target::Missing);
        assert_eq!(path, "/_index_template/shipper-audit-execs");
        let with = |key: &str, value: Value| {
            let mut ours = ours.clone();
            ours[key] = value;
            ours
        };
        assert_eq!(own, with("index_patterns", json!(["audit-execs"])));
        let (_, index) = template("audit-execs", Target::Index);
        assert!(index.get("data_stream").is_none());
        assert_eq!(index["composed_of"], ours["composed_of"]);
        let (path, _) = template("audit-execs", Target::Alias);
        assert!(!path.starts_with("/_index_template/"), "{path}");
    }
}
