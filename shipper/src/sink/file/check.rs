//! Whether a file sink could write, without writing anything.

use std::path::Path;

use rustix::fs::{Access, access};

use super::disk;
use crate::sink::Finding;

/// What `shipper validate --connect` says of the file of a sink.
#[must_use]
pub fn check_place(path: &Path) -> Finding {
    let shown = path.display();
    match std::fs::symlink_metadata(path).ok().map(|found| found.file_type()) {
        Some(kind) if kind.is_symlink() => {
            return Finding::bad(format!("{shown} is a symbolic link; name the file itself"));
        }
        Some(kind) if !kind.is_file() => {
            return Finding::bad(format!("{shown} is no regular file; name another"));
        }
        Some(_) => {
            return match access(path, Access::WRITE_OK) {
                Ok(()) => Finding::good(format!("writes {shown}")),
                Err(error) => Finding::bad(format!("{shown} cannot be written: {error}")),
            };
        }
        None => {}
    }
    // Directories that are missing are made.
    let mut above = disk::directory(path).ancestors();
    let there = above.find(|directory| std::fs::symlink_metadata(directory).is_ok());
    // Nothing of a relative path is there.
    let there = there.unwrap_or(Path::new("."));
    match access(there, Access::WRITE_OK | Access::EXEC_OK) {
        Err(error) => {
            Finding::bad(format!("{shown} cannot be made in {}: {error}", there.display()))
        }
        Ok(()) if !there.is_dir() => {
            Finding::bad(format!("{shown} cannot be made: {} is no directory", there.display()))
        }
        Ok(()) => Finding::good(format!("writes {shown}, which is made at the first start")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::Grade;

    #[test]
    fn what_could_not_be_opened_is_said() {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("file"), "").expect("written");
        std::os::unix::fs::symlink(at("file"), at("link")).expect("a link");
        for (name, grade) in [
            ("file", Grade::Good),
            ("new/and/newer", Grade::Good),
            ("", Grade::Bad),
            ("link", Grade::Bad),
            ("file/x", Grade::Bad),
        ] {
            assert_eq!(check_place(&at(name)).grade, grade, "{name}");
        }
        assert_eq!(check_place(Path::new("/proc/self/none/x")).grade, Grade::Bad);
    }
}
