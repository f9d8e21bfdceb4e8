//! What a deny rule made of an exec.

/// What a deny rule made of an exec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enforcement {
    /// Id of the rule: the first that is for it.
    pub rule: String,
    /// What became of it.
    pub action: EnforcementAction,
}

/// What became of an exec that a deny rule is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnforcementAction {
    /// It was refused.
    Denied,
    /// It was let go: dry run, or the daemon was gone.
    WouldDeny,
    /// It was let go, since it could not be told whether the rule is for it.
    NotJudged,
}

impl Enforcement {
    /// It in words.
    #[must_use]
    pub fn sentence(&self) -> String {
        let Enforcement { rule, action } = self;
        match action {
            EnforcementAction::Denied => format!("denied by shipper, rule {rule}"),
            EnforcementAction::WouldDeny => {
                format!("not denied by shipper, rule {rule} would have")
            }
            EnforcementAction::NotJudged => {
                format!("not denied by shipper, it could not be told whether rule {rule} is for it")
            }
        }
    }
}

impl EnforcementAction {
    /// All, in the order of their numbers in the spool.
    pub const ALL: [EnforcementAction; 3] =
        [EnforcementAction::Denied, EnforcementAction::WouldDeny, EnforcementAction::NotJudged];

    /// The word events carry.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            EnforcementAction::Denied => "denied",
            EnforcementAction::WouldDeny => "would_deny",
            EnforcementAction::NotJudged => "not_judged",
        }
    }
}
