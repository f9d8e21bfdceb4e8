//! Field offsets of the running kernel, by name, from its BTF.

use std::path::{Path, PathBuf};

use btf_rs::{Btf, Member, Type};
use common::offsets::{FIELDS, Field, LAYOUT_WORDS, MISSING, Need, SYSCALL_ARGUMENTS};

/// Where the kernel presents its own types.
pub const KERNEL_BTF: &str = "/sys/kernel/btf/vmlinux";

/// Deepest nesting of anonymous structs and unions searched for a member; the kernel uses three.
const NESTING_MAX: u32 = 8;

/// Why the layout could not be had.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// No BTF at all.
    #[error(
        "{path} cannot be read ({source}): this kernel offers no BTF, which capture needs to find \
         its way in kernel structures. Use a kernel built with CONFIG_DEBUG_INFO_BTF=y (all Debian \
         and Ubuntu kernels since 5.10 are)",
        path = path.display()
    )]
    NoBtf {
        /// The file asked for.
        path: PathBuf,
        /// What reading it said.
        source: std::io::Error,
    },
    /// BTF that cannot be understood.
    #[error("the BTF in {path} cannot be understood: {reason}", path = path.display())]
    BadBtf {
        /// The file asked for.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Fields without which an exec record would be wrong.
    #[error(
        "this kernel has no {fields}: capture cannot work here; please report the kernel version",
        fields = .0.join(", ")
    )]
    MissingFields(Vec<String>),
}

/// The layout as the kernel programs take it, and what is not in it.
#[derive(Debug)]
pub struct KernelLayout {
    /// `common::offsets::Layout` as words.
    pub words: Vec<u32>,
    /// Optional fields this kernel lacks, as `struct.member`.
    pub missing: Vec<String>,
    /// The kernel has the tracepoint `sched_prepare_exec` (6.10 and later).
    pub has_prepare_exec: bool,
}

impl KernelLayout {
    /// Resolves every field. Those named in `hidden` (`struct.member`) are treated as if this kernel
    /// lacked them, so that tests can show what happens then.
    ///
    /// # Errors
    /// No usable BTF, or a required field is missing.
    pub fn resolve(path: &Path, hidden: &[String]) -> Result<Self, LayoutError> {
        let bytes = std::fs::read(path)
            .map_err(|source| LayoutError::NoBtf { path: path.to_owned(), source })?;
        let bad = |error: btf_rs::Error| LayoutError::BadBtf {
            path: path.to_owned(),
            reason: error.to_string(),
        };
        let btf = Btf::from_bytes(&bytes).map_err(bad)?;

        let mut words = Vec::with_capacity(LAYOUT_WORDS);
        let (mut missing, mut fatal) = (Vec::new(), Vec::new());
        for field in FIELDS {
            let offset = if hidden.contains(&full_name(field)) { None } else { find(&btf, field) };
            words.push(offset.unwrap_or(MISSING));
            match (offset, field.need) {
                (None, Need::Required) => fatal.push(full_name(field)),
                (None, Need::Optional) => missing.push(full_name(field)),
                (Some(_), _) => {}
            }
        }
        if !fatal.is_empty() {
            return Err(LayoutError::MissingFields(fatal));
        }
        let (check_byte, check_mask) = bit(&btf, "linux_binprm", "is_check");
        words.extend([
            check_byte,
            check_mask,
            size(&btf, "upid").unwrap_or(0),
            enumerator(&btf, "cgroup_subsys_id", "pids_cgrp_id").unwrap_or(MISSING),
        ]);
        words.extend(syscall_arguments(&btf));
        words.push(size(&btf, "inode").unwrap_or(MISSING));
        let has_prepare_exec = btf
            .resolve_ids_by_name("btf_trace_sched_prepare_exec")
            .is_ok_and(|ids| !ids.is_empty());
        Ok(KernelLayout { words, missing, has_prepare_exec })
    }
}

/// Where `pt_regs` has the arguments of a system call (`asm/syscall.h`): by name on x86-64, the first of
/// the general registers on arm64.
fn syscall_arguments(btf: &Btf) -> [u32; SYSCALL_ARGUMENTS] {
    let Some(members) = structure(btf, "pt_regs") else { return [MISSING; SYSCALL_ARGUMENTS] };
    let offset = |name| member_of(btf, &members, name, 0).map(|(_, bits)| bits / 8);
    let by_name = ["di", "si", "dx", "r10", "r8"].map(offset);
    let first = offset("regs").filter(|_| by_name[0].is_none());
    std::array::from_fn(|index| {
        let after = u32::try_from(8 * index).unwrap_or(MISSING);
        by_name[index].or(first.map(|first| first + after)).unwrap_or(MISSING)
    })
}

fn full_name(field: &Field) -> String {
    format!("{}.{}", field.structure, field.members.first().unwrap_or(&""))
}

/// Byte offset of a field, under the first of its names that exists.
fn find(btf: &Btf, field: &Field) -> Option<u32> {
    field.members.iter().find_map(|member| {
        let mut members = structure(btf, field.structure)?;
        let mut bits = 0;
        let mut names = member.split('.').peekable();
        while let Some(name) = names.next() {
            let (member, offset) = member_of(btf, &members, name, 0)?;
            bits += offset;
            if names.peek().is_some() {
                members = members_of(btf, &member)?;
            }
        }
        (bits % 8 == 0).then_some(bits / 8)
    })
}

/// Byte and mask of a one-bit field, or [`MISSING`].
fn bit(btf: &Btf, structure_name: &str, name: &str) -> (u32, u32) {
    structure(btf, structure_name)
        .and_then(|members| member_of(btf, &members, name, 0))
        .map_or((MISSING, 0), |(_, bits)| (bits / 8, 1 << (bits % 8)))
}

fn structure(btf: &Btf, name: &str) -> Option<Vec<Member>> {
    btf.resolve_types_by_name(name).ok()?.into_iter().find_map(|ty| match ty {
        Type::Struct(structure) => Some(structure.members),
        _ => None,
    })
}

fn size(btf: &Btf, name: &str) -> Option<u32> {
    btf.resolve_types_by_name(name).ok()?.into_iter().find_map(|ty| match ty {
        Type::Struct(structure) => u32::try_from(structure.size()).ok(),
        _ => None,
    })
}

fn enumerator(btf: &Btf, enumeration: &str, name: &str) -> Option<u32> {
    btf.resolve_types_by_name(enumeration).ok()?.into_iter().find_map(|ty| match ty {
        Type::Enum(values) => values
            .members
            .iter()
            .find(|value| btf.resolve_name(*value).is_ok_and(|found| found == name))
            .map(btf_rs::EnumMember::val),
        _ => None,
    })
}

/// A member by name with its offset in bits, also inside anonymous structs and unions.
fn member_of(btf: &Btf, members: &[Member], name: &str, depth: u32) -> Option<(Member, u32)> {
    if depth > NESTING_MAX {
        return None;
    }
    members.iter().find_map(|member| {
        let found = btf.resolve_name(member).unwrap_or_default();
        if found == name {
            return Some((member.clone(), member.bit_offset()));
        }
        if !found.is_empty() {
            return None;
        }
        let (inner, offset) = member_of(btf, &members_of(btf, member)?, name, depth + 1)?;
        Some((inner, member.bit_offset() + offset))
    })
}

/// The members of the struct or union that a member is, through typedefs and qualifiers.
fn members_of(btf: &Btf, member: &Member) -> Option<Vec<Member>> {
    btf.chained_type_iter(member).take(NESTING_MAX as usize).find_map(|ty| match ty {
        Type::Struct(structure) | Type::Union(structure) => Some(structure.members),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_without_btf_is_told_what_to_do() {
        let error = KernelLayout::resolve(Path::new("/nonexistent/btf"), &[]).expect_err("no file");
        assert!(error.to_string().contains("CONFIG_DEBUG_INFO_BTF=y"), "{error}");
    }

    #[test]
    fn bytes_that_are_not_btf_are_an_error() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), b"\x9f\xeb\x01\x00 not really").expect("writable");
        let error = KernelLayout::resolve(file.path(), &[]).expect_err("not BTF");
        assert!(matches!(error, LayoutError::BadBtf { .. }), "{error}");
    }

    #[test]
    fn missing_fields_are_named_and_only_required_ones_are_fatal() {
        if !Path::new(KERNEL_BTF).exists() {
            println!("SKIPPED: this kernel has no BTF");
            return;
        }
        let hide = |name: &str| KernelLayout::resolve(Path::new(KERNEL_BTF), &[name.to_owned()]);
        let layout = hide("task_struct.loginuid").expect("an optional field");
        assert!(layout.missing.contains(&"task_struct.loginuid".to_owned()));
        assert_eq!(layout.words.len(), LAYOUT_WORDS);
        let error = hide("inode.i_uid").expect_err("a required field");
        assert!(error.to_string().contains("inode.i_uid"), "{error}");
    }
}
