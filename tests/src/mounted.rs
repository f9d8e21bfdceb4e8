//! File systems of a test's own, mounted at a temporary directory and gone when dropped.

use std::ffi::CString;
use std::path::Path;

use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};

use crate::daemon::directory;
use crate::skip;

/// A mounted file system.
pub struct Mounted {
    /// Where it is mounted; removed after it is unmounted, when fields are dropped.
    place: tempfile::TempDir,
}

impl Mounted {
    /// A tmpfs of so many bytes. `None`, and the test is skipped, where nothing may be mounted.
    pub fn tmpfs(bytes: u64) -> anyhow::Result<Option<Mounted>> {
        Mounted::mount("tmpfs", &format!("size={bytes},mode=0755"))
    }

    /// A bpf file system, for pins. `None`, and the test is skipped, where nothing may be mounted.
    pub fn bpf() -> anyhow::Result<Option<Mounted>> {
        Mounted::mount("bpf", "")
    }

    /// An overlay of these directories, the last one for its own use. `None`, and the test is skipped,
    /// where nothing may be mounted.
    pub fn overlay(lower: &Path, upper: &Path, work: &Path) -> anyhow::Result<Option<Mounted>> {
        let (lower, upper, work) = (lower.display(), upper.display(), work.display());
        Mounted::mount("overlay", &format!("lowerdir={lower},upperdir={upper},workdir={work}"))
    }

    fn mount(kind: &str, options: &str) -> anyhow::Result<Option<Mounted>> {
        let place = directory()?;
        let options = CString::new(options)?;
        match mount("shipper-test", place.path(), kind, MountFlags::empty(), options.as_c_str()) {
            Ok(()) => Ok(Some(Mounted { place })),
            Err(error) => {
                skip(&format!("no file system may be mounted here: {error}"));
                Ok(None)
            }
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.place.path()
    }

    /// Makes it read-only.
    pub fn make_read_only(&self) -> anyhow::Result<()> {
        Ok(mount_remount(self.path(), MountFlags::RDONLY, c"")?)
    }

    /// Gives a tmpfs another size.
    pub fn resize(&self, bytes: u64) -> anyhow::Result<()> {
        let options = CString::new(format!("size={bytes}"))?;
        Ok(mount_remount(self.path(), MountFlags::empty(), options.as_c_str())?)
    }

    /// Takes all the space that is left, but for so many bytes, with a file of this name.
    pub fn fill(&self, name: &str, bytes_left: u64) -> anyhow::Result<()> {
        let stat = rustix::fs::statvfs(self.path())?;
        let bytes = (stat.f_bavail * stat.f_frsize).saturating_sub(bytes_left);
        std::fs::write(self.path().join(name), vec![b'x'; usize::try_from(bytes)?])?;
        Ok(())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Detached also while a killed daemon is still closing its files.
        if let Err(error) = unmount(self.path(), UnmountFlags::DETACH) {
            eprintln!("{} stays mounted: {error}", self.path().display());
        }
    }
}
