//! The protobuf wire format: keys, varints, fixed 64-bit numbers and length-delimited fields.
//!
//! Nothing is copied on the way: a message is written field by field into the caller's buffer and
//! read as slices of it.

use super::CodecError;

/// Wire types of protobuf.
const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const BYTES: u8 = 2;
const FIXED32: u8 = 5;

/// Most bytes of a varint: 64 bits in groups of 7.
const VARINT_BYTES_MAX: usize = 10;

/// Writes the fields of one message.
pub(super) struct Message<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Message<'a> {
    /// Appends to what is in `out`.
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Message { out }
    }

    /// A number, small ones in few bytes.
    pub(super) fn uint(&mut self, field: u32, value: impl Into<u64>) {
        self.key(field, VARINT);
        varint(self.out, value.into());
    }

    /// A number that is large as a rule: eight bytes.
    pub(super) fn fixed(&mut self, field: u32, value: u64) {
        self.key(field, FIXED64);
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    /// A flag: nothing when it is not set.
    pub(super) fn flag(&mut self, field: u32, value: bool) {
        if value {
            self.uint(field, 1u64);
        }
    }

    /// Bytes, or a text.
    pub(super) fn bytes(&mut self, field: u32, value: impl AsRef<[u8]>) {
        let value = value.as_ref();
        self.key(field, BYTES);
        varint(self.out, value.len() as u64);
        self.out.extend_from_slice(value);
    }

    /// Numbers that are always there together (`repeated uint64`, packed).
    pub(super) fn numbers(&mut self, field: u32, values: &[u64]) {
        self.message(field, |message| {
            for value in values {
                varint(message.out, *value);
            }
        });
    }

    /// A message inside this one.
    pub(super) fn message(&mut self, field: u32, write: impl FnOnce(&mut Message<'_>)) {
        self.key(field, BYTES);
        // Its length stands before it. One byte is kept for that, and what is longer moves up.
        let start = self.out.len();
        self.out.push(0);
        write(self);
        let length = self.out.len() - start - 1;
        if let Ok(length @ 0..0x80) = u8::try_from(length) {
            self.out[start] = length;
        } else {
            let mut prefix = Vec::with_capacity(VARINT_BYTES_MAX);
            varint(&mut prefix, length as u64);
            self.out.splice(start..=start, prefix);
        }
    }

    fn key(&mut self, field: u32, wire_type: u8) {
        varint(self.out, u64::from(field) << 3 | u64::from(wire_type));
    }
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// One field of a message.
pub(super) struct Field<'a> {
    /// Its number.
    pub(super) number: u64,
    value: Value<'a>,
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Field<'a> {
    /// A number, of either form.
    pub(super) fn uint(&self) -> Result<u64, CodecError> {
        match self.value {
            Value::Number(value) => Ok(value),
            Value::Bytes(_) => Err(CodecError::WireType { field: self.number }),
        }
    }

    /// A number of at most 32 bits.
    pub(super) fn small(&self) -> Result<u32, CodecError> {
        self.uint().and_then(small)
    }

    /// A flag.
    pub(super) fn flag(&self) -> Result<bool, CodecError> {
        Ok(self.uint()? != 0)
    }

    /// Bytes, or a message.
    pub(super) fn bytes(&self) -> Result<&'a [u8], CodecError> {
        match self.value {
            Value::Bytes(bytes) => Ok(bytes),
            Value::Number(_) => Err(CodecError::WireType { field: self.number }),
        }
    }

    /// A text.
    pub(super) fn text(&self) -> Result<&'a str, CodecError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| CodecError::Text { field: self.number })
    }

    /// The first `N` packed numbers. A later version may have appended more.
    pub(super) fn numbers<const N: usize>(&self) -> Result<[u64; N], CodecError> {
        let mut rest = self.bytes()?;
        let mut numbers = [0; N];
        for number in &mut numbers {
            if rest.is_empty() {
                return Err(CodecError::TooFewNumbers { field: self.number });
            }
            *number = take_varint(&mut rest)?;
        }
        Ok(numbers)
    }
}

/// A number that must fit in 32 bits.
pub(super) fn small(value: u64) -> Result<u32, CodecError> {
    u32::try_from(value).map_err(|_| CodecError::TooLarge { value })
}

/// The fields of a message, in their order. After an error there are no more.
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Of the message in these bytes.
    pub(super) fn new(message: &'a [u8]) -> Self {
        Fields { rest: message }
    }

    fn read(&mut self) -> Result<Field<'a>, CodecError> {
        let key = take_varint(&mut self.rest)?;
        let value = match (key & 7) as u8 {
            VARINT => Value::Number(take_varint(&mut self.rest)?),
            FIXED64 => Value::Number(u64::from_le_bytes(take_array(&mut self.rest)?)),
            FIXED32 => Value::Number(u32::from_le_bytes(take_array(&mut self.rest)?).into()),
            BYTES => {
                let length = take_varint(&mut self.rest)?;
                let length = usize::try_from(length).map_err(|_| CodecError::Truncated)?;
                let (bytes, rest) =
                    self.rest.split_at_checked(length).ok_or(CodecError::Truncated)?;
                self.rest = rest;
                Value::Bytes(bytes)
            }
            _ => return Err(CodecError::WireType { field: key >> 3 }),
        };
        Ok(Field { number: key >> 3, value })
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, CodecError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.read();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

fn take_array<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], CodecError> {
    let (array, after) = rest.split_first_chunk().ok_or(CodecError::Truncated)?;
    *rest = after;
    Ok(*array)
}

#[inline]
fn take_varint(rest: &mut &[u8]) -> Result<u64, CodecError> {
    // Most are keys, lengths and small numbers: one byte.
    match rest {
        [byte @ 0..0x80, after @ ..] => {
            let value = u64::from(*byte);
            *rest = after;
            Ok(value)
        }
        _ => take_long_varint(rest),
    }
}

fn take_long_varint(rest: &mut &[u8]) -> Result<u64, CodecError> {
    let mut value = 0;
    for (at, &byte) in rest.iter().enumerate().take(VARINT_BYTES_MAX) {
        // Of the tenth byte only the lowest bit is of the 64.
        if at == VARINT_BYTES_MAX - 1 && byte > 1 {
            return Err(CodecError::Varint);
        }
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte < 0x80 {
            *rest = &rest[at + 1..];
            return Ok(value);
        }
    }
    Err(if rest.len() < VARINT_BYTES_MAX { CodecError::Truncated } else { CodecError::Varint })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_varint_is_read_back_and_those_beyond_64_bits_are_refused() {
        for value in (0..64).flat_map(|bit| [1u64 << bit, (1 << bit) - 1]).chain([u64::MAX]) {
            let mut out = Vec::new();
            varint(&mut out, value);
            let mut rest = out.as_slice();
            assert_eq!(take_varint(&mut rest), Ok(value));
            assert!(rest.is_empty());
            assert_eq!(take_varint(&mut &out[..out.len() - 1]), Err(CodecError::Truncated));
        }
        assert_eq!(take_varint(&mut [0xff; 10].as_slice()), Err(CodecError::Varint));
        assert_eq!(take_varint(&mut [0x80; 11].as_slice()), Err(CodecError::Varint));
    }

    #[test]
    fn a_message_of_any_length_stands_behind_its_length() {
        for length in [0, 1, 127, 128, 16_383, 16_384, 70_000] {
            let inner = vec![7; length];
            let (mut whole, mut expected) = (b"before".to_vec(), b"before".to_vec());
            Message::new(&mut whole).message(3, |message| message.out.extend_from_slice(&inner));
            Message::new(&mut expected).bytes(3, &inner);
            assert_eq!(whole, expected);
        }
    }
}
