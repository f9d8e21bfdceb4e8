//! What the machine says of itself.

use std::collections::HashMap;
use std::path::Path;

use crate::event::Host;

/// Reads it all. What cannot be had is the empty string, and is left out of events.
#[must_use]
pub fn read() -> Host {
    let uname = rustix::system::uname();
    let os = os_release(
        &std::fs::read_to_string("/etc/os-release")
            .or_else(|_| std::fs::read_to_string("/usr/lib/os-release"))
            .unwrap_or_default(),
    );
    let os = |key: &str| os.get(key).cloned().unwrap_or_default();
    Host {
        name: uname.nodename().to_string_lossy().into_owned(),
        id: read_line("/etc/machine-id")
            .or_else(|| read_line("/var/lib/dbus/machine-id"))
            .unwrap_or_default(),
        boot_id: read_line("/proc/sys/kernel/random/boot_id").unwrap_or_default(),
        kernel: uname.release().to_string_lossy().into_owned(),
        architecture: uname.machine().to_string_lossy().into_owned(),
        os_platform: os("ID"),
        os_name: os("NAME"),
        os_version: os("VERSION_ID"),
        os_full: os("PRETTY_NAME"),
    }
}

fn read_line(path: impl AsRef<Path>) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().next()?.trim();
    (!line.is_empty()).then(|| line.to_owned())
}

/// `KEY=value` lines with shell quotes, as os-release(5) describes them.
fn os_release(text: &str) -> HashMap<String, String> {
    text.lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| {
            let value = value.trim();
            let inner = ['"', '\'']
                .iter()
                .find_map(|&quote| value.strip_prefix(quote)?.strip_suffix(quote))
                .unwrap_or(value);
            (key.trim().to_owned(), inner.replace("\\\"", "\"").replace("\\$", "$"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn os_release_values_lose_their_quotes() {
        let os = os_release(
            "# comment\nID=debian\nNAME=\"Debian GNU/Linux\"\nVERSION_ID='12'\nbroken\n",
        );
        assert_eq!(os.get("ID").map(String::as_str), Some("debian"));
        assert_eq!(os.get("NAME").map(String::as_str), Some("Debian GNU/Linux"));
        assert_eq!(os.get("VERSION_ID").map(String::as_str), Some("12"));
        assert_eq!(os.len(), 3);
    }

    #[test]
    fn this_machine_has_a_name_a_kernel_and_a_boot_id() {
        let host = read();
        assert!(!host.name.is_empty() && !host.kernel.is_empty());
        assert_eq!(host.boot_id.len(), 36);
    }
}
