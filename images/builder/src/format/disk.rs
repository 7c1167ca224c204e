//! The disk: GPT with a protective MBR, GRUB's core in a BIOS boot partition, all else on an EFI system partition.
//!
//! | sectors | what is there |
//! |---|---|
//! | 0 | GRUB's `boot.img`, and the table of the protective MBR |
//! | 1 to 33 | GPT |
//! | 34 to 2047 | the BIOS boot partition: GRUB's `core.img` |
//! | from 2048 | the EFI system partition, FAT32 (UEFI 2.10, §13.3) |
//! | the last 33 | GPT's copy |

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::fat::Fat;
use super::grub::Boot;
use super::tool::Tool;

/// Writes the disk of `boot` to `file`, a QEMU copy-on-write file.
pub fn write(boot: &Boot, file: &Path) -> Result<()> {
    let raw = boot.part("disk");
    raw_disk(boot, &raw)?;
    Tool::new("qemu-img", "qemu-utils")
        .args(["convert", "-f", "raw", "-O", "qcow2", "-c"])
        .args([&raw, file])
        .run()
}

fn raw_disk(boot: &Boot, file: &Path) -> Result<()> {
    let files = boot.files();
    let (efi_program, efi_name) = boot.efi()?;
    let mut needed = fs::metadata(&efi_program)?.len();
    for (from, _) in &files {
        needed += fs::metadata(from)?.len();
    }
    let sectors = (needed / SECTOR + SPARE).max(LEAST_FAT32).next_multiple_of(2048);

    let disk = File::create(file)?;
    disk.set_len((ESP + sectors + TABLE) * SECTOR)?;
    drop(disk);
    let bios = ESP - CORE;
    let (disk_id, bios_id, esp_id) = (boot.uuid(0), boot.uuid(1), boot.uuid(2));
    // types of partitions: BIOS boot (GRUB's own), EFI system (UEFI 2.10, table 5.6)
    let table = format!(
        "label: gpt\nlabel-id: {disk_id}\nfirst-lba: {CORE}\n\
         start={CORE}, size={bios}, type=21686148-6449-6E6F-744E-656564454649, uuid={bios_id}, name=\"BIOS boot\"\n\
         start={ESP}, size={sectors}, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, uuid={esp_id}, name=\"EFI system\"\n"
    );
    Tool::new("sfdisk", "fdisk")
        .args(["--quiet", "--no-reread", "--no-tell-kernel"])
        .args([file])
        .run_with(&table)?;

    let fat = Fat::format(file, ESP * SECTOR, sectors, boot.serial(2), true)?;
    let directories = Boot::EFI_DIRECTORIES.iter().chain(&Boot::DIRECTORIES);
    directories.copied().try_for_each(|directory| fat.directory(directory))?;
    fat.file(&efi_program, efi_name)?;
    files.iter().try_for_each(|(from, to)| fat.file(from, to))?;

    let disk = OpenOptions::new().read(true).write(true).open(file)?;
    let core = fs::read(boot.core()?)?;
    let sector = fs::read(Boot::bios_part("boot.img")).context("cannot read GRUB's boot.img")?;
    embed(&disk, sector, core)
}

/// Puts GRUB for BIOS onto a disk with a BIOS boot partition, as its installer would.
fn embed(disk: &File, mut sector: Vec<u8>, mut core: Vec<u8>) -> Result<()> {
    ensure!(sector.len() == SECTOR as usize, "GRUB's boot.img has {} octets", sector.len());
    ensure!(core.len() as u64 <= (ESP - CORE) * SECTOR, "GRUB's core.img is too large");
    // GRUB's boot.S: where its core begins; and, on a disk, no doubt about the drive's number
    sector[KERNEL_SECTOR..KERNEL_SECTOR + 8].copy_from_slice(&CORE.to_le_bytes());
    sector[DRIVE_CHECK..DRIVE_CHECK + 2].copy_from_slice(&[NOP; 2]);
    // GRUB's diskboot.S: the core's first sector reads the rest, which its last entry of 12 octets names
    core[FIRST_BLOCK..FIRST_BLOCK + 8].copy_from_slice(&(CORE + 1).to_le_bytes());
    // what follows is the disk's own signature and table of partitions
    disk.write_all_at(&sector[..MBR_CODE], 0)?;
    disk.write_all_at(&core, CORE * SECTOR)?;
    Ok(())
}

/// Octets in a sector.
const SECTOR: u64 = 512;
/// Where GRUB's core begins: behind GPT's 32 sectors of entries.
const CORE: u64 = 34;
/// Where the EFI system partition begins.
const ESP: u64 = 2048;
/// Sectors behind the last partition: GPT's copy.
const TABLE: u64 = 33;
/// Sectors that are not contents: two tables of entries for as many clusters, directories.
const SPARE: u64 = 4096;
/// Fewer clusters are FAT16: 65525, their tables, and some to be sure.
const LEAST_FAT32: u64 = 68 << 10;

/// Octets of code in an MBR.
const MBR_CODE: usize = 440;
const KERNEL_SECTOR: usize = 0x5c;
const DRIVE_CHECK: usize = 0x66;
const NOP: u8 = 0x90;
const FIRST_BLOCK: usize = 512 - 12;
