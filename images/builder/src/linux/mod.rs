//! A Linux machine made on the spot: Debian's cloud kernel and an initial file system of programs of this host.
//!
//! The benchmarks compare with one, and the tests of KVM have one in which KVM works.

mod archive;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::workspace::Workspace;
use archive::Archive;

/// The kernel and its modules, unpacked.
#[derive(Debug)]
pub struct Kernel {
    image: PathBuf,
    modules: Vec<PathBuf>,
}

impl Kernel {
    /// Downloads and unpacks the kernel's package, once; nothing is installed.
    pub fn get(workspace: &Workspace) -> Result<Self> {
        let directory = workspace.tools().join("linux");
        let files = directory.join("files");
        if !files.is_dir() {
            download(&directory, &files)?;
        }
        let image = only(&files.join("boot"), "vmlinuz-")?;
        let lib = files.join(if files.join("lib/modules").is_dir() { "lib" } else { "usr/lib" });
        let mut modules = Vec::new();
        list(&only(&lib.join("modules"), "")?.join("kernel"), &mut modules)?;
        ensure!(!modules.is_empty(), "no modules in {}", lib.display());
        Ok(Self { image, modules })
    }

    /// The kernel's file.
    pub fn image(&self) -> &Path {
        &self.image
    }

    /// These modules and all that they need, in the order of loading; what is built in is left out.
    fn modules(&self, names: &[&str]) -> Result<Vec<(String, Vec<u8>)>> {
        let mut loaded = Vec::new();
        for name in names {
            add_module(name, &self.modules, &mut loaded)?;
        }
        Ok(loaded)
    }
}

/// An initial file system in the making.
#[derive(Debug)]
pub struct Files {
    archive: Archive,
    known: BTreeSet<String>,
}

impl Files {
    /// Busybox's shell with these applets in /bin, and directories to mount on.
    pub fn new(applets: &[&str]) -> Result<Self> {
        let mut files = Self { archive: Archive::default(), known: BTreeSet::new() };
        for directory in ["/dev", "/etc", "/proc", "/run", "/sys", "/tmp"] {
            files.directory(directory);
        }
        files.add("/bin/busybox", &read(&find("busybox")?)?);
        for applet in applets {
            files.archive.link(&format!("bin/{applet}"), "busybox");
        }
        Ok(files)
    }

    /// An empty directory.
    pub fn directory(&mut self, path: &str) {
        self.parents(path);
        if self.known.insert(path.into()) {
            self.archive.directory(path.trim_start_matches('/'));
        }
    }

    /// A file that may be executed; the first of a path stays.
    pub fn add(&mut self, path: &str, content: &[u8]) {
        self.parents(path);
        if self.known.insert(path.into()) {
            self.archive.file(path.trim_start_matches('/'), content);
        }
    }

    /// The file of this host `from` at `path`.
    pub fn copy(&mut self, from: &Path, path: &str) -> Result<()> {
        if !self.known.contains(path) {
            self.add(path, &read(from)?);
        }
        Ok(())
    }

    /// A program at `path`, and the shared libraries that it needs where they are on this host.
    pub fn program(&mut self, from: &Path, path: &str) -> Result<()> {
        self.copy(from, path)?;
        for library in libraries(from)? {
            self.copy(Path::new(&library), &library)?;
        }
        Ok(())
    }

    /// The program of this host's PATH of that name, where it is.
    pub fn own(&mut self, name: &str) -> Result<()> {
        let path = find(name)?;
        let text = path.to_str().context("a program's name that is no text")?;
        self.program(&path, text)
    }

    /// Modules, and the shell commands that load them.
    pub fn modules(&mut self, kernel: &Kernel, names: &[&str]) -> Result<String> {
        let mut commands = String::new();
        for (name, content) in kernel.modules(names)? {
            self.add(&format!("/modules/{name}"), &content);
            commands += &format!("insmod /modules/{name}\n");
        }
        Ok(commands)
    }

    /// The finished archive.
    pub fn finish(self) -> Vec<u8> {
        self.archive.finish()
    }

    fn parents(&mut self, path: &str) {
        let parts = path.trim_start_matches('/').split('/').collect::<Vec<_>>();
        for length in 1..parts.len() {
            let directory = format!("/{}", parts[..length].join("/"));
            if self.known.insert(directory.clone()) {
                self.archive.directory(directory.trim_start_matches('/'));
            }
        }
    }
}

/// A program in PATH or where only root looks.
pub fn find(program: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(PathBuf::from))
        .map(|directory| directory.join(program))
        .find(|path| path.is_file())
        .with_context(|| format!("there is no {program}: run scripts/setup test bench"))
}

fn download(directory: &Path, files: &Path) -> Result<()> {
    let depends = run(Command::new("apt-cache").args(["depends", "linux-image-cloud-amd64"]))?;
    let package = depends
        .lines()
        .find_map(|line| line.trim().strip_prefix("Depends: "))
        .context("apt knows no linux-image-cloud-amd64: run apt-get update")?
        .to_owned();
    clear(directory)?;
    eprintln!("downloading {package}");
    run(Command::new("apt-get").args(["--quiet", "download", &package]).current_dir(directory))?;
    let archive = only(directory, &package)?;
    let partial = directory.join("partial");
    run(Command::new("dpkg-deb").arg("-x").arg(&archive).arg(&partial))?;
    fs::remove_file(archive)?;
    fs::rename(partial, files)?;
    Ok(())
}

/// An empty directory: what a download has left that was ended would be in the way of the next.
fn clear(directory: &Path) -> Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory)
            .with_context(|| format!("cannot empty {}", directory.display()))?;
    }
    fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))
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

    #[test]
    fn what_an_ended_download_has_left_is_removed() {
        let scratch = crate::scratch::Scratch::new("linux").unwrap();
        let directory = scratch.path().join("linux");
        for _ in 0..2 {
            clear(&directory).unwrap();
            assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
            fs::create_dir(directory.join("partial")).unwrap();
            fs::write(directory.join("linux-image_1_amd64.deb"), "half").unwrap();
        }
    }
}
