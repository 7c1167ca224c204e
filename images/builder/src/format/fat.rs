//! FAT file systems, for EFI system partitions: made and filled by mtools, without mounting anything.

use std::ffi::OsString;
use std::path::Path;

use anyhow::Result;

use super::tool::Tool;

/// A file system in a file, or in a part of it.
#[derive(Debug)]
pub struct Fat {
    /// mtools' name for it.
    name: OsString,
}

impl Fat {
    /// Makes one of `sectors` sectors of 512 octets, `offset` octets behind the start of `file`. `serial` is its number.
    pub fn format(file: &Path, offset: u64, sectors: u64, serial: u32, wide: bool) -> Result<Self> {
        let mut name = file.as_os_str().to_owned();
        name.push(format!("@@{offset}"));
        let sectors = sectors.to_string();
        let serial = format!("{serial:08x}");
        let format = Tool::new("mformat", PACKAGE).args([OsString::from("-i"), name.clone()]);
        // heads and sectors a track of the usual translation; 32-bit entries on request, one sector a cluster
        // then, for fewer than 65525 clusters are no FAT32
        let format = format.args(["-T", &sectors, "-h", "64", "-s", "32", "-N", &serial]);
        let format = if wide { format.args(["-F", "-c", "1"]) } else { format };
        format.args(["-v", "EFI", "::"]).run()?;
        Ok(Self { name })
    }

    /// Makes a directory.
    pub fn directory(&self, path: &str) -> Result<()> {
        Tool::new("mmd", PACKAGE)
            .args([OsString::from("-i"), self.name.clone(), format!("::{path}").into()])
            .run()
    }

    /// Copies `file` to `path`.
    pub fn file(&self, file: &Path, path: &str) -> Result<()> {
        Tool::new("mcopy", PACKAGE)
            .args([OsString::from("-i"), self.name.clone()])
            .args([file.as_os_str(), format!("::{path}").as_ref()])
            .run()
    }
}

const PACKAGE: &str = "mtools";
