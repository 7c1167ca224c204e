//! The CD: El Torito for BIOS and for UEFI; and, as a file of 512-octet sectors, a disk for either.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::fat::Fat;
use super::grub::Boot;
use super::tool::Tool;

/// Writes the CD of `boot` to `file`.
pub fn write(boot: &Boot, file: &Path) -> Result<()> {
    let tree = boot.part("tree");
    let within = |path: &str| tree.join(path.trim_start_matches('/'));
    fs::create_dir_all(within("/boot/grub"))?;
    for (from, to) in boot.files() {
        fs::rename(&from, within(&to))
            .with_context(|| format!("cannot move {}", from.display()))?;
    }
    // GRUB's reader of CDs before its core
    let mut bios =
        fs::read(Boot::bios_part("cdboot.img")).context("cannot read GRUB's cdboot.img")?;
    bios.extend(fs::read(boot.core()?)?);
    fs::write(within(BIOS), bios)?;

    let efi = boot.part("efi.img");
    let (program, name) = boot.efi()?;
    let sectors = (fs::metadata(&program)?.len() / 512 + SPARE).next_multiple_of(64);
    fs::File::create(&efi)?.set_len(sectors * 512)?;
    let fat = Fat::format(&efi, 0, sectors, boot.serial(2), false)?;
    Boot::EFI_DIRECTORIES.iter().try_for_each(|directory| fat.directory(directory))?;
    fat.file(&program, name)?;

    let hybrid = Boot::bios_part("boot_hybrid.img");
    Tool::new("xorriso", "xorriso")
        .args(["-as", "mkisofs", "-R", "-V", "UNIKERNEL", "-iso-level", "3"])
        .args(["--set_all_file_dates", DATE])
        // BIOS: a CD's boot image, and the first sector of a disk
        .args(["-b", BIOS, "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table"])
        .args(["--grub2-boot-info", "--grub2-mbr"])
        .arg(hybrid)
        // UEFI: a CD's boot image that is a disk's EFI system partition as well
        .args(["-append_partition", "2", "0xef"])
        .arg(efi)
        .args(["-appended_part_as_gpt", "--gpt_disk_guid", &boot.uuid(0).replace('-', "")])
        .args(["-eltorito-alt-boot", "-e", "--interval:appended_partition_2:all::"])
        .args(["-no-emul-boot", "-o"])
        .args([file, &tree])
        .run()
}

/// GRUB for BIOS on the CD.
const BIOS: &str = "boot/grub/bios.img";

/// The time of every file on it, as in [`super::tool`]: the same files make the same CD.
const DATE: &str = "1980010100000000";

/// Sectors of an EFI image beside the program.
const SPARE: u64 = 128;
