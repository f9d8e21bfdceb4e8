//! Names of users and groups, from the host's own files.
//!
//! Not through NSS: a directory service that is slow or down would hold up capture, and its modules
//! would run inside a privileged daemon. Users of a directory appear by number.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

/// Largest file read: about 200,000 users. A larger one leaves ids without names.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// One of the two databases, read again when its file changes.
struct Database {
    path: PathBuf,
    read_at: Option<(SystemTime, u64)>,
    names: HashMap<u32, Arc<str>>,
}

impl Database {
    fn new(path: PathBuf) -> Self {
        let mut database = Database { path, read_at: None, names: HashMap::new() };
        database.refresh();
        database
    }

    fn refresh(&mut self) {
        let Ok(metadata) = std::fs::metadata(&self.path) else { return };
        let version = metadata.modified().ok().map(|time| (time, metadata.len()));
        if version == self.read_at && version.is_some() {
            return;
        }
        self.read_at = version;
        if metadata.len() > FILE_BYTES_MAX {
            tracing::warn!(path = %self.path.display(), "too large; ids are shown without names");
            return;
        }
        if let Ok(bytes) = std::fs::read(&self.path) {
            self.names = parse(&String::from_utf8_lossy(&bytes));
        }
    }
}

/// `name:password:id:...`; the first name of an id counts, as for getpwuid(3).
fn parse(text: &str) -> HashMap<u32, Arc<str>> {
    let mut names = HashMap::new();
    for line in text.lines() {
        let mut fields = line.split(':');
        let (Some(name), Some(id)) = (fields.next(), fields.nth(1)) else { continue };
        if let (false, Ok(id)) = (name.is_empty(), id.parse()) {
            names.entry(id).or_insert_with(|| Arc::from(name));
        }
    }
    names
}

/// Both databases.
pub struct Users {
    users: Database,
    groups: Database,
}

impl Users {
    /// Reads `passwd` and `group` in a directory, /etc.
    #[must_use]
    pub fn open(etc: &Path) -> Self {
        Users { users: Database::new(etc.join("passwd")), groups: Database::new(etc.join("group")) }
    }

    /// Looks whether the files changed. To be called now and then, not for each event.
    pub fn refresh(&mut self) {
        self.users.refresh();
        self.groups.refresh();
    }

    /// Name of a user.
    #[must_use]
    pub fn user(&self, uid: u32) -> Option<Arc<str>> {
        self.users.names.get(&uid).cloned()
    }

    /// Name of a group.
    #[must_use]
    pub fn group(&self, gid: u32) -> Option<Arc<str>> {
        self.groups.names.get(&gid).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_of_an_id_counts_and_broken_lines_are_passed_over() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(
            dir.path().join("passwd"),
            "root:x:0:0:root:/root:/bin/sh\ntoor:x:0:0::/:/bin/sh\n:x:5\nnonsense\na:x:minus:1\n+::::::\n",
        )
        .expect("writable");
        let mut users = Users::open(dir.path());
        assert_eq!(users.user(0).as_deref(), Some("root"));
        assert_eq!((users.user(5), users.group(0)), (None, None));
        std::fs::write(dir.path().join("group"), "wheel:x:0:\n").expect("writable");
        users.refresh();
        assert_eq!(users.group(0).as_deref(), Some("wheel"));
    }
}
