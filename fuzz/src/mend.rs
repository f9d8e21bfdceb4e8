//! Checksums made right again: what is behind them would never be reached by chance. Where they
//! stand is told by the head of the module `spool`.

const HEAD_BYTES: usize = 64;
const BLOCK_MAGIC: [u8; 4] = [0xf5, 0xb1, 0x0c, 0xc5];

/// Gives the segment head and every block in it the checksums of what they hold, and every block
/// the salt of the segment.
pub fn segment(bytes: &mut [u8]) {
    let Some(head) = bytes.first_chunk_mut::<HEAD_BYTES>() else { return };
    let crc = crc32c::crc32c_append(crc32c::crc32c(&head[..12]), &head[16..]);
    head[12..16].copy_from_slice(&crc.to_le_bytes());
    let salt: [u8; 8] = head[40..48].try_into().expect("eight bytes");
    let mut at = HEAD_BYTES;
    while let Some(block) = bytes.get_mut(at..).filter(|block| block.len() >= HEAD_BYTES) {
        if block[..4] != BLOCK_MAGIC {
            at += 1;
            continue;
        }
        block[48..56].copy_from_slice(&salt);
        let stored = u32::from_le_bytes(block[20..24].try_into().expect("four bytes"));
        let body_bytes = usize::from(block[13]) + stored as usize;
        let body = block.get(HEAD_BYTES..).and_then(|body| body.get(..body_bytes));
        let next = body.map_or(1, |body| HEAD_BYTES + body.len());
        if let Some(body) = body {
            let crc = crc32c::crc32c(body);
            block[8..12].copy_from_slice(&crc.to_le_bytes());
        }
        let crc = crc32c::crc32c(&block[8..HEAD_BYTES]);
        block[4..8].copy_from_slice(&crc.to_le_bytes());
        at += next;
    }
}
