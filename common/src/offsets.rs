//! The table of field offsets. The loader fills it from the running kernel's BTF and hands it to
//! the kernel programs as a read-only global, so that the verifier sees constants and prunes the
//! branches of fields this kernel does not have.

/// Offset of a field that the running kernel does not have.
pub const MISSING: u32 = u32::MAX;

macro_rules! offsets {
    ($($(#[$meta:meta])* $field:ident = $structure:literal . $member:literal $(| $alias:literal)* ; $need:ident,)*) => {
        /// Byte offsets, [`MISSING`] where there is none. One `u32` a field, in the order of
        /// [`FIELDS`].
        #[repr(C)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct Offsets { $(
            #[doc = concat!("`", $structure, ".", $member, "`.")]
            $(#[$meta])*
            pub $field: u32,
        )* }

        /// How each field of [`Offsets`] is found, in the same order.
        pub const FIELDS: &[Field] = &[
            $(Field {
                name: stringify!($field),
                structure: $structure,
                members: &[$member $(, $alias)*],
                need: Need::$need,
            },)*
        ];
    };
}

/// Where the offset of one field comes from.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Name in [`Offsets`].
    pub name: &'static str,
    /// Kernel structure.
    pub structure: &'static str,
    /// Member, dotted through embedded structures; older or newer names follow.
    pub members: &'static [&'static str],
    /// What happens without it.
    pub need: Need,
}

/// How much a field is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Capture is refused: the record would be wrong without it.
    Required,
    /// The part of the record that comes from it is absent, and `doctor` says so.
    Optional,
}

offsets! {
    task_pid = "task_struct"."pid"; Required,
    task_tgid = "task_struct"."tgid"; Required,
    task_real_parent = "task_struct"."real_parent"; Required,
    task_group_leader = "task_struct"."group_leader"; Required,
    /// `real_start_time` before 5.5.
    task_start_boottime = "task_struct"."start_boottime" | "real_start_time"; Required,
    task_comm = "task_struct"."comm"; Required,
    task_mm = "task_struct"."mm"; Required,
    task_fs = "task_struct"."fs"; Required,
    task_cred = "task_struct"."cred"; Required,
    task_signal = "task_struct"."signal"; Required,
    task_exit_code = "task_struct"."exit_code"; Required,
    task_nsproxy = "task_struct"."nsproxy"; Optional,
    task_thread_pid = "task_struct"."thread_pid"; Optional,
    task_loginuid = "task_struct"."loginuid"; Optional,
    task_sessionid = "task_struct"."sessionid"; Optional,
    task_cgroups = "task_struct"."cgroups"; Optional,
    task_atomic_flags = "task_struct"."atomic_flags"; Optional,

    mm_arg_start = "mm_struct"."arg_start"; Required,
    mm_arg_end = "mm_struct"."arg_end"; Required,
    mm_env_start = "mm_struct"."env_start"; Optional,
    mm_env_end = "mm_struct"."env_end"; Optional,
    mm_exe_file = "mm_struct"."exe_file"; Required,

    fs_root = "fs_struct"."root"; Required,
    fs_pwd = "fs_struct"."pwd"; Required,
    path_mnt = "path"."mnt"; Required,
    path_dentry = "path"."dentry"; Required,
    dentry_parent = "dentry"."d_parent"; Required,
    dentry_name = "dentry"."d_name.name"; Required,
    dentry_hash_pprev = "dentry"."d_hash.pprev"; Optional,
    vfsmount_root = "vfsmount"."mnt_root"; Required,
    vfsmount_flags = "vfsmount"."mnt_flags"; Required,
    mount_mnt = "mount"."mnt"; Required,
    mount_parent = "mount"."mnt_parent"; Required,
    mount_mountpoint = "mount"."mnt_mountpoint"; Required,

    file_path = "file"."f_path"; Required,
    file_inode = "file"."f_inode"; Required,
    inode_mode = "inode"."i_mode"; Required,
    inode_uid = "inode"."i_uid"; Required,
    inode_gid = "inode"."i_gid"; Required,
    inode_ino = "inode"."i_ino"; Required,
    inode_nlink = "inode"."i_nlink"; Required,
    inode_size = "inode"."i_size"; Required,
    inode_sb = "inode"."i_sb"; Required,
    /// Embedded `timespec64` under two names, and single fields since 6.11.
    inode_mtime_sec = "inode"."i_mtime_sec" | "__i_mtime.tv_sec" | "i_mtime.tv_sec"; Optional,
    inode_mtime_nsec = "inode"."i_mtime_nsec" | "__i_mtime.tv_nsec" | "i_mtime.tv_nsec"; Optional,
    inode_ctime_sec = "inode"."i_ctime_sec" | "__i_ctime.tv_sec" | "i_ctime.tv_sec"; Optional,
    inode_ctime_nsec = "inode"."i_ctime_nsec" | "__i_ctime.tv_nsec" | "i_ctime.tv_nsec"; Optional,
    sb_dev = "super_block"."s_dev"; Required,
    sb_flags = "super_block"."s_flags"; Required,
    sb_iflags = "super_block"."s_iflags"; Required,
    sb_magic = "super_block"."s_magic"; Optional,
    sb_type = "super_block"."s_type"; Optional,
    fs_type_name = "file_system_type"."name"; Optional,

    cred_uid = "cred"."uid"; Required,
    cred_gid = "cred"."gid"; Required,
    cred_suid = "cred"."suid"; Required,
    cred_sgid = "cred"."sgid"; Required,
    cred_euid = "cred"."euid"; Required,
    cred_egid = "cred"."egid"; Required,
    cred_fsuid = "cred"."fsuid"; Required,
    cred_fsgid = "cred"."fsgid"; Required,
    cred_securebits = "cred"."securebits"; Required,
    cred_cap_inheritable = "cred"."cap_inheritable"; Required,
    cred_cap_permitted = "cred"."cap_permitted"; Required,
    cred_cap_effective = "cred"."cap_effective"; Required,
    cred_cap_bset = "cred"."cap_bset"; Required,
    cred_cap_ambient = "cred"."cap_ambient"; Required,
    cred_user_ns = "cred"."user_ns"; Optional,
    user_ns_level = "user_namespace"."level"; Optional,
    user_ns_uid_map = "user_namespace"."uid_map"; Optional,
    user_ns_gid_map = "user_namespace"."gid_map"; Optional,
    id_map_extents = "uid_gid_map"."extent"; Optional,
    id_map_count = "uid_gid_map"."nr_extents"; Optional,

    signal_live = "signal_struct"."live"; Required,
    signal_flags = "signal_struct"."flags"; Required,
    signal_group_exit_code = "signal_struct"."group_exit_code"; Required,
    signal_tty = "signal_struct"."tty"; Optional,
    signal_pids = "signal_struct"."pids"; Optional,
    tty_driver = "tty_struct"."driver"; Optional,
    tty_index = "tty_struct"."index"; Optional,
    tty_driver_major = "tty_driver"."major"; Optional,
    tty_driver_minor_start = "tty_driver"."minor_start"; Optional,

    pid_level = "pid"."level"; Optional,
    pid_numbers = "pid"."numbers"; Optional,
    upid_nr = "upid"."nr"; Optional,
    upid_ns = "upid"."ns"; Optional,

    nsproxy_uts = "nsproxy"."uts_ns"; Optional,
    nsproxy_ipc = "nsproxy"."ipc_ns"; Optional,
    nsproxy_mnt = "nsproxy"."mnt_ns"; Optional,
    nsproxy_net = "nsproxy"."net_ns"; Optional,
    /// Since 5.6.
    nsproxy_time = "nsproxy"."time_ns"; Optional,
    nsproxy_cgroup = "nsproxy"."cgroup_ns"; Optional,
    uts_inum = "uts_namespace"."ns.inum"; Optional,
    ipc_inum = "ipc_namespace"."ns.inum"; Optional,
    mnt_inum = "mnt_namespace"."ns.inum"; Optional,
    net_inum = "net"."ns.inum"; Optional,
    time_inum = "time_namespace"."ns.inum"; Optional,
    cgroup_ns_inum = "cgroup_namespace"."ns.inum"; Optional,
    pid_ns_inum = "pid_namespace"."ns.inum"; Optional,
    user_ns_inum = "user_namespace"."ns.inum"; Optional,

    css_set_dfl_cgrp = "css_set"."dfl_cgrp"; Optional,
    css_set_subsys = "css_set"."subsys"; Optional,
    css_cgroup = "cgroup_subsys_state"."cgroup"; Optional,
    cgroup_kn = "cgroup"."kn"; Optional,
    kernfs_name = "kernfs_node"."name"; Optional,
    /// `__parent` since 6.15.
    kernfs_parent = "kernfs_node"."__parent" | "parent"; Optional,
    kernfs_id = "kernfs_node"."id"; Optional,

    bprm_file = "linux_binprm"."file"; Required,
    bprm_filename = "linux_binprm"."filename"; Required,
    bprm_interp = "linux_binprm"."interp"; Required,
    bprm_argc = "linux_binprm"."argc"; Required,
}

/// All the loader tells the kernel programs about the running kernel, in one read-only global:
/// `u32` words, so that the loader can hand it over as a slice ([`LAYOUT_WORDS`] long).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The field offsets.
    pub fields: Offsets,
    /// Byte of `linux_binprm` that holds the bit `is_check` (6.14 and later), or [`MISSING`].
    pub bprm_is_check_byte: u32,
    /// Mask of the bit in that byte.
    pub bprm_is_check_mask: u32,
    /// Bytes of one `struct upid`.
    pub upid_bytes: u32,
    /// Index of the pids controller in `css_set.subsys` (cgroup v1), or [`MISSING`].
    pub pids_subsystem: u32,
    /// Where in `pt_regs` a system call's arguments 0 to 4 are.
    pub syscall_arguments: [u32; SYSCALL_ARGUMENTS],
    /// Bytes of one `struct inode`, or [`MISSING`]: what follows it in overlayfs' own inode.
    pub inode_bytes: u32,
}

impl Offsets {
    /// How many fields there are.
    pub const COUNT: usize = FIELDS.len();
}

/// Length of [`Layout`] in words.
pub const LAYOUT_WORDS: usize = Offsets::COUNT + 5 + SYSCALL_ARGUMENTS;

/// Arguments of a system call that are looked at.
pub const SYSCALL_ARGUMENTS: usize = 5;

const _: () = assert!(size_of::<Offsets>() == 4 * Offsets::COUNT);
const _: () = assert!(size_of::<Layout>() == 4 * LAYOUT_WORDS);
