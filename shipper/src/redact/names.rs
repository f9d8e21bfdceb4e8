//! Which names of options, variables and fields are those of secrets.

/// How the name of a secret ends, without `-`, `_` and `.`.
pub(super) const ENDINGS: [&str; 17] = [
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "secretkey",
    "secretkeybase",
    "authkey",
    "encryptionkey",
    "storepass",
    "keypass",
    "srcpass",
    "requirepass",
    "masterauth",
];

/// Last parts of a name that are too short to be looked for within a part: `--compass` is none.
pub(super) const LAST_PARTS: [&str; 3] = ["pass", "pwd", "pw"];

/// First parts of names that tell whether or how something is asked for, or of numbers that models of
/// language have.
const NOT_BEFORE: [&str; 24] = [
    "no", "not", "without", "ask", "prompt", "skip", "disable", "enable", "use", "show", "get",
    "list", "create", "delete", "require", "has", "is", "allow", "two", "multi", "max", "eos",
    "bos", "pad",
];

/// Longest name that is looked at, in bytes.
const NAME_BYTES_MAX: usize = 128;

/// Whether a name is that of a secret: `password`, `DB_PASSWORD`, `spring.datasource.password`,
/// `client-secret`, `accessToken`.
pub(super) fn is_secret(name: &[u8]) -> bool {
    if name.len() > NAME_BYTES_MAX {
        return false;
    }
    let name = name.to_ascii_lowercase();
    let is_between = |byte: &u8| b"-_.".contains(byte);
    let mut parts = name.split(is_between).filter(|part| !part.is_empty());
    let Some(first) = parts.next() else { return false };
    let last = parts.next_back().unwrap_or(first);
    if NOT_BEFORE.iter().any(|word| word.as_bytes() == first) {
        return false;
    }
    let plain: Vec<u8> = name.iter().copied().filter(|byte| !is_between(byte)).collect();
    ENDINGS.iter().any(|ending| plain.ends_with(ending.as_bytes()))
        || LAST_PARTS.iter().any(|part| part.as_bytes() == last)
}

/// Whether a value of a secret's name is none all the same: `--pass 1` is the first pass of an encoder,
/// `--secret id=npm,src=.npmrc` names a file, `PWD=/srv` is a directory.
pub(super) fn is_harmless(name: &[u8], value: &[u8]) -> bool {
    let is = |word: &str| name.eq_ignore_ascii_case(word.as_bytes());
    matches!(value, b"" | b"-" | b"true" | b"false")
        || is("pass") && matches!(value, [digit] if digit.is_ascii_digit())
        || is("secret")
            && ["id=", "src=", "source=", "type="]
                .iter()
                .any(|key| value.starts_with(key.as_bytes()))
        || is("pwd") && value.starts_with(b"/")
        // A file.
        || is("auth-user-pass")
}
