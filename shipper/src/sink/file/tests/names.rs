//! Which names are ours.

use std::fs;
use std::path::Path;

use jiff::Timestamp;

use super::{ls, settings, writer};
use crate::sink::file::names::{Kind, Names};

#[test]
fn files_of_any_other_name_are_never_touched() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(directory.path());
    settings.keep_files = 0;
    let others = [
        "shipper-2026-11-24.ndjson",
        "shipper-20261124T101500Z.ndjson",
        "shipper-20261124T101500.1234Z.ndjson",
        "shipper-20261124T101500.123Z.ndjson.gz.bak",
        "shipper-20261124T101500.123Z.ndjson.1",
        "shipper-20261124T101500.123Z.log",
        "shipper-20261124T101500,123Z.ndjson",
        "shipper-20261324T101500.123Z.ndjson",
        "shipper-2026112 T101500.123Z.ndjson",
        "shipper-+0261124T101500.123Z.ndjson",
        "shipper.ndjson",
        "shipper.ndjson.torn",
        "other-20261124T101500.123Z.ndjson",
        "other-20261124T101500.123Z.ndjson.gz.tmp",
    ];
    for name in others {
        fs::write(directory.path().join(name), "x").unwrap();
    }
    // The name is ours, but not the kind of file.
    let link = "shipper-20261124T101500.123Z.ndjson";
    std::os::unix::fs::symlink("shipper.ndjson", directory.path().join(link)).unwrap();
    fs::create_dir(directory.path().join("shipper-20261124T101500.124Z.ndjson")).unwrap();
    writer(&settings).1.run_once().unwrap();
    assert_eq!(ls(directory.path()).len(), others.len() + 2);
}

#[test]
fn names_without_an_extension_or_with_that_of_gzip_are_read_back() {
    let time: Timestamp = "2026-11-24T10:15:00.123Z".parse().unwrap();
    for name in ["events", "events.gz", ".events", "a.b.ndjson", "events.tmp"] {
        let directory = tempfile::tempdir().unwrap();
        let names = Names::of(&directory.path().join(name));
        for kind in [Kind::Plain, Kind::Gzip, Kind::Partial] {
            fs::write(names.path(time, kind), "").unwrap();
        }
        let found: Vec<_> = names.list().unwrap().iter().map(|one| (one.at, one.kind)).collect();
        assert_eq!(found, [(time, Kind::Plain), (time, Kind::Gzip), (time, Kind::Partial)]);
    }
    assert_eq!(Names::of(Path::new("events")).directory(), Path::new("."));
}
