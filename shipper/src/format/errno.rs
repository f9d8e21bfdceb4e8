//! Names of error numbers, from include/uapi/asm-generic/errno-base.h and errno.h; the same on x86-64 and
//! arm64. Others that an exec may return are of networks and devices far away, and show as numbers.

use std::borrow::Cow;

use crate::event::{DeniedBy, Failure};

const NAMES: &[(u32, &str)] = &[
    (1, "EPERM"),
    (2, "ENOENT"),
    (3, "ESRCH"),
    (4, "EINTR"),
    (5, "EIO"),
    (6, "ENXIO"),
    (7, "E2BIG"),
    (8, "ENOEXEC"),
    (9, "EBADF"),
    (10, "ECHILD"),
    (11, "EAGAIN"),
    (12, "ENOMEM"),
    (13, "EACCES"),
    (14, "EFAULT"),
    (15, "ENOTBLK"),
    (16, "EBUSY"),
    (17, "EEXIST"),
    (18, "EXDEV"),
    (19, "ENODEV"),
    (20, "ENOTDIR"),
    (21, "EISDIR"),
    (22, "EINVAL"),
    (23, "ENFILE"),
    (24, "EMFILE"),
    (25, "ENOTTY"),
    (26, "ETXTBSY"),
    (27, "EFBIG"),
    (28, "ENOSPC"),
    (29, "ESPIPE"),
    (30, "EROFS"),
    (31, "EMLINK"),
    (32, "EPIPE"),
    (33, "EDOM"),
    (34, "ERANGE"),
    (36, "ENAMETOOLONG"),
    (37, "ENOLCK"),
    (38, "ENOSYS"),
    (39, "ENOTEMPTY"),
    (40, "ELOOP"),
    (80, "ELIBBAD"),
    (116, "ESTALE"),
    (122, "EDQUOT"),
];

/// The name, such as `EACCES`; of an unknown one the number.
#[must_use]
pub fn name(errno: u32) -> Cow<'static, str> {
    match NAMES.iter().find(|(number, _)| *number == errno) {
        Some((_, name)) => Cow::Borrowed(name),
        None => Cow::Owned(errno.to_string()),
    }
}

/// What it says, in the words of the C library.
fn message(errno: u32) -> String {
    let error = std::io::Error::from_raw_os_error(i32::try_from(errno).unwrap_or(0)).to_string();
    // `Permission denied (os error 13)`
    error.split(" (os error").next().unwrap_or_default().to_owned()
}

/// Why an attempt failed, in words.
#[must_use]
pub fn what(failure: &Failure) -> String {
    match failure.denied_by {
        Some(DeniedBy::Shipper) => "denied by shipper".to_owned(),
        Some(DeniedBy::SecurityModule) | None => message(failure.errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_its_name_and_its_words() {
        assert_eq!((name(13), message(13)), ("EACCES".into(), "Permission denied".to_owned()));
        assert_eq!((name(26), message(26)), ("ETXTBSY".into(), "Text file busy".to_owned()));
        assert_eq!(name(4000), "4000");
    }
}
