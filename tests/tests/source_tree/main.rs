//! What ARCHITECTURE.md says must never be in the source, looked for in the source.

mod scan;

use std::path::{Path, PathBuf};

use scan::Source;

/// A name that may be used in some places only.
struct Rule {
    /// Module or crate.
    name: &'static str,
    /// Where it is looked for: prefix of a path.
    inside: &'static str,
    /// Where it is allowed all the same.
    except: &'static [&'static str],
}

const RULES: [Rule; 17] = [
    Rule { name: "spool", inside: "shipper/src/sink", except: &[] },
    Rule { name: "deliver", inside: "shipper/src/sink", except: &[] },
    Rule { name: "event", inside: "shipper/src/spool", except: &[] },
    Rule { name: "format", inside: "shipper/src/spool", except: &[] },
    Rule { name: "sink", inside: "shipper/src/spool", except: &[] },
    Rule { name: "capture", inside: "shipper/src/enrich", except: &[] },
    Rule { name: "std", inside: "common/src", except: &[] },
    Rule { name: "std", inside: "shipper-ebpf/src", except: &[] },
    Rule { name: "aya", inside: "common/src", except: &[] },
    Rule { name: "aya_ebpf", inside: "common/src", except: &[] },
    Rule {
        name: "pipeline",
        inside: "shipper/src",
        except: &["shipper/src/commands/", "shipper/src/pipeline"],
    },
    Rule { name: "aya", inside: "shipper/src", except: &["shipper/src/capture/"] },
    Rule { name: "cel", inside: "shipper/src", except: &["shipper/src/rules/"] },
    Rule { name: "backoff", inside: "shipper/src", except: &["shipper/src/deliver/pauses.rs"] },
    Rule { name: "reqwest", inside: "shipper/src", except: &["shipper/src/sink/transport/"] },
    Rule { name: "rustls", inside: "shipper/src", except: &["shipper/src/sink/transport/"] },
    Rule {
        name: "anyhow",
        inside: "shipper/src",
        except: &["shipper/src/commands/", "shipper/src/main.rs"],
    },
];

/// Most lines of a file, test modules left out.
const LINES_MAX: usize = 500;

/// Files that are longer, and why.
const LONG: [(&str, &str); 0] = [];

/// Crates whose code is shipped.
const SHIPPED: [&str; 4] = ["common/", "shipper/src/", "shipper/build.rs", "shipper-ebpf/"];

/// All source files of the workspace, by their path below it.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("in a workspace").to_owned();
    let mut files = vec![root.join("shipper/build.rs")];
    for member in ["common/src", "shipper-ebpf/src", "shipper/src", "shipper/tests", "tests"] {
        gather(&root.join(member), &mut files);
    }
    let sources: Vec<Source> = files
        .iter()
        .map(|file| {
            let path = file.strip_prefix(&root).expect("below the root").to_string_lossy();
            let text = std::fs::read_to_string(file).expect("a readable source file");
            Source::new(&path, &text)
        })
        .collect();
    assert!(sources.len() > 60, "only {} source files were found", sources.len());
    sources
}

fn gather(dir: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for entry in entries {
        let path = entry.expect("a readable directory").path();
        if path.is_dir() {
            gather(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Shipped and not a test.
fn product() -> Vec<Source> {
    // The simulated disk is compiled for tests only.
    let is_test = |path: &str| {
        let ends = ["/tests.rs", "/testing.rs", "/spool/disk/sim.rs", "/spool/disk/sim/file.rs"];
        ends.iter().any(|end| path.ends_with(end)) || path.contains("/tests/")
    };
    sources()
        .into_iter()
        .filter(|source| SHIPPED.iter().any(|prefix| source.path.starts_with(prefix)))
        .filter(|source| !is_test(&source.path))
        .collect()
}

/// `path:line` of everything found.
fn places(sources: &[Source], find: impl Fn(&Source) -> Vec<usize>) -> Vec<String> {
    let place = |source: &Source, line: usize| format!("{}:{line}", source.path);
    sources
        .iter()
        .flat_map(|source| find(source).into_iter().map(move |line| place(source, line)))
        .collect()
}

fn broken(rule: &Rule, sources: &[Source]) -> Vec<String> {
    places(sources, |source| {
        let inside = source.path.starts_with(rule.inside)
            && !rule.except.iter().any(|prefix| source.path.starts_with(prefix));
        if inside { source.names(rule.name) } else { Vec::new() }
    })
}

#[test]
fn no_arrow_goes_where_none_may() {
    let product = product();
    for rule in &RULES {
        let found = broken(rule, &product);
        assert_eq!(found, [""; 0], "`{}` is not for {}", rule.name, rule.inside);
    }
}

#[test]
fn an_arrow_that_goes_where_none_may_is_found() {
    for rule in &RULES {
        let path = format!("{}/some/file.rs", rule.inside);
        let bad = [Source::new(&path, &format!("//! x\nuse {}::Thing;\n", rule.name))];
        assert_eq!(broken(rule, &bad), [format!("{path}:2")]);
    }
}

#[test]
fn the_allowed_places_are_really_used() {
    let product = product();
    for rule in RULES.iter().filter(|rule| rule.except.len() == 1) {
        let used = product.iter().any(|source| {
            source.path.starts_with(rule.except[0]) && !source.names(rule.name).is_empty()
        });
        assert!(used, "`{}` is not used in {:?}: the rule is dead", rule.name, rule.except);
    }
}

#[test]
fn only_the_pipeline_starts_threads_and_tasks() {
    let others: Vec<Source> = product()
        .into_iter()
        .filter(|source| !source.path.starts_with("shipper/src/pipeline"))
        .collect();
    assert_eq!(places(&others, Source::spawns), [""; 0]);
}

#[test]
fn every_file_begins_by_saying_what_it_owns() {
    let silent: Vec<String> = sources()
        .into_iter()
        .filter(|source| !source.text.starts_with("//! "))
        .map(|source| source.path)
        .collect();
    assert_eq!(silent, [""; 0]);
}

#[test]
fn no_file_is_long_without_a_reason() {
    let mut long: Vec<String> = product()
        .into_iter()
        .filter(|source| source.lines > LINES_MAX)
        .map(|source| source.path)
        .collect();
    long.sort();
    assert_eq!(long, LONG.map(|(path, _)| path), "longer than {LINES_MAX} lines");
}

#[test]
fn nothing_unwraps_outside_tests() {
    let unwraps = |source: &Source| source.sequences(&[".", "unwrap", "(", ")"]);
    assert_eq!(places(&product(), unwraps), [""; 0]);
    let bad = [Source::new("x.rs", "fn f() {\n    g().unwrap();\n}\n")];
    assert_eq!(places(&bad, unwraps), ["x.rs:2"]);
}

#[test]
fn every_unsafe_says_why_it_is_sound() {
    let product = product();
    assert!(product.iter().any(|source| source.path == "shipper-ebpf/src/exec.rs"));
    assert_eq!(places(&product, Source::unexplained_unsafe), [""; 0]);
}
