//! A tar stream as `git archive` writes it: POSIX ustar (IEEE Std 1003.1), with pax headers for what does not fit.

use crate::error::Error;
use crate::sink::{self, Output};
use proto::git::ObjectId;
use proto::git::object::Mode;

/// Writes entries, then the end.
pub struct Tar<'a> {
    output: &'a mut Output,
    /// Of every entry, in seconds since 1970.
    time: u64,
    written: u64,
}

const BLOCK: usize = 512;
/// The largest time and size of eleven octal digits.
const MOST: u64 = 0o777_7777_7777;
/// What tapes were written in.
const RECORD: u64 = 20 * BLOCK as u64;
const NAME: usize = 100;
const PREFIX: usize = 155;
/// Permissions of files, of those that can be run and directories, of links, and of pax headers.
const FILE: u32 = 0o664;
const EXECUTABLE: u32 = 0o775;
const LINK: u32 = 0o777;
const EXTENDED: u32 = 0o666;

impl<'a> Tar<'a> {
    /// An archive of a commit's tree; of a tree alone where there is no commit.
    pub async fn new(
        output: &'a mut Output,
        commit: Option<ObjectId>,
        time: u64,
    ) -> Result<Self, Error> {
        let mut tar = Self { output, time: time.min(MOST), written: 0 };
        let mut global = Vec::new();
        if let Some(id) = commit {
            global.extend(record("comment", id.to_string().as_bytes()));
        }
        if time > MOST {
            global.extend(record("mtime", time.to_string().as_bytes()));
        }
        if !global.is_empty() {
            tar.head(b'g', EXTENDED, (b"", b"pax_global_header"), b"", global.len()).await?;
            tar.padded(&global).await?;
        }
        Ok(tar)
    }

    /// A directory's entry, or a submodule's; no slash ends `path`.
    pub async fn directory(&mut self, path: &[u8], id: &ObjectId) -> Result<(), Error> {
        let path = [path, b"/"].concat();
        self.entry(b'5', EXECUTABLE, &path, id, b"", 0).await
    }

    /// A file or a link with its content.
    pub async fn file(
        &mut self,
        path: &[u8],
        mode: Mode,
        id: &ObjectId,
        content: &[u8],
    ) -> Result<(), Error> {
        if mode == Mode::Link {
            return self.entry(b'2', LINK, path, id, content, 0).await;
        }
        let permissions = if mode == Mode::Executable { EXECUTABLE } else { FILE };
        self.entry(b'0', permissions, path, id, b"", content.len()).await?;
        self.padded(content).await
    }

    /// Two blocks of zeros at least, up to the end of a record.
    pub async fn finish(mut self) -> Result<(), Error> {
        let least = self.written + 2 * BLOCK as u64;
        let zeros = least.next_multiple_of(RECORD) - self.written;
        self.write(&vec![0; zeros as usize]).await?;
        sink::flush(self.output).await
    }

    async fn entry(
        &mut self,
        kind: u8,
        mode: u32,
        path: &[u8],
        id: &ObjectId,
        link: &[u8],
        size: usize,
    ) -> Result<(), Error> {
        let mut extended = Vec::new();
        let own_name;
        let name = match split(path) {
            Some(name) => name,
            None => {
                extended.extend(record("path", path));
                own_name = format!("{id}.data").into_bytes();
                (&b""[..], &own_name[..])
            }
        };
        let own_link;
        let mut short_link = link;
        if link.len() > NAME {
            extended.extend(record("linkpath", link));
            own_link = format!("see {id}.paxheader").into_bytes();
            short_link = &own_link;
        }
        if size as u64 > MOST {
            extended.extend(record("size", size.to_string().as_bytes()));
        }
        if !extended.is_empty() {
            let own = format!("{id}.paxheader");
            self.head(b'x', EXTENDED, (b"", own.as_bytes()), b"", extended.len()).await?;
            self.padded(&extended).await?;
        }
        self.head(kind, mode, name, short_link, size).await
    }

    async fn head(
        &mut self,
        kind: u8,
        mode: u32,
        (prefix, name): (&[u8], &[u8]),
        link: &[u8],
        size: usize,
    ) -> Result<(), Error> {
        let mut block = [0; BLOCK];
        let mut put = |at: usize, text: &[u8]| block[at..at + text.len()].copy_from_slice(text);
        put(0, name);
        put(100, format!("{mode:07o}").as_bytes());
        put(108, b"0000000");
        put(116, b"0000000");
        put(124, format!("{size:011o}").as_bytes());
        put(136, format!("{:011o}", self.time).as_bytes());
        // the checksum counts as spaces in itself
        put(148, b"        ");
        put(156, &[kind]);
        put(157, link);
        put(257, b"ustar");
        put(263, b"00root");
        put(297, b"root");
        put(329, b"0000000");
        put(337, b"0000000");
        put(345, prefix);
        let sum: u32 = block.iter().map(|octet| u32::from(*octet)).sum();
        block[148..156].copy_from_slice(format!("{sum:07o}\0").as_bytes());
        self.write(&block).await
    }

    async fn padded(&mut self, content: &[u8]) -> Result<(), Error> {
        self.write(content).await?;
        let rest = content.len().next_multiple_of(BLOCK) - content.len();
        self.write(&[0; BLOCK][..rest]).await
    }

    async fn write(&mut self, octets: &[u8]) -> Result<(), Error> {
        self.written += octets.len() as u64;
        sink::write(self.output, octets).await
    }
}

/// A path as prefix and name, where a header has room for it: the longest prefix that leaves a name.
fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.len() <= NAME {
        return Some((b"", path));
    }
    let inner = path.strip_suffix(b"/").unwrap_or(path);
    let most = &inner[..inner.len().min(PREFIX)];
    let slash = most.iter().rposition(|octet| *octet == b'/').filter(|at| *at > 0)?;
    let name = &path[slash + 1..];
    (name.len() <= NAME).then_some((&path[..slash], name))
}

/// A record of a pax header: its length counts itself.
fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut len = rest + 1;
    while rest + len.to_string().len() > len {
        len += 1;
    }
    [format!("{len} {key}=").as_bytes(), value, b"\n"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_count_themselves() {
        for len in [0, 1, 90, 91, 92, 93, 988, 989, 990, 991] {
            let record = record("path", &vec![b'a'; len]);
            let said = str::from_utf8(&record).unwrap().split(' ').next().unwrap();
            assert_eq!(said.parse::<usize>().unwrap(), record.len(), "{len}");
        }
    }

    #[test]
    fn long_paths_are_split_at_a_slash() {
        let path = |parts: &[usize]| {
            parts.iter().map(|len| "a".repeat(*len)).collect::<Vec<_>>().join("/").into_bytes()
        };
        for (parts, prefix) in [
            (&[100][..], Some(0)),
            (&[101], None),
            (&[5, 101], None),
            (&[60, 60], Some(60)),
            (&[156, 9], None),
        ] {
            let path = path(parts);
            assert_eq!(split(&path).map(|(prefix, _)| prefix.len()), prefix, "{parts:?}");
        }
    }
}
