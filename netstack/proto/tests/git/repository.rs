//! A repository of the `git` command's, in a directory that goes away with it.

use proto::git::Format;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

pub struct Repository {
    pub format: Format,
    directory: PathBuf,
}

impl Repository {
    pub fn new(format: Format) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("git-{}-{number}", std::process::id());
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&directory).unwrap();
        let repository = Self { format, directory };
        let format = format!("--object-format={}", format.name());
        repository.git(&["init", "-q", "-b", "main", &format]);
        repository
    }

    /// Runs git; gives its standard output.
    pub fn git(&self, arguments: &[&str]) -> Vec<u8> {
        self.git_with(arguments, b"")
    }

    pub fn git_with(&self, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        self.git_at(1_700_000_000, arguments, input)
    }

    /// Runs git at a time, in seconds since 1970.
    fn git_at(&self, time: u64, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let mut command = Command::new("git");
        for person in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{person}_NAME"), "A");
            command.env(format!("GIT_{person}_EMAIL"), "a@example.org");
            command.env(format!("GIT_{person}_DATE"), format!("{time} +0000"));
        }
        let mut child = command
            .args(arguments)
            .current_dir(&self.directory)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the git command (scripts/setup installs it)");
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let writer = std::thread::spawn(move || stdin.write_all(&input));
        let output = child.wait_with_output().unwrap();
        let _ = writer.join().unwrap();
        assert!(output.status.success(), "git {arguments:?}");
        output.stdout
    }

    fn write(&self, path: &str, content: &[u8]) {
        let path = self.directory.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn commit(&self, number: u64, subject: &str) {
        self.git(&["add", "-A"]);
        self.git_at(1_700_000_000 + number, &["commit", "-q", "-m", subject], b"");
    }

    /// Files of all modes, a merge, tags, a large blob.
    pub fn fill(&self) {
        let lines: String = (0..2000).map(|line| format!("line {line}\n")).collect();
        self.write("dir/deep/file", lines.as_bytes());
        self.write("run", b"#!/bin/sh\n");
        self.write("empty", b"");
        std::os::unix::fs::symlink("deep/file", self.directory.join("dir/link")).unwrap();
        self.commit(0, "first");
        let module = format!("160000,{},module", "1".repeat(2 * self.format.octets()));
        self.git(&["update-index", "--add", "--chmod=+x", "run"]);
        self.git(&["update-index", "--add", "--cacheinfo", &module]);
        self.git_at(1_700_000_001, &["commit", "-q", "-m", "second"], b"");
        self.git(&["tag", "-a", "-m", "one", "v1"]);
        self.git(&["tag", "light"]);
        self.git(&["checkout", "-q", "-b", "side"]);
        self.write("dir/deep/file", (lines.clone() + "more\n").as_bytes());
        self.git(&["commit", "-q", "-a", "-m", "side"]);
        self.git(&["checkout", "-q", "main"]);
        let noise: Vec<u8> =
            (0..600_000_u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        self.write("large", &noise);
        self.git(&["add", "large"]);
        self.git(&["commit", "-q", "-m", "large"]);
        self.git(&["merge", "-q", "--no-edit", "side"]);
    }

    /// As many versions of one file; gives their number.
    pub fn chain(&self, versions: usize) -> usize {
        let mut stream = String::new();
        let mut lines: String = (0..200).map(|line| format!("{line}\n")).collect();
        for version in 0..versions {
            lines += &format!("version {version}\n");
            let time = 1_700_000_000 + version;
            stream += &format!(
                "commit refs/heads/main\ncommitter A <a@example.org> {time} +0000\ndata 1\nx\n"
            );
            stream += &format!("M 100644 inline file\ndata {}\n{lines}\n", lines.len());
        }
        self.git_with(&["fast-import", "--quiet", "--depth=4000"], stream.as_bytes());
        versions
    }

    /// The names of all objects that its references lead to, in order.
    pub fn objects(&self) -> Vec<String> {
        let listed = String::from_utf8(self.git(&["rev-list", "--objects", "--all"])).unwrap();
        let mut ids: Vec<_> =
            listed.lines().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
        ids.sort();
        ids
    }

    pub fn contents(&self, ids: &[String]) -> Vec<(String, String, Vec<u8>)> {
        let output = self.git_with(&["cat-file", "--batch"], (ids.join("\n") + "\n").as_bytes());
        let mut rest = &output[..];
        let mut contents = Vec::new();
        while !rest.is_empty() {
            let end = rest.iter().position(|octet| *octet == b'\n').unwrap();
            let head = str::from_utf8(&rest[..end]).unwrap();
            let [id, kind, size] = head.split(' ').collect::<Vec<_>>()[..] else {
                panic!("{head}")
            };
            let size: usize = size.parse().unwrap();
            contents.push((id.into(), kind.into(), rest[end + 1..][..size].to_vec()));
            rest = &rest[end + 2 + size..];
        }
        contents
    }

    /// A pack of all objects.
    pub fn pack(&self, arguments: &[&str]) -> Vec<u8> {
        let all = ["pack-objects", "-q", "--all", "--stdout", "--threads=1"];
        self.git_with(&[&all, arguments].concat(), b"")
    }
}

impl Drop for Repository {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}
