//! The body of a request, compressed.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::config::settings::HttpCompression;

/// Events compress tenfold at the fastest level; a higher one costs far more than it saves.
const ZSTD_LEVEL: i32 = 1;

/// The bytes to send, and the value of `Content-Encoding` for them.
#[must_use]
pub fn compress(bytes: &[u8], compression: HttpCompression) -> (Vec<u8>, Option<&'static str>) {
    let compressed = match compression {
        HttpCompression::None => None,
        HttpCompression::Gzip => gzip(bytes).map(|bytes| (bytes, Some("gzip"))).ok(),
        HttpCompression::Zstd => {
            zstd::bulk::compress(bytes, ZSTD_LEVEL).map(|bytes| (bytes, Some("zstd"))).ok()
        }
    };
    // Memory takes everything, so neither fails; if one did, the bytes as they are would be right.
    compressed.unwrap_or_else(|| (bytes.to_vec(), None))
}

fn gzip(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let out = Vec::with_capacity(bytes.len() / 4 + 64);
    let mut encoder = GzEncoder::new(out, Compression::fast());
    encoder.write_all(bytes)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn what_was_compressed_is_what_comes_out() {
        let bytes = b"{\"event\":1}\n".repeat(1000);
        let (plain, coding) = compress(&bytes, HttpCompression::None);
        assert_eq!((plain, coding), (bytes.clone(), None));
        let (zipped, coding) = compress(&bytes, HttpCompression::Gzip);
        let mut out = Vec::new();
        flate2::read::GzDecoder::new(&zipped[..]).read_to_end(&mut out).unwrap();
        assert_eq!((out, coding), (bytes.clone(), Some("gzip")));
        let (squeezed, coding) = compress(&bytes, HttpCompression::Zstd);
        assert_eq!(zstd::decode_all(&squeezed[..]).unwrap(), bytes);
        assert_eq!(coding, Some("zstd"));
        assert!(zipped.len() < bytes.len() / 10 && squeezed.len() < bytes.len() / 10);
    }
}
