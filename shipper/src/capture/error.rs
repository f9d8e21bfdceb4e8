//! Why capture, or one of its modes, does not work here: in the operator's words.

use std::path::PathBuf;

use super::Mode;
use super::bpffs::PinError;
use super::fresh::{CANARIES_MAX, CANARY_LIMIT};
use super::layout::LayoutError;

/// Why capture cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// Privileges are missing.
    #[error("{0}")]
    NotPermitted(String),
    /// The kernel's structures are not known.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// Maps or programs could not be created.
    #[error("the kernel programs cannot be loaded: {reason}{}{hint}", if hint.is_empty() { "" } else { ". " })]
    Load {
        /// What failed.
        reason: String,
        /// What to do, when known.
        hint: String,
    },
    /// A program could not be attached.
    #[error("{program} cannot be attached: {reason}")]
    Attach {
        /// The program.
        program: &'static str,
        /// What the kernel said.
        reason: String,
    },
    /// The mode asked for does not work, or none does.
    #[error("{}", describe_modes(.0))]
    NoMode(Vec<(Mode, ModeError)>),
    /// The ring or the counters cannot be read.
    #[error("the ring buffer cannot be read: {0}")]
    Ring(String),
    /// What an earlier run pinned cannot be taken over.
    #[error(
        "what an earlier run pinned in {} cannot be used ({reason}): `shipper unpin` removes it, \
         and counts what it can of what is in it", dir.display()
    )]
    Adopt {
        /// The set of pins.
        dir: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Deny rules cannot be enforced, or must not be.
    #[error("enforce: {0}")]
    Enforce(#[from] EnforceError),
    /// Programs and maps cannot be pinned, or what is pinned cannot be used.
    #[error(transparent)]
    Pin(#[from] PinError),
}

/// Why deny rules are not enforced.
#[derive(Debug, thiserror::Error)]
pub enum EnforceError {
    /// The machine could not be mended any more.
    #[error(
        "rule {rule} would deny {path}, which {who}; give the rule another path_prefix, or except \
         who or what executes it", path = path.display()
    )]
    Vital {
        /// Id of the rule.
        rule: String,
        /// What it would deny.
        path: PathBuf,
        /// Whose that is.
        who: String,
    },
    /// A prefix below which no path ever is.
    #[error(
        "rule {rule}: {path} leads to {real}, and the kernel knows what is executed there by that \
         name; set path_prefix: {real}", path = path.display(), real = real.display()
    )]
    Link {
        /// Id of the rule.
        rule: String,
        /// Its prefix.
        path: PathBuf,
        /// Where it leads.
        real: PathBuf,
    },
    /// What must be looked at before rules are loaded cannot be.
    #[error("whether a rule would deny what this machine needs cannot be told: {path}: {source}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Nothing can be refused.
    #[error(
        "deny rules need capture mode lsm, which does not work here: {0}. `shipper doctor` shows \
         what this machine allows; without `enforce` in the configuration capture goes on in another \
         mode"
    )]
    Mode(ModeError),
    /// What is refused would not be seen.
    #[error(
        "what deny rules refuse is reported as a failed exec, and these cannot be seen here: {0}"
    )]
    Failures(ModeError),
    /// Fields of the kernel that a rule needs.
    #[error(
        "this kernel has no {0}, which a rule needs that has `deny: deleted` or excepts a cgroup: \
         leave that out"
    )]
    Fields(String),
    /// There is no cgroup v2.
    #[error(
        "a rule excepts a cgroup, and cgroup v2 is not mounted here: \
         `mount -t cgroup2 none /sys/fs/cgroup`, or except users alone"
    )]
    NoUnifiedCgroups,
    /// A cgroup is not there.
    #[error(
        "a rule excepts the cgroup {path}, and there is no {dir}: name one that is there before \
         shipper starts, such as the slice of a service; what is below it is excepted too",
        path = path.display(), dir = dir.display()
    )]
    NoCgroup {
        /// As the rule has it.
        path: PathBuf,
        /// Where it would be.
        dir: PathBuf,
    },
    /// The object lacks a map.
    #[error("the kernel object has no map {0}")]
    NoMap(&'static str),
    /// The kernel refuses a map.
    #[error("the kernel refused the rules: {0}")]
    Map(#[from] aya::maps::MapError),
    /// A map cannot be pinned.
    #[error("the rules cannot be pinned: {0}")]
    Pin(#[from] aya::pin::PinError),
}

/// Why a mode does not work here.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ModeError {
    /// The kernel refused a program.
    #[error("{0}")]
    Refused(String),
    /// Attached, and the test exec came without it.
    #[error("the program was attached and did not run for a test exec{}", .0.as_deref().unwrap_or(""))]
    NeverFired(Option<String>),
    /// The test exec was not reported at all.
    #[error("a test exec was not reported within {} s", (CANARY_LIMIT * CANARIES_MAX).as_secs())]
    NoEvent,
    /// The canary could not be executed.
    #[error("the test exec failed: {0}")]
    Canary(String),
}

fn describe_modes(tried: &[(Mode, ModeError)]) -> String {
    match tried {
        [(mode, error)] => format!(
            "capture mode {} does not work here: {error}. `capture.mode: auto` takes the best one \
             that does; `shipper doctor` shows which",
            mode.as_str()
        ),
        _ => {
            let reasons: Vec<String> =
                tried.iter().map(|(mode, error)| format!("{}: {error}", mode.as_str())).collect();
            format!("no capture mode works here. {}", reasons.join(". "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_that_was_asked_for_and_fails_is_not_called_no_mode_at_all() {
        let refused = |mode| (mode, ModeError::Refused("not permitted".to_owned()));
        let one = CaptureError::NoMode(vec![refused(Mode::Lsm)]).to_string();
        assert!(one.starts_with("capture mode lsm does not work here: not permitted"), "{one}");
        assert!(one.contains("capture.mode: auto"), "{one}");
        let all = CaptureError::NoMode(Mode::ALL.map(refused).to_vec()).to_string();
        assert!(
            all.starts_with("no capture mode works here. lsm: not permitted. fentry:"),
            "{all}"
        );
    }
}
