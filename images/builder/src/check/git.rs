//! Repositories for the scenarios, made by the `git` command when first asked for, and the servers that serve them.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::guard;

/// The directory of the repositories.
#[derive(Debug)]
pub struct Repositories {
    directory: PathBuf,
    is_made: bool,
}

/// How many versions of its one file the repository `deep` has; each is four objects.
const VERSIONS: usize = 3400;
/// How many commits the repository `large` has, each four objects, and how many octets of noise each brings.
const COMMITS: usize = 17_000;
const NOISE: usize = 3200;

impl Repositories {
    /// In `directory`, which need not exist.
    pub fn new(directory: PathBuf) -> Self {
        Self { directory, is_made: false }
    }

    /// Where they are, made now if they were not.
    pub fn directory(&mut self) -> Result<&Path> {
        if !self.is_made {
            fs::create_dir_all(&self.directory)?;
            for (name, format, stream) in [
                ("empty", "sha1", String::new()),
                ("one", "sha1", one()),
                ("rich", "sha1", rich(40)),
                ("rich-sha256", "sha256", rich(64)),
                ("deep", "sha1", deep()),
            ] {
                make(&self.directory, name, format, stream.as_bytes())?;
            }
            self.is_made = true;
        }
        Ok(&self.directory)
    }

    /// Makes the repository `large`, of 68 000 objects and 56 MiB, if it was not.
    pub fn large(&mut self) -> Result<()> {
        self.directory()?;
        match self.directory.join("large").exists() {
            true => Ok(()),
            false => make(&self.directory, "large", "sha1", &large()),
        }
    }

    /// The places of nginx that serve all of them by smart HTTP: `/git/` to everybody, `/private/` to `user` with the password
    /// `open sesame`, `/bearer/` to whoever has a token; `/moved/` leads to the first, `/away/PORT/` to
    /// `/private/` by TLS at another port, `/garbage/` is none. `socket` is that of [`gateway`], `users` a file to be written.
    pub fn locations(&mut self, socket: &Path, users: &Path) -> Result<String> {
        let hash = Command::new("openssl").args(["passwd", "-6", "open sesame"]).output()?;
        fs::write(users, format!("user:{}", String::from_utf8(hash.stdout)?))?;
        let root = self.directory()?.display().to_string();
        let (program, socket) = (programs()?.join("git-http-backend"), socket.display());
        let (program, users) = (program.display(), users.display());
        let serve = format!(
            "fastcgi_pass unix:{socket}; fastcgi_buffering off;\n\
             fastcgi_param SCRIPT_FILENAME {program}; fastcgi_param PATH_INFO $1;\n\
             fastcgi_param GIT_PROJECT_ROOT {root}; fastcgi_param GIT_HTTP_EXPORT_ALL 1;\n\
             fastcgi_param GIT_PROTOCOL $http_git_protocol; fastcgi_param QUERY_STRING $query_string;\n\
             fastcgi_param REQUEST_METHOD $request_method; fastcgi_param CONTENT_TYPE $content_type;\n\
             fastcgi_param CONTENT_LENGTH $content_length; fastcgi_param REMOTE_USER $remote_user;\n\
             fastcgi_param REMOTE_ADDR $remote_addr; fastcgi_param HTTP_CONTENT_ENCODING $http_content_encoding;"
        );
        Ok(format!(
            "location ~ ^/git(/.*)$ {{ {serve} }}\n\
             location ~ ^/private(/.*)$ {{ auth_basic git; auth_basic_user_file {users}; {serve} }}\n\
             location ~ ^/bearer(/.*)$ {{ if ($http_authorization != \"Bearer dG9rZW4\") {{ return 401; }} {serve} }}\n\
             location ~ ^/away/([0-9]+)(/.*)$ {{ return 302 https://$host:$1/private$2$is_args$args; }}\n\
             location ~ ^/garbage/ {{ default_type application/x-git-upload-pack-advertisement; return 200 zzzz; }}\n\
             location ~ ^/zero(/.*)$ {{ {} }}\n\
             location ~ ^/moved(/.*)$ {{ return 301 /git$1$is_args$args; }}\n",
            serve.replace("$http_git_protocol", "version=0")
        ))
    }

    /// `git daemon` for all of them, as `command` runs programs.
    pub fn daemon(
        &mut self,
        command: impl FnOnce(PathBuf) -> Command,
        address: &str,
        port: u16,
    ) -> Result<Command> {
        let directory = self.directory()?;
        // `git daemon` is only the parent of the daemon, which would outlive it
        let mut command = command(programs()?.join("git-daemon"));
        command.args(["--export-all", "--reuseaddr", "--enable=receive-pack"]);
        command.arg(format!("--listen={address}")).arg(format!("--port={port}"));
        command.arg(format!("--base-path={}", directory.display())).arg(directory);
        without_configuration(&mut command);
        Ok(command)
    }
}

/// What runs programs for a web server that only knows FastCGI, at the Unix socket `socket`; without children of its own that
/// could outlive it.
pub fn gateway(socket: &Path) -> Command {
    let mut command = guard::command("fcgiwrap");
    command.arg("-s").arg(format!("unix:{}", socket.display()));
    without_configuration(&mut command);
    command
}

/// Where git keeps programs that nobody calls by name.
fn programs() -> Result<PathBuf> {
    let output = Command::new("git").arg("--exec-path").output().context("cannot run git")?;
    Ok(String::from_utf8(output.stdout)?.trim_end().into())
}

/// Neither the user's nor the system's settings; the directories may be another user's.
fn without_configuration(command: &mut Command) {
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    command.env("GIT_CONFIG_COUNT", "1").env("GIT_CONFIG_KEY_0", "safe.directory");
    command.env("GIT_CONFIG_VALUE_0", "*");
}

/// What a shell prints, with git as the servers have it, and the functions of `clone.sh`.
pub fn shell(text: &str) -> Result<Vec<u8>> {
    let mut command = Command::new("sh");
    let script = format!("{}{text}", include_str!("clone.sh"));
    without_configuration(command.args(["-euc", &script]).stdin(Stdio::null()));
    let output = command.output().context("cannot run sh")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`{text}` failed: {}", said.trim());
    Ok(output.stdout)
}

fn git(directory: &Path, arguments: &[&str], input: &[u8]) -> Result<()> {
    let mut command = Command::new("git");
    command.arg("-C").arg(directory).args(arguments);
    without_configuration(&mut command);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
    child.stdin.take().context("no pipe for git")?.write_all(input)?;
    ensure!(child.wait()?.success(), "git {arguments:?} failed");
    Ok(())
}

fn make(directory: &Path, name: &str, format: &str, stream: &[u8]) -> Result<()> {
    let repository = directory.join(name);
    let at = repository.to_str().context("a path that is no text")?;
    let format = format!("--object-format={format}");
    git(directory, &["init", "--quiet", "--bare", "--initial-branch=main", &format, at], b"")?;
    // chains as long as the import made them reach the client; references and any object may be asked for
    for (key, value) in [("pack.depth", "4000"), ("http.receivepack", "true")] {
        git(&repository, &["config", key, value], b"")?;
    }
    git(&repository, &["fast-import", "--quiet", "--depth=1000"], stream)
        .with_context(|| format!("cannot make the repository {name}"))
}

/// A commit of a stream for `git fast-import`, without its files.
fn commit(stream: &mut String, branch: &str, number: usize, subject: &str) {
    let time = 1_700_000_000 + number;
    let _ = write!(
        stream,
        "commit refs/heads/{branch}\nmark :{number}\ncommitter A <a@example.org> {time} +0000\ndata {}\n{subject}\n",
        subject.len()
    );
}

fn file(stream: &mut String, mode: &str, path: &str, content: &str) {
    let _ = write!(stream, "M {mode} inline {path}\ndata {}\n{content}\n", content.len());
}

fn lines(count: usize) -> String {
    (0..count).fold(String::new(), |mut text, line| {
        let _ = writeln!(text, "line {line}");
        text
    })
}

fn one() -> String {
    let mut stream = String::new();
    commit(&mut stream, "main", 1, "one");
    file(&mut stream, "100644", "hello", "hello\n");
    stream
}

/// Merges, tags of both kinds, links, a submodule, files that run, names that no header has room for, a large file. A name of the
/// repository's hash has `digits` digits.
fn rich(digits: usize) -> String {
    let mut stream = String::new();
    commit(&mut stream, "main", 1, "first");
    file(&mut stream, "100644", "dir/deep/file", &lines(5000));
    file(&mut stream, "120000", "dir/link", "deep/file");
    file(&mut stream, "100755", "run", "#!/bin/sh\n");
    file(&mut stream, "100644", "empty", "");
    file(&mut stream, "100644", &format!("{}/{}/n", "l".repeat(80), "m".repeat(90)), "long\n");
    file(&mut stream, "100644", &"q".repeat(180), "long\n");
    file(&mut stream, "120000", "long-link", &"q".repeat(180));
    let _ = writeln!(stream, "M 160000 {} module", "1".repeat(digits));
    let person = "tagger A <a@example.org> 1700000000 +0000";
    let _ = write!(stream, "tag v1\nfrom :1\n{person}\ndata 3\none\n");
    commit(&mut stream, "side", 2, "side");
    let _ = writeln!(stream, "from :1");
    file(&mut stream, "100644", "dir/deep/file", &(lines(5000) + "side\n"));
    commit(&mut stream, "main", 3, "large");
    let _ = writeln!(stream, "from :1");
    let noise: String = Noise(7).take(4 << 20).map(|octet| char::from(b' ' + octet % 95)).collect();
    file(&mut stream, "100644", "large", &noise);
    commit(&mut stream, "main", 4, "merge");
    let _ = write!(stream, "from :3\nmerge :2\n");
    file(&mut stream, "100644", "dir/deep/file", &(lines(5000) + "side\n"));
    let _ = write!(
        stream,
        "reset refs/tags/light\nfrom :4\n\ntag v2\nfrom :4\n{person}\ndata 3\ntwo\n"
    );
    stream
}

/// One file over and over: long chains of deltas.
fn deep() -> String {
    let mut stream = String::new();
    let mut content = lines(60);
    for version in 1..=VERSIONS {
        let _ = writeln!(content, "version {version}");
        content.drain(..content.find('\n').map_or(0, |end| end + 1));
        commit(&mut stream, "main", version, "version");
        file(&mut stream, "100644", "dir/file", &content);
    }
    stream
}

fn large() -> Vec<u8> {
    let mut stream = Vec::with_capacity(COMMITS * (NOISE + 200));
    let mut noise = Noise(9);
    for number in 1..=COMMITS {
        let mut head = String::new();
        commit(&mut head, "main", number, "commit");
        let _ =
            write!(head, "M 100644 inline d{}/f{}\ndata {NOISE}\n", number % 100, number % 1000);
        stream.extend(head.bytes());
        stream.extend(noise.by_ref().take(NOISE));
        stream.push(b'\n');
    }
    stream
}

/// xorshift64: octets that nothing compresses.
struct Noise(u64);

impl Iterator for Noise {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        Some((self.0 >> 32) as u8)
    }
}
