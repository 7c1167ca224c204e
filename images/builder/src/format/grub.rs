//! GRUB, from Debian's packages, as it goes into CDs and disks.
//!
//! ```text
//! BIOS ─► boot.img or cdboot.img ─► core.img ─┐                        ┌─► /boot/loader by multiboot2, with the boot words
//!                                             ├─► /boot/grub/grub.cfg ─┤
//! UEFI ─► EFI/BOOT/BOOTX64.EFI ───────────────┘                        └─► /boot/program as its first module
//! ```
//!
//! The program is a module, not a part of the loader's file, because UEFI's firmware keeps pages where the
//! packed file wants its program to be: a module goes where memory is free.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use super::tool::Tool;
use crate::failure::{Failure, code};
use crate::scratch::Scratch;

/// What goes onto a medium, in files.
#[derive(Debug)]
pub struct Boot {
    scratch: Scratch,
    /// Names just this content: what has to be unique on a machine is made from it.
    digest: [u8; 32],
}

impl Boot {
    /// Prepares a medium that boots `program` with `words`.
    pub fn new(loader: &[u8], program: &[u8], words: &[String]) -> Result<Self> {
        let config = config(words)?;
        let digest = Sha256::new()
            .chain_update(Sha256::digest(loader))
            .chain_update(Sha256::digest(program))
            .chain_update(&config)
            .finalize()
            .into();
        let boot = Self { scratch: Scratch::new("grub")?, digest };
        let write = |name: &str, octets: &[u8]| {
            let file = boot.part(name);
            fs::write(&file, octets).with_context(|| format!("cannot write {}", file.display()))
        };
        write("loader", loader)?;
        write("program", program)?;
        write("grub.cfg", config.as_bytes())?;
        write("mark", b"")?;
        write("early.cfg", early(&boot.mark()).as_bytes())?;
        Ok(boot)
    }

    /// The files on the medium, each with its path there; directories come before what is in them.
    pub fn files(&self) -> Vec<(PathBuf, String)> {
        let mut files =
            ["loader", "program"].map(|it| (self.part(it), format!("/boot/{it}"))).to_vec();
        files.push((self.part("grub.cfg"), "/boot/grub/grub.cfg".into()));
        files.push((self.part("mark"), self.mark()));
        files
    }

    /// The directories on the medium.
    pub const DIRECTORIES: [&str; 2] = ["/boot", "/boot/grub"];

    /// Where UEFI looks for a medium's program.
    pub const EFI_DIRECTORIES: [&str; 2] = ["/EFI", "/EFI/BOOT"];

    /// The program for UEFI.
    pub fn efi(&self) -> Result<(PathBuf, &'static str)> {
        let file = self.image("x86_64-efi", "bootx64.efi", &[])?;
        Ok((file, "/EFI/BOOT/BOOTX64.EFI"))
    }

    /// The core for BIOS; it is read from a disk or a CD.
    pub fn core(&self) -> Result<PathBuf> {
        self.image("i386-pc", "core.img", &["biosdisk"])
    }

    /// A file of GRUB's for BIOS, such as `boot.img`.
    pub fn bios_part(name: &str) -> PathBuf {
        Path::new(DIRECTORY).join("i386-pc").join(name)
    }

    /// A file or directory of this medium's own, for what is made of it.
    pub fn part(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// 32 bits of a number that names this content; `what` tells several apart.
    pub fn serial(&self, what: usize) -> u32 {
        let four = &self.digest[4 * what..4 * what + 4];
        four.iter().fold(0, |all, &octet| all << 8 | u32::from(octet))
    }

    /// A UUID (RFC 9562, version 8: of our own making) that names this content; `what`, 0 to 2, tells several apart.
    pub fn uuid(&self, what: u8) -> String {
        let digest = Sha256::new().chain_update(self.digest).chain_update([what]).finalize();
        let mut octets = [0; 16];
        octets.copy_from_slice(&digest[..16]);
        octets[6] = octets[6] & 0x0f | 0x80;
        octets[8] = octets[8] & 0x3f | 0x80;
        let hex = octets.map(|octet| format!("{octet:02X}")).concat();
        [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
    }

    /// A path that no other medium has: GRUB finds its own by it.
    fn mark(&self) -> String {
        format!("/boot/{:08x}{:08x}", self.serial(0), self.serial(1))
    }

    fn image(&self, platform: &str, name: &str, more: &[&str]) -> Result<PathBuf> {
        let directory = Path::new(DIRECTORY).join(platform);
        if !directory.is_dir() {
            let package = if platform == "i386-pc" { "grub-pc-bin" } else { "grub-efi-amd64-bin" };
            let cause = format!(
                "there is no {}: run scripts/setup formats, or install the package {package}",
                directory.display()
            );
            return Err(Failure::new(code::SOFTWARE, cause).into());
        }
        let file = self.part(name);
        Tool::new("grub-mkimage", "grub-common")
            .args(["-O", platform, "-p", "/boot/grub", "-c"])
            .args([self.part("early.cfg").as_os_str(), "-o".as_ref(), file.as_os_str()])
            .args(more.iter().chain(&MODULES))
            .run()?;
        Ok(file)
    }
}

/// What GRUB's core does: finds the medium it came from.
fn early(mark: &str) -> String {
    format!(
        "search --no-floppy --file --set=root {mark}\n\
         set prefix=($root)/boot/grub\n\
         configfile ($root)/boot/grub/grub.cfg\n"
    )
}

/// `/boot/grub/grub.cfg`.
fn config(words: &[String]) -> Result<String, Failure> {
    let words = words.iter().map(|word| quote(word)).collect::<Result<String, _>>()?;
    Ok(format!(
        "# the boot words stand behind the loader: the URI, then its arguments\n\
         set gfxpayload=text\n\
         multiboot2 /boot/loader --{words}\n\
         module2 /boot/program\n\
         boot\n"
    ))
}

/// A space and `word` in GRUB's own quotes. GRUB joins its words by rules that are the loader's, too
/// ([`loader::words`]): double quotes round a space, a backslash before quotes and itself.
fn quote(word: &str) -> Result<String, Failure> {
    let refuse = |why: &str| {
        Err(Failure::usage(format!("GRUB cannot pass the boot word {word:?} on: {why}")))
    };
    if word.is_empty() {
        return refuse("it is empty");
    }
    if word.contains(char::is_control) {
        return refuse("it has a control character in it");
    }
    // it takes this for one of its own and lets it stand
    let is_escape = |at: &str| {
        let digits = at.as_bytes().get(2..4);
        digits.is_some_and(|it| it.iter().all(u8::is_ascii_hexdigit))
    };
    if word.match_indices("\\x").any(|(at, _)| is_escape(&word[at..])) {
        return refuse("it has \\x and two digits in it");
    }
    Ok(format!(" '{}'", word.replace('\'', r"'\''")))
}

/// Where Debian's packages put GRUB.
const DIRECTORY: &str = "/usr/lib/grub";

/// What a medium's GRUB is made of, on either firmware.
const MODULES: [&str; 9] = [
    "part_gpt",
    "part_msdos",
    "fat",
    "iso9660",
    "search",
    "search_fs_file",
    "normal",
    "configfile",
    "multiboot2",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn boot(words: &[&str]) -> Boot {
        let words = words.iter().map(|&word| word.into()).collect::<Vec<_>>();
        Boot::new(b"loader", b"program", &words).unwrap()
    }

    #[test]
    fn words_stand_in_quotes() {
        let text = config(&["http://h/".into(), "it's $a \"b\" \\".into()]).unwrap();
        assert!(text.contains("multiboot2 /boot/loader -- 'http://h/' 'it'\\''s $a \"b\" \\'\n"));
        assert!(config(&[]).unwrap().contains("multiboot2 /boot/loader --\n"));
    }

    #[test]
    fn words_that_grub_would_change_are_refused() {
        for word in ["", "a\nb", "a\tb", r"\x41", r"a\x0fb"] {
            let error = config(&[word.into()]).unwrap_err();
            assert_eq!(error.code, code::USAGE, "{word:?}");
        }
        for word in [r"\x", r"\x4", r"\xg1", "a b"] {
            assert!(quote(word).is_ok(), "{word:?}");
        }
    }

    #[test]
    fn numbers_name_the_content() {
        let (one, same, other) = (boot(&["a"]), boot(&["a"]), boot(&["b"]));
        assert_eq!(one.mark(), same.mark());
        assert_ne!(one.mark(), other.mark());
        assert_eq!(one.uuid(0), same.uuid(0));
        assert_ne!(one.uuid(0), one.uuid(1));
        let uuid = one.uuid(2);
        assert_eq!(uuid.len(), 36);
        assert_eq!(&uuid[14..15], "8");
    }
}
