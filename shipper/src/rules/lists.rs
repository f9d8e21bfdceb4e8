//! Lists that stand in files of their own: `file.hash.sha256 in lines('known-bad.txt')`.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::event::Bytes;

/// Largest list, in bytes: a quarter of a million hashes.
const LIST_BYTES_MAX: u64 = 16 << 20;

/// Most lists: each is held in memory.
const LISTS_MAX: usize = 32;

/// Lists read so far, each once.
#[derive(Debug)]
pub struct Lists {
    /// Where names that are not absolute begin.
    dir: PathBuf,
    read: HashMap<PathBuf, Arc<HashSet<Bytes>>>,
}

impl Lists {
    /// Reads files below `dir`, or wherever an absolute name leads.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Lists { dir: dir.to_owned(), read: HashMap::new() }
    }

    /// One entry a line, without the blanks around it; empty lines and those that begin with `#` are
    /// passed over. The error says what is wrong.
    pub(super) fn read(&mut self, name: &str) -> Result<Arc<HashSet<Bytes>>, String> {
        let path = self.dir.join(name);
        if let Some(known) = self.read.get(&path) {
            return Ok(known.clone());
        }
        let shown = path.display();
        if self.read.len() == LISTS_MAX {
            return Err(format!("{shown}: more than {LISTS_MAX} lists"));
        }
        let bytes = load(&path).map_err(|error| format!("{shown} cannot be read: {error}"))?;
        if bytes.len() as u64 > LIST_BYTES_MAX {
            return Err(format!("{shown} is larger than {LIST_BYTES_MAX} bytes"));
        }
        if bytes.contains(&0) {
            return Err(format!("{shown} is no text; save it as UTF-8, one entry a line"));
        }
        let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&bytes);
        let lines = bytes.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
        let entries = lines.filter(|line| !line.is_empty() && !line.starts_with(b"#"));
        let set: Arc<HashSet<Bytes>> = Arc::new(entries.map(Bytes::from).collect());
        self.read.insert(path.clone(), set.clone());
        Ok(set)
    }
}

fn load(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // A device or a pipe might never end, and opening one might wait for ever.
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("it is no regular file"));
    }
    File::open(path)?.take(LIST_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
