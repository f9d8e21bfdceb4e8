//! What stands where a secret was: `[redacted:KIND]`, with a key `[redacted:KIND:HASH]`.
//!
//! The hash is the first 64 bits of HMAC-SHA-256 over the secret alone, so that the same secret has the
//! same hash under every kind and in every program. Without the key nobody can try passwords against it.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// Shortest key, in bytes: one that can be guessed makes the hashes of weak passwords as good as the
/// passwords.
pub const HASH_KEY_BYTES_MIN: usize = 16;

/// Bytes of the hash that are shown, as twice as many digits.
const HASH_BYTES: usize = 8;

/// The key under which removed secrets are hashed.
#[derive(Clone)]
pub struct HashKey(Hmac<Sha256>);

/// A key that is too short.
#[derive(Debug, thiserror::Error)]
#[error(
    "the key for the hashes of secrets must have at least {HASH_KEY_BYTES_MIN} bytes, but has {0}"
)]
pub struct KeyTooShort(pub usize);

impl HashKey {
    /// From its bytes.
    ///
    /// # Errors
    /// Fewer than [`HASH_KEY_BYTES_MIN`].
    pub fn new(key: &[u8]) -> Result<Self, KeyTooShort> {
        if key.len() < HASH_KEY_BYTES_MIN {
            return Err(KeyTooShort(key.len()));
        }
        Ok(HashKey(Hmac::new_from_slice(key).expect("HMAC takes a key of any length")))
    }

    fn hash(&self, secret: &[u8]) -> [u8; HASH_BYTES] {
        let mut mac = self.0.clone();
        mac.update(secret);
        let whole: [u8; 32] = mac.finalize().into_bytes().into();
        let mut hash = [0; HASH_BYTES];
        hash.copy_from_slice(&whole[..HASH_BYTES]);
        hash
    }
}

/// Appends the mark of a secret.
pub(super) fn write(out: &mut Vec<u8>, kind: &str, secret: &[u8], key: Option<&HashKey>) {
    out.extend_from_slice(b"[redacted:");
    out.extend_from_slice(kind.as_bytes());
    if let Some(key) = key {
        let hash = u64::from_be_bytes(key.hash(secret));
        out.extend_from_slice(format!(":{hash:016x}").as_bytes());
    }
    out.push(b']');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(secret: &str, key: Option<&HashKey>) -> String {
        let mut out = Vec::new();
        write(&mut out, "jwt", secret.as_bytes(), key);
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn without_a_key_there_is_the_kind_alone() {
        assert_eq!(marked("hunter2", None), "[redacted:jwt]");
    }

    #[test]
    fn the_hash_is_the_beginning_of_hmac_sha256() {
        // RFC 4231, test case 3: 20 bytes 0xaa, 50 bytes 0xdd.
        let key = HashKey::new(&[0xaa; 20]).expect("long enough");
        let mut out = Vec::new();
        write(&mut out, "jwt", &[0xdd; 50], Some(&key));
        assert_eq!(out, b"[redacted:jwt:773ea91e36800e46]");
    }

    #[test]
    fn a_key_that_is_too_short_is_refused() {
        assert!(HashKey::new(&[7; HASH_KEY_BYTES_MIN]).is_ok());
        let error = HashKey::new(&[7; HASH_KEY_BYTES_MIN - 1]).map(|_| ()).expect_err("too short");
        assert!(error.to_string().ends_with("at least 16 bytes, but has 15"), "{error}");
    }
}
