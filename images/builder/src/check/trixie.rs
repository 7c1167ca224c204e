//! Programs of Debian 13 beside this host's own: servers that know what Debian 12's do not, and a QEMU that emulates more. They are
//! unpacked below `target/`, once; the servers run with that directory as their root. Nothing is installed.
//!
//! The packages come from where this host has its own, as apt's sources say.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, bail, ensure};

use super::Skip;
use super::sshd::run;
use crate::guard;
use crate::workspace::Workspace;

const SUITE: &str = "trixie";

/// What is asked for; what these need comes with them, down to the shell's libraries.
const PACKAGES: [&str; 7] = [
    "base-files",
    "coreutils",
    "dash",
    "dropbear-bin",
    "openssh-server",
    "qemu-system-x86",
    "tinysshd",
];

/// What the packages are taken for: a directory without one of these is of an older list.
const PROGRAMS: [&str; 4] =
    ["usr/sbin/sshd", "usr/sbin/dropbear", "usr/sbin/tinysshd", "usr/bin/qemu-system-x86_64"];

/// Its accounts: the tests', and the one that OpenSSH's unprivileged half is.
const PASSWD: &str = "root:x:0:0::/root:/bin/sh\nsshd:x:100:65534::/run/sshd:/usr/sbin/nologin\n";
const SHADOW: &str = "root:*:19000:0:99999:7:::\n";

/// Where a directory of the tests is seen.
pub const SHARED: &str = "/shared";

/// The root directory of these programs.
#[derive(Debug)]
pub struct Trixie {
    root: PathBuf,
}

impl Trixie {
    /// Downloads and unpacks them, once; an attempt that failed is not made again. Where that cannot be done the error is a [`Skip`].
    pub fn get() -> Result<&'static Self> {
        static MADE: OnceLock<Result<Trixie, String>> = OnceLock::new();
        let made = MADE.get_or_init(|| {
            Self::make(&Workspace::find()).map_err(|error| {
                let said = format!("{error:#}");
                // of all that apt says, its first error
                let why = said.split("E: ").nth(1).and_then(|it| it.lines().next());
                let why = why.unwrap_or(&said);
                format!("the packages of Debian's {SUITE} cannot be had: {why}")
            })
        });
        Ok(made.as_ref().map_err(|why| Skip(why.clone()))?)
    }

    fn make(workspace: &Workspace) -> Result<Self> {
        let directory = workspace.tools().join(SUITE);
        let root = directory.join("root");
        if !is_whole(&root) {
            unpack(&directory, &root)?;
        }
        Ok(Self { root })
    }

    /// QEMU, on this host's files and without its libraries: their own loader runs it.
    pub fn qemu(&self) -> Command {
        let usr = self.root.join("usr");
        let mut command = guard::command(usr.join("lib64/ld-linux-x86-64.so.2"));
        command.arg("--library-path").arg(usr.join("lib/x86_64-linux-gnu"));
        command.arg(usr.join("bin/qemu-system-x86_64"));
        for firmware in ["share/qemu", "share/seabios"] {
            command.arg("-L").arg(usr.join(firmware));
        }
        command
    }

    /// `words` run there, with `shared` at [`SHARED`] and its `home` as that of root. This takes root here, too.
    pub fn command(&self, shared: &Path, words: &[&str]) -> Command {
        let (root, shared) = (self.root.display(), shared.display());
        let script = format!(
            "mount --bind {shared} {root}{SHARED} && mount --bind {shared}/home {root}/root && mount --bind /dev {root}/dev && \
             exec chroot {root} \"$@\""
        );
        let mut command = guard::command("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", &script, "sh"]);
        command.args(words);
        command
    }
}

fn is_whole(root: &Path) -> bool {
    PROGRAMS.iter().all(|program| root.join(program).is_file())
}

fn unpack(directory: &Path, root: &Path) -> Result<()> {
    let sources = sources(directory)?;
    // apt takes nothing for granted there: what this host has is of another age
    let (lists, cache, status) =
        (directory.join("lists"), directory.join("cache"), directory.join("status"));
    fs::create_dir_all(lists.join("partial"))?;
    fs::create_dir_all(cache.join("archives/partial"))?;
    fs::write(&status, "")?;
    let apt = |words: &[&str]| {
        let mut apt = Command::new("apt-get");
        for (key, path) in [
            ("Dir::Etc::sourcelist", &*sources),
            ("Dir::Etc::sourceparts", Path::new("/dev/null")),
            ("Dir::State::lists", &lists),
            ("Dir::State::status", &status),
            ("Dir::Cache", &cache),
        ] {
            apt.arg("-o").arg(format!("{key}={}", path.display()));
        }
        apt.args(["-o", "Debug::NoLocking=1", "-o", "Acquire::Retries=0"]);
        apt.args(["-o", "Acquire::http::Timeout=20", "-o", "Acquire::https::Timeout=20"]);
        run(apt.args(["--quiet", "--yes", "--no-install-recommends"]).args(words))
    };
    eprintln!("downloading programs of Debian's {SUITE}");
    // else an update that reached nobody is no failure
    apt(&["-o", "APT::Update::Error-Mode=any", "update"])?;
    apt(&[&["--download-only", "install"], &PACKAGES[..]].concat())?;
    let partial = directory.join("partial");
    if partial.is_dir() {
        fs::remove_dir_all(&partial)?;
    }
    let mut archives = fs::read_dir(cache.join("archives"))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    archives.retain(|path| path.extension().is_some_and(|it| it == "deb"));
    // base-files, which makes /bin and /lib links, comes early
    archives.sort();
    for archive in archives {
        run(Command::new("dpkg-deb").arg("-x").arg(archive).arg(&partial))?;
    }
    for (file, text) in [("etc/passwd", PASSWD), ("etc/shadow", SHADOW)] {
        fs::write(partial.join(file), text)?;
    }
    for place in ["dev", "root", "run/sshd", SHARED.trim_start_matches('/')] {
        fs::create_dir_all(partial.join(place))?;
    }
    ensure!(is_whole(&partial), "one of {PROGRAMS:?} is not in them");
    if root.is_dir() {
        fs::remove_dir_all(root)?;
    }
    fs::rename(partial, root)?;
    fs::remove_dir_all(cache)?;
    fs::remove_dir_all(lists)?;
    Ok(())
}

/// This host's own sources, with the other release's name in place of its own.
fn sources(directory: &Path) -> Result<PathBuf> {
    let release = fs::read_to_string("/etc/os-release")?;
    let suite = release
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .context("this host's release has no name")?;
    fs::create_dir_all(directory)?;
    for file in ["/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list"] {
        // one that is empty, or a comment, is none
        let Ok(text) = fs::read_to_string(file) else { continue };
        if !text.contains(suite) {
            continue;
        }
        let name = Path::new(file).file_name().context("a file without a name")?;
        let ours = directory.join(name);
        fs::write(&ours, text.replace(suite, SUITE))?;
        return Ok(ours);
    }
    bail!("apt has no sources of {suite}")
}
