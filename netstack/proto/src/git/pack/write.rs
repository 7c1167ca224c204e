//! A pack of a few objects, all of them whole: what a push sends.

use super::super::error::Error;
use super::super::object::{Kind, Object};
use super::super::oid::{Format, Hasher};
use flate2::{Compress, Compression, FlushCompress};

/// Octets to make room for at once.
const ROOM: usize = 4096;

/// A pack of these objects.
///
/// # Errors
/// [`Error::Limit`]: more than 2³² of them.
pub fn write<'a>(
    format: Format,
    objects: impl ExactSizeIterator<Item = &'a Object>,
) -> Result<Vec<u8>, Error> {
    let most = u64::from(u32::MAX);
    let count = u32::try_from(objects.len())
        .map_err(|_| Error::Limit { what: "objects in a pack", most })?;
    let mut out = b"PACK\0\0\0\x02".to_vec();
    out.extend(count.to_be_bytes());
    for object in objects {
        head(&mut out, object.kind, object.content.len() as u64);
        deflate(&mut out, &object.content);
    }
    let mut checksum = Hasher::checksum(format);
    checksum.update(&out);
    out.extend(checksum.finish()?.octets());
    Ok(out)
}

fn head(out: &mut Vec<u8>, kind: Kind, mut size: u64) {
    let number = match kind {
        Kind::Commit => 1,
        Kind::Tree => 2,
        Kind::Blob => 3,
        Kind::Tag => 4,
    };
    let mut octet = number << 4 | (size & 0x0f) as u8;
    size >>= 4;
    while size > 0 {
        out.push(octet | 0x80);
        octet = (size & 0x7f) as u8;
        size >>= 7;
    }
    out.push(octet);
}

fn deflate(out: &mut Vec<u8>, octets: &[u8]) {
    let mut state = Compress::new(Compression::default(), true);
    loop {
        out.reserve(ROOM);
        let rest = &octets[state.total_in() as usize..];
        let status = state.compress_vec(rest, out, FlushCompress::Finish);
        if status.expect("deflate takes any octets") == flate2::Status::StreamEnd {
            return;
        }
    }
}
