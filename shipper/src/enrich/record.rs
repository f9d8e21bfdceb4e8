//! From the fields of a record to those of an event, one by one.

use common::decode::{ExecRecord, WalkedPath};
use common::wire::{self, AT_FDCWD, EXEC_ARGV_CUT, EXEC_ARGV_FAULT, IdMap};

use super::clock;
use super::procfs::split_args;
use crate::event::{
    Args, Bytes, Capabilities, Credentials, DeniedBy, Enforcement, EnforcementAction, ExecutedFile,
    FileFacts, FileSystem, InsideIds, Layer, Namespaces, Path as EventPath, Source,
};

/// The name that `execveat` was given below a directory, as the kernel itself writes it.
pub fn below(directory: u32, filename: &[u8], failed: bool) -> Bytes {
    if !failed || directory == AT_FDCWD || filename.starts_with(b"/") {
        return filename.into();
    }
    let descriptor = format!("/dev/fd/{directory}");
    if filename.is_empty() {
        return descriptor.into_bytes().into();
    }
    [descriptor.as_bytes(), b"/", filename].concat().into()
}

pub fn join(cwd: &[u8], name: &[u8]) -> Bytes {
    if name.starts_with(b"/") { name.into() } else { [cwd, b"/", name].concat().into() }
}

pub fn path(walked: Option<WalkedPath<'_>>) -> EventPath {
    let Some(walked) = walked else { return EventPath::default() };
    let mut bytes = Vec::new();
    for name in walked.names() {
        // A cut path does not begin at the root, and does not look as if it did.
        if !(bytes.is_empty() && walked.is_cut()) {
            bytes.push(b'/');
        }
        bytes.extend_from_slice(name);
    }
    if bytes.is_empty() {
        bytes.push(b'/');
    }
    EventPath { bytes: bytes.into(), cut: walked.is_cut(), unreachable: walked.is_unreachable() }
}

/// A file as the kernel program read it.
pub fn file(raw: &wire::FileFacts, path: EventPath) -> ExecutedFile {
    let facts = file_facts(raw, &path);
    let source = if facts.is_some() { Source::Kernel } else { Source::Unknown };
    ExecutedFile { path, facts, source, hash: None }
}

/// Who refused, of an attempt that failed.
pub fn denied_by(flags: u32) -> Option<DeniedBy> {
    // Our own refusal is seen as that of a security module too.
    match flags {
        flags if flags & wire::EXEC_REFUSED != 0 => Some(DeniedBy::Shipper),
        flags if flags & wire::EXEC_DENIED != 0 => Some(DeniedBy::SecurityModule),
        _ => None,
    }
}

/// What a deny rule made of it.
pub fn enforcement(record: &ExecRecord<'_>) -> Option<Enforcement> {
    let action = match record.exec.flags {
        flags if flags & wire::EXEC_REFUSED != 0 => EnforcementAction::Denied,
        flags if flags & wire::EXEC_WOULD_DENY != 0 => EnforcementAction::WouldDeny,
        flags if flags & wire::EXEC_NOT_JUDGED != 0 => EnforcementAction::NotJudged,
        _ => return None,
    };
    let rule = String::from_utf8_lossy(record.bytes(record.exec.rule)).into_owned();
    Some(Enforcement { rule, action })
}

/// Major and minor number of a device as the kernel has it.
pub fn device(raw: u32) -> (u32, u32) {
    (raw >> 20, raw & 0xf_ffff)
}

fn file_facts(raw: &wire::FileFacts, path: &EventPath) -> Option<FileFacts> {
    if raw.flags & wire::FILE_PRESENT == 0 {
        return None;
    }
    let anonymous = raw.flags & wire::FILE_ANONYMOUS != 0;
    let memfd = anonymous && path.name().starts_with(b"memfd:");
    Some(FileFacts {
        uid: raw.uid,
        gid: raw.gid,
        mode: raw.mode,
        inode: raw.inode,
        device: device(raw.device),
        links: raw.links,
        size: raw.size,
        deleted: !anonymous && (raw.links == 0 || raw.flags & wire::FILE_UNHASHED != 0),
        memfd,
        modified: clock::time(raw.modified_sec, raw.modified_nsec.into()),
        changed: clock::time(raw.changed_sec, raw.changed_nsec.into()),
        file_system: FileSystem::new(&raw.file_system),
        nosuid: raw.flags & wire::FILE_NOSUID != 0,
        noexec: raw.flags & wire::FILE_NOEXEC != 0,
        read_only: raw.flags & wire::FILE_READ_ONLY != 0,
        layer: match raw.flags {
            flags if flags & wire::FILE_OVERLAY_UPPER != 0 => Some(Layer::Upper),
            flags if flags & wire::FILE_OVERLAY_LOWER != 0 => Some(Layer::Lower),
            _ => None,
        },
    })
}

/// The ids as a namespace with these maps numbers them; `None` where it has more extents than the
/// kernel keeps in the map itself.
pub fn inside(maps: &[IdMap; 2], ids: &Credentials) -> Option<InsideIds> {
    let [users, groups] = maps;
    if maps.iter().any(|map| map.count as usize > map.extents.len()) {
        return None;
    }
    let id = |map: &IdMap, id: u32| {
        map.extents.iter().take(map.count as usize).find_map(|extent| {
            let place = id.checked_sub(extent.outside).filter(|place| *place < extent.count)?;
            extent.inside.checked_add(place)
        })
    };
    Some(InsideIds {
        uid: id(users, ids.uid),
        gid: id(groups, ids.gid),
        euid: id(users, ids.euid),
        egid: id(groups, ids.egid),
        suid: id(users, ids.suid),
        sgid: id(groups, ids.sgid),
    })
}

pub fn credentials(raw: &wire::Credentials) -> Credentials {
    Credentials {
        uid: raw.uid,
        gid: raw.gid,
        euid: raw.euid,
        egid: raw.egid,
        suid: raw.suid,
        sgid: raw.sgid,
        fsuid: raw.fsuid,
        fsgid: raw.fsgid,
        securebits: raw.securebits,
        capabilities: Capabilities {
            inheritable: raw.cap_inheritable,
            permitted: raw.cap_permitted,
            effective: raw.cap_effective,
            bounding: raw.cap_bounding,
            ambient: raw.cap_ambient,
        },
    }
}

pub fn namespaces(raw: &wire::Namespaces) -> Namespaces {
    Namespaces {
        mnt: raw.mnt,
        pid: raw.pid,
        net: raw.net,
        uts: raw.uts,
        ipc: raw.ipc,
        cgroup: raw.cgroup,
        time: raw.time,
        user: raw.user,
    }
}

pub fn args(record: &ExecRecord<'_>) -> Args {
    let raw = &record.exec;
    let bytes = record.bytes(raw.argv);
    let faulted = raw.flags & EXEC_ARGV_FAULT != 0;
    let cut = match raw.errno {
        0 => (bytes.len() as u64) < raw.argv_bytes,
        _ => raw.flags & EXEC_ARGV_CUT != 0,
    };
    Args {
        list: split_args(bytes),
        count: raw.argc,
        bytes_total: raw.argv_bytes,
        truncated: !faulted && cut,
        faulted,
        redacted: Vec::new(),
    }
}

/// Names of a cgroup path, the leaf first.
pub fn cgroup_names(bytes: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    bytes.split(|&byte| byte == 0).filter(|name| !name.is_empty())
}

pub fn cgroup_path(bytes: &[u8]) -> Bytes {
    let names: Vec<&[u8]> = cgroup_names(bytes).collect();
    let mut path = Vec::with_capacity(bytes.len() + 1);
    for name in names.iter().rev() {
        path.push(b'/');
        path.extend_from_slice(name);
    }
    if path.is_empty() {
        path.push(b'/');
    }
    path.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_numbered_as_their_user_namespace_does_and_what_is_not_mapped_has_none() {
        let extent = |inside, outside, count| wire::IdExtent { inside, outside, count };
        let map = |list: &[wire::IdExtent]| {
            let mut extents = [extent(0, 0, 0); wire::ID_EXTENTS_MAX];
            extents[..list.len()].copy_from_slice(list);
            IdMap { count: list.len() as u32, extents }
        };
        let ids = Credentials {
            uid: 100_999,
            gid: 1000,
            euid: 100_000,
            egid: 7,
            suid: 165_536,
            sgid: 1001,
            fsuid: 0,
            fsgid: 0,
            securebits: 0,
            capabilities: credentials(&wire::NO_CREDENTIALS).capabilities,
        };
        let users = map(&[extent(0, 1000, 1), extent(1, 100_000, 65_536)]);
        let groups = map(&[extent(0, 1000, 1)]);
        let expected = InsideIds {
            uid: Some(1000),
            gid: Some(0),
            euid: Some(1),
            egid: None,
            suid: None,
            sgid: None,
        };
        assert_eq!(inside(&[users, groups], &ids), Some(expected));
        assert_eq!(inside(&[IdMap { count: 6, ..users }, groups], &ids), None);
    }

    #[test]
    fn cgroup_names_become_a_path_from_the_root() {
        assert_eq!(&*cgroup_path(b"leaf\0mid\0top\0"), b"/top/mid/leaf");
        assert_eq!(&*cgroup_path(b""), b"/");
    }
}
