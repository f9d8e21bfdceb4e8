//! Any bytes as a record of the kernel: an error, or a record all of whose parts lie inside it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use shipper_common::decode::{self, ExecRecord, Record};

fuzz_target!(|bytes: &[u8]| {
    let _ = decode::header(bytes);
    if let Ok(Record::Exec(record)) = decode::decode(bytes) {
        look(&record, bytes);
    }
});

fn look(record: &ExecRecord<'_>, bytes: &[u8]) {
    let exec = &record.exec;
    let spans = [exec.argv, exec.filename, exec.interpreter, exec.cgroup];
    assert!(spans.iter().all(|span| record.bytes(*span).len() == span.bytes as usize));
    for path in [exec.file_path, exec.binary_path, exec.cwd] {
        let Some(path) = record.path(path) else { continue };
        let names: usize = path.names().map(<[u8]>::len).sum();
        assert!(names <= bytes.len());
        let _ = (path.is_cut(), path.is_unreachable());
    }
    for ancestor in record.ancestors() {
        assert!(decode::comm(&ancestor.comm).len() <= 16);
    }
}
