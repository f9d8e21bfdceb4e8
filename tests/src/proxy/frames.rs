//! The framing of the Kafka protocol, as far as the proxy reads it: a length of four bytes, then in
//! a request the kind (two bytes), its version (two) and a correlation id (four), in a response the
//! correlation id at once.

use std::collections::HashMap;

/// The first byte of a TLS connection, a handshake record. Of a Kafka request it would be a length
/// of above 369 MB.
const TLS_HANDSHAKE: u8 = 0x16;

const LENGTH_BYTES: usize = 4;
const REQUEST_HEAD_BYTES: usize = LENGTH_BYTES + 8;
const RESPONSE_HEAD_BYTES: usize = LENGTH_BYTES + 4;

/// The longest response, in bytes; what Kafka itself takes for a request by default.
const RESPONSE_BYTES_MAX: usize = 100 << 20;

/// What one connection asked and was not answered yet.
#[derive(Default)]
pub struct Requests {
    /// None until the first byte came.
    is_tls: Option<bool>,
    head: Vec<u8>,
    /// How many bytes of the present request are still to come after its head.
    rest: usize,
    /// Correlation id to kind.
    unanswered: HashMap<i32, i16>,
}

impl Requests {
    /// Takes bytes from the client, in whatever pieces.
    pub fn take(&mut self, mut bytes: &[u8]) {
        let Some(&first) = bytes.first() else { return };
        if *self.is_tls.get_or_insert(first == TLS_HANDSHAKE) {
            return;
        }
        while !bytes.is_empty() {
            if self.rest > 0 {
                let passed = self.rest.min(bytes.len());
                self.rest -= passed;
                bytes = &bytes[passed..];
                continue;
            }
            let wanted = (REQUEST_HEAD_BYTES - self.head.len()).min(bytes.len());
            self.head.extend(&bytes[..wanted]);
            bytes = &bytes[wanted..];
            if self.head.len() == REQUEST_HEAD_BYTES {
                let kind = i16::from_be_bytes([self.head[4], self.head[5]]);
                self.unanswered.insert(number(&self.head[8..]), kind);
                // A length below that of the head is no Kafka; then every eight bytes pass for one.
                self.rest = (length(&self.head) + LENGTH_BYTES).saturating_sub(REQUEST_HEAD_BYTES);
                self.head.clear();
            }
        }
    }

    /// Whether the connection is encrypted, so that nothing of it can be read.
    pub fn is_tls(&self) -> bool {
        self.is_tls == Some(true)
    }

    /// Whether a request of this kind is unanswered.
    pub fn awaits(&self, kind: i16) -> bool {
        self.unanswered.values().any(|found| *found == kind)
    }

    /// The kind of the request that a response answers; it is answered from then on.
    pub fn answered_by(&mut self, response: &[u8]) -> Option<i16> {
        self.unanswered.remove(&number(response.get(LENGTH_BYTES..RESPONSE_HEAD_BYTES)?))
    }
}

/// Cuts what comes from the broker into responses.
#[derive(Default)]
pub struct Responses {
    bytes: Vec<u8>,
}

/// What came is no response of Kafka's.
#[derive(Debug, thiserror::Error)]
#[error("a response of {0} bytes")]
pub struct TooLong(usize);

impl Responses {
    /// Takes bytes from the broker, in whatever pieces.
    pub fn take(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
    }

    /// The next response that is whole, with its length before it.
    pub fn next(&mut self) -> Result<Option<Vec<u8>>, TooLong> {
        if self.bytes.len() < LENGTH_BYTES {
            return Ok(None);
        }
        let whole = length(&self.bytes) + LENGTH_BYTES;
        if whole > RESPONSE_BYTES_MAX {
            return Err(TooLong(whole));
        }
        if self.bytes.len() < whole {
            return Ok(None);
        }
        let rest = self.bytes.split_off(whole);
        Ok(Some(std::mem::replace(&mut self.bytes, rest)))
    }
}

/// The four bytes at the beginning.
fn number(bytes: &[u8]) -> i32 {
    i32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

/// The length that a frame begins with; a negative one is beyond every limit.
fn length(bytes: &[u8]) -> usize {
    number(bytes) as u32 as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(kind: i16, correlation_id: i32, rest: &[u8]) -> Vec<u8> {
        let mut body = kind.to_be_bytes().to_vec();
        body.extend(9i16.to_be_bytes());
        body.extend(correlation_id.to_be_bytes());
        body.extend(rest);
        framed(&body)
    }

    fn framed(body: &[u8]) -> Vec<u8> {
        let length = i32::try_from(body.len()).unwrap();
        [&length.to_be_bytes(), body].concat()
    }

    #[test]
    fn a_response_is_matched_with_its_request_however_the_bytes_are_cut() {
        let sent =
            [request(3, 1, b"metadata"), request(0, 2, b""), request(0, 3, &[7; 99])].concat();
        let answer = framed(&[&2i32.to_be_bytes()[..], b"done"].concat());
        for piece in 1..sent.len() {
            let (mut requests, mut responses) = (Requests::default(), Responses::default());
            sent.chunks(piece).for_each(|bytes| requests.take(bytes));
            let mut found = Vec::new();
            for bytes in answer.chunks(piece) {
                responses.take(bytes);
                found.extend(responses.next().unwrap());
            }
            assert_eq!(found, std::slice::from_ref(&answer), "in pieces of {piece}");
            assert_eq!(requests.answered_by(&answer), Some(0));
            assert_eq!(requests.answered_by(&answer), None, "answered twice");
        }
    }

    #[test]
    fn an_encrypted_connection_is_not_read() {
        let mut requests = Requests::default();
        requests.take(&[0x16, 3, 1, 2, 0]);
        requests.take(&request(0, 2, b""));
        assert!(requests.is_tls());
        assert!(requests.unanswered.is_empty());
    }

    #[test]
    fn what_is_too_long_for_a_response_is_refused() {
        let mut responses = Responses::default();
        responses.take(&(-1i32).to_be_bytes());
        assert!(responses.next().is_err());
    }
}
