//! The machine to compare with: Debian's cloud kernel and an initial file system with curl, made on the spot.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::archive::Archive;
use crate::workspace::Workspace;

/// The kernel, and what its initial file system is made from.
#[derive(Debug)]
pub struct Linux {
    kernel: PathBuf,
    modules: Vec<(String, Vec<u8>)>,
    initrd: PathBuf,
}

/// The kernel's modules that are needed; those that these need come before them.
const MODULES: [&str; 3] = ["virtio_pci", "virtio_net", "virtio_console"];

/// Applets of busybox that the script uses.
const APPLETS: [&str; 7] = ["sh", "mount", "insmod", "ip", "udhcpc", "poweroff", "cat"];

impl Linux {
    /// Downloads and unpacks the kernel's package, once; nothing is installed.
    pub fn get(workspace: &Workspace) -> Result<Self> {
        let directory = workspace.target().join("bench/linux");
        let files = directory.join("files");
        if !files.is_dir() {
            download(&directory, &files)?;
        }
        let kernel = only(&files.join("boot"), "vmlinuz-")?;
        let lib = files.join(if files.join("lib/modules").is_dir() { "lib" } else { "usr/lib" });
        let modules = modules(&only(&lib.join("modules"), "")?)?;
        Ok(Self { kernel, modules, initrd: directory.join("initrd") })
    }

    /// The kernel's file.
    pub fn kernel(&self) -> &Path {
        &self.kernel
    }

    /// Makes the initial file system whose curl fetches `uri` to the port `mimic.stdout`.
    pub fn initrd_for(&self, uri: &str) -> Result<&Path> {
        let mut archive = Archive::default();
        for directory in ["bin", "dev", "proc", "sys", "modules"] {
            archive.directory(directory);
        }
        let busybox = read(&find("busybox")?)?;
        archive.file("bin/busybox", &busybox);
        for applet in APPLETS {
            archive.link(&format!("bin/{applet}"), "busybox");
        }
        let curl = find("curl")?;
        archive.file("bin/curl", &read(&curl)?);
        let mut directories = BTreeSet::new();
        for library in libraries(&curl)? {
            add_parents(&mut archive, &mut directories, &library);
            archive.file(library.trim_start_matches('/'), &read(Path::new(&library))?);
        }
        for (name, content) in &self.modules {
            archive.file(&format!("modules/{name}"), content);
        }
        archive.file("lease", LEASE.as_bytes());
        archive.file("init", self.script(uri).as_bytes());
        fs::write(&self.initrd, archive.finish())
            .with_context(|| format!("cannot write {}", self.initrd.display()))?;
        Ok(&self.initrd)
    }

    fn script(&self, uri: &str) -> String {
        let insmod = self
            .modules
            .iter()
            .map(|(name, _)| format!("insmod /modules/{name}\n"))
            .collect::<String>();
        format!(
            "#!/bin/sh\n\
             export PATH=/bin\n\
             mount -t devtmpfs dev /dev\n\
             mount -t proc proc /proc\n\
             mount -t sysfs sys /sys\n\
             {insmod}\
             ip link set eth0 up\n\
             udhcpc -i eth0 -n -q -f -s /lease >/dev/null\n\
             for port in /sys/class/virtio-ports/*; do\n\
             \x20   read -r name <$port/name\n\
             \x20   [ \"$name\" = mimic.stdout ] && out=/dev/${{port##*/}}\n\
             done\n\
             curl -s {uri} >$out\n\
             poweroff -f\n"
        )
    }
}

/// What udhcpc calls with the lease in its environment.
const LEASE: &str = "#!/bin/sh
export PATH=/bin
if [ \"$1\" = bound ]; then
    ip addr add $ip/$mask dev $interface
    ip route add default via $router
fi
";

fn download(directory: &Path, files: &Path) -> Result<()> {
    let depends = run(Command::new("apt-cache").args(["depends", "linux-image-cloud-amd64"]))?;
    let package = depends
        .lines()
        .find_map(|line| line.trim().strip_prefix("Depends: "))
        .context("apt knows no linux-image-cloud-amd64: run apt-get update")?
        .to_owned();
    fs::create_dir_all(directory)?;
    eprintln!("downloading {package}");
    run(Command::new("apt-get").args(["--quiet", "download", &package]).current_dir(directory))?;
    let archive = only(directory, &package)?;
    let partial = directory.join("partial");
    run(Command::new("dpkg-deb").arg("-x").arg(&archive).arg(&partial))?;
    fs::remove_file(archive)?;
    fs::rename(partial, files)?;
    Ok(())
}

/// [`MODULES`] and all that they need, in the order of loading; what is built in is left out.
fn modules(directory: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    list(&directory.join("kernel"), &mut files)?;
    let mut loaded = Vec::new();
    for name in MODULES {
        add_module(name, &files, &mut loaded)?;
    }
    ensure!(!loaded.is_empty(), "no modules in {}", directory.display());
    Ok(loaded)
}

fn add_module(name: &str, files: &[PathBuf], loaded: &mut Vec<(String, Vec<u8>)>) -> Result<()> {
    let file_name = format!("{name}.ko");
    if loaded.iter().any(|(loaded, _)| *loaded == file_name) {
        return Ok(());
    }
    let is_it = |file: &&PathBuf| {
        file.file_name().is_some_and(|it| it.to_string_lossy().replace('-', "_") == file_name)
    };
    // what is not there is part of the kernel itself
    let Some(file) = files.iter().find(is_it) else { return Ok(()) };
    let content = read(file)?;
    for needed in depends(&content).split(',').filter(|needed| !needed.is_empty()) {
        add_module(needed, files, loaded)?;
    }
    loaded.push((file_name, content));
    Ok(())
}

/// The names in a module's section `.modinfo`, `depends=a,b`.
fn depends(module: &[u8]) -> String {
    const KEY: &[u8] = b"\0depends=";
    let Some(at) = module.windows(KEY.len()).position(|part| part == KEY) else {
        return String::new();
    };
    let rest = &module[at + KEY.len()..];
    let end = rest.iter().position(|&octet| octet == 0).unwrap_or(0);
    String::from_utf8_lossy(&rest[..end]).replace('-', "_")
}

/// The shared libraries of a program, its interpreter too.
fn libraries(program: &Path) -> Result<Vec<String>> {
    let text = run(Command::new("ldd").arg(program))?;
    let path =
        |line: &str| line.split_whitespace().find(|word| word.starts_with('/')).map(String::from);
    Ok(text.lines().filter_map(path).collect())
}

fn add_parents(archive: &mut Archive, known: &mut BTreeSet<String>, path: &str) {
    let parts = path.trim_start_matches('/').split('/').collect::<Vec<_>>();
    for length in 1..parts.len() {
        let directory = parts[..length].join("/");
        if known.insert(directory.clone()) {
            archive.directory(&directory);
        }
    }
}

fn list(directory: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in
        fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?
    {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => list(&entry.path(), files)?,
            false => files.push(entry.path()),
        }
    }
    Ok(())
}

/// The one entry of `directory` whose name starts with `start`.
fn only(directory: &Path, start: &str) -> Result<PathBuf> {
    let entries = fs::read_dir(directory)
        .with_context(|| format!("cannot read {}", directory.display()))?
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(start))
        .map(|entry| entry.path())
        .collect::<Vec<_>>();
    match &entries[..] {
        [entry] => Ok(entry.clone()),
        _ => bail!("{} has {} entries {start}…", directory.display(), entries.len()),
    }
}

fn find(program: &str) -> Result<PathBuf> {
    ["/usr/bin", "/bin"]
        .map(|directory| Path::new(directory).join(program))
        .into_iter()
        .find(|path| path.is_file())
        .with_context(|| format!("there is no {program}: run scripts/setup bench"))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn run(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot run {program}"))?;
    ensure!(
        output.status.success(),
        "{program} failed: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_modules_needs_are_read() {
        assert_eq!(
            depends(b"xx\0license=GPL\0depends=virtio,virtio-ring\0name=x\0"),
            "virtio,virtio_ring"
        );
        assert_eq!(depends(b"\0depends=\0"), "");
        assert_eq!(depends(b"nothing"), "");
    }
}
