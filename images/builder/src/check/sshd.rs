//! The SSH servers that scenarios talk to: OpenSSH's, each with what its name says, dropbear and TinySSH, and the keys of both
//! sides, made on the spot.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::trixie::{SHARED, Trixie};
use crate::guard;

/// Servers by name, and what makes them different; the first word says which host key they have.
const SERVERS: [(&str, &str, &str); 34] = [
    ("sshd", "ed25519", ""),
    ("sshd-rekey", "ed25519", "RekeyLimit 1M"),
    ("sshd-kex-curve25519", "ed25519", "KexAlgorithms curve25519-sha256"),
    ("sshd-kex-libssh", "ed25519", "KexAlgorithms curve25519-sha256@libssh.org"),
    ("sshd-kex-nistp256", "ed25519", "KexAlgorithms ecdh-sha2-nistp256"),
    ("sshd-kex-nistp384", "ed25519", "KexAlgorithms ecdh-sha2-nistp384"),
    ("sshd-key-ecdsa256", "ecdsa256", "HostKeyAlgorithms ecdsa-sha2-nistp256"),
    ("sshd-key-ecdsa384", "ecdsa384", "HostKeyAlgorithms ecdsa-sha2-nistp384"),
    ("sshd-key-rsa512", "rsa", "HostKeyAlgorithms rsa-sha2-512"),
    ("sshd-key-rsa256", "rsa", "HostKeyAlgorithms rsa-sha2-256"),
    ("sshd-aes128-gcm", "ed25519", "Ciphers aes128-gcm@openssh.com"),
    ("sshd-aes256-gcm", "ed25519", "Ciphers aes256-gcm@openssh.com"),
    ("sshd-chacha20", "ed25519", "Ciphers chacha20-poly1305@openssh.com"),
    ("sshd-sha256", "ed25519", "Ciphers aes128-ctr\nMACs hmac-sha2-256"),
    ("sshd-sha512", "ed25519", "Ciphers aes256-ctr\nMACs hmac-sha2-512"),
    ("sshd-sha256-etm", "ed25519", "Ciphers aes256-ctr\nMACs hmac-sha2-256-etm@openssh.com"),
    ("sshd-sha512-etm", "ed25519", "Ciphers aes128-ctr\nMACs hmac-sha2-512-etm@openssh.com"),
    ("sshd-old", "ed25519", "KexAlgorithms diffie-hellman-group14-sha256"),
    ("sshd-password", "ed25519", "AuthenticationMethods password"),
    ("sshd-both", "ed25519", "AuthenticationMethods publickey,password"),
    (
        "sshd-questions",
        "ed25519",
        "AuthenticationMethods keyboard-interactive\nUsePAM yes\nKbdInteractiveAuthentication yes",
    ),
    ("sshd-banner", "ed25519", "Banner {directory}/banner"),
    ("sshd-all", "ed25519", "HostKey {directory}/ecdsa256\nHostKey {directory}/rsa"),
    ("sshd-tries", "ed25519", "MaxAuthTries 1"),
    ("sshd-user-rsa512", "ed25519", "PubkeyAcceptedAlgorithms rsa-sha2-512"),
    ("sshd-10", "ed25519", "KexAlgorithms mlkem768x25519-sha256"),
    ("dropbear-2025", "ed25519", ""),
    ("tinysshd-strict", "tiny-strict", ""),
    ("dropbear", "ed25519", ""),
    ("sshd-git", "ed25519", "AcceptEnv GIT_PROTOCOL"),
    ("sshd-git-shell", "ed25519", "AcceptEnv GIT_PROTOCOL"),
    ("sshd-git-one", "ed25519", "SetEnv GIT_PROTOCOL=version=1"),
    ("sshd-git-garbage", "ed25519", "ForceCommand printf 'HTTP/1.1 400 Bad Request\\r\\n\\r\\n'"),
    (
        "sshd-git-cut",
        "ed25519",
        "AcceptEnv GIT_PROTOCOL\nForceCommand sh -c \"$SSH_ORIGINAL_COMMAND\" | stdbuf -o0 head -c 2000000",
    ),
];

/// Those with accounts of their own, `tester` with the password `hunter2`, `git` with git's shell and `keeper` with a directory of
/// its own: they see other files of accounts than this host has, which takes root.
const WITH_ACCOUNTS: [&str; 4] = ["sshd-password", "sshd-both", "sshd-questions", "sshd-git-shell"];

/// Those of Debian 13.
pub const NEWER: [&str; 3] = ["sshd-10", "dropbear-2025", "tinysshd-strict"];
/// The key that TinySSH makes.
const STRICT: &str = "tiny-strict";

/// It wants to be called by its whole path.
pub const PROGRAM: &str = "/usr/sbin/sshd";

/// Keys by name, and what `ssh-keygen` is told to make them; the last is encrypted.
const KEYS: [(&str, &[&str]); 6] = [
    ("ed25519", &["-t", "ed25519", "-N", ""]),
    ("ecdsa256", &["-t", "ecdsa", "-b", "256", "-N", ""]),
    ("ecdsa384", &["-t", "ecdsa", "-b", "384", "-N", ""]),
    ("rsa", &["-t", "rsa", "-b", "2048", "-N", ""]),
    ("other", &["-t", "ed25519", "-N", ""]),
    ("encrypted", &["-t", "ed25519", "-a", "4", "-N", "open sesame"]),
];

/// The keys of one run of the tests. The same serve hosts and users.
#[derive(Debug)]
pub struct Keys {
    directory: PathBuf,
    fingerprints: BTreeMap<&'static str, String>,
}

impl Keys {
    /// Makes them in `directory`, which must not be there yet.
    pub fn new(directory: &Path) -> Result<Self> {
        fs::create_dir(directory)?;
        let mut fingerprints = BTreeMap::new();
        let mut authorized = String::new();
        for (name, how) in KEYS {
            let file = directory.join(name);
            run(Command::new("ssh-keygen")
                .args(["-q", "-C", "test"])
                .args(how)
                .arg("-f")
                .arg(&file))?;
            let said = run(Command::new("ssh-keygen").arg("-lf").arg(&file))?;
            let fingerprint =
                said.split_whitespace().nth(1).context("ssh-keygen shows no fingerprint")?;
            fingerprints.insert(name, fingerprint.to_owned());
            if name != "other" {
                authorized += &fs::read_to_string(file.with_extension("pub"))?;
            }
        }
        fs::write(directory.join("authorized_keys"), authorized)?;
        fs::write(directory.join("banner"), "only for tests\n")?;
        Ok(Self { directory: directory.into(), fingerprints })
    }

    /// The text of a private key's file.
    pub fn private(&self, name: &str) -> Result<String> {
        fs::read_to_string(self.directory.join(name))
            .with_context(|| format!("there is no key {name}"))
    }

    /// The fingerprint of a server's host key.
    pub fn fingerprint(&self, server: &str) -> Result<String> {
        let (_, key, _) = named(server)?;
        if key == STRICT {
            return self.strict_fingerprint();
        }
        self.fingerprints.get(key).cloned().context("there is no such key")
    }

    /// TinySSH makes its own key, and keeps nothing but the octets of it.
    fn strict_fingerprint(&self) -> Result<String> {
        let public = fs::read(self.directory.join(STRICT).join("ed25519.pk"))?;
        let string = |octets: &[u8]| [&(octets.len() as u32).to_be_bytes(), octets].concat();
        let blob = [string(b"ssh-ed25519"), string(&public)].concat();
        Ok(format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(blob))))
    }

    /// The same without its name: the digest alone.
    pub fn digest(&self, server: &str) -> Result<String> {
        Ok(self.fingerprint(server)?.trim_start_matches("SHA256:").to_owned())
    }

    /// A server's line in known_hosts.
    pub fn line(&self, server: &str) -> Result<String> {
        let (_, key, _) = named(server)?;
        let public = fs::read_to_string(self.directory.join(key).with_extension("pub"))?;
        Ok(format!("test.example {}", public.trim()))
    }

    /// A private key's file.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// What starts a server.
    pub fn server(&self, name: &str, port: u16) -> Result<Command> {
        let file = self.configure(name, &format!("127.0.0.1:{port}"))?;
        if WITH_ACCOUNTS.contains(&name) {
            return self.with_accounts(&format!("{PROGRAM} -D -e -f {}", file.display()));
        }
        let mut command = guard::command(PROGRAM);
        command.args(["-D", "-e", "-f"]).arg(file);
        Ok(command)
    }

    /// Writes the configuration of an OpenSSH server that listens at `address`.
    pub fn configure(&self, name: &str, address: &str) -> Result<PathBuf> {
        let (_, key, special) = named(name)?;
        let directory = self.directory.display();
        if rustix::process::geteuid().is_root() {
            // where its unprivileged half lives; Debian makes it with the service
            fs::create_dir_all("/run/sshd")?;
        }
        let text = format!(
            "ListenAddress {address}\nHostKey {directory}/{key}\nAuthorizedKeysFile {directory}/authorized_keys\n\
             PidFile none\nStrictModes no\nPermitRootLogin yes\nLogLevel ERROR\nMaxStartups 100\nUseDNS no\n{}\n",
            special.replace("{directory}", &directory.to_string())
        );
        let file = self.directory.join(format!("{name}.conf"));
        fs::write(&file, text)?;
        Ok(file)
    }

    /// What starts dropbear, which wants its keys in a form and a place of its own.
    pub fn dropbear(&self, port: u16) -> Result<Command> {
        let directory = self.shared()?;
        let (key, pid) = (self.dropbear_key()?, directory.join("dropbear.pid"));
        let key = key.display();
        self.with_accounts(&format!(
            "dropbear -F -E -p 127.0.0.1:{port} -r {key} -P {}",
            pid.display()
        ))
    }

    /// Starts a listener that gives every connection to a TinySSH of its own.
    pub fn tiny(&self) -> Result<u16> {
        let directory = self.directory.join("tiny");
        run(Command::new("tinysshd-makekey").arg(&directory))?;
        listen(move || {
            let mut command = guard::command("tinysshd");
            command.arg(&directory);
            command
        })
    }

    /// The same with Debian 13's, which has strict key exchange.
    pub fn tiny_of(&self, trixie: &'static Trixie) -> Result<u16> {
        let directory = self.shared()?;
        let keys = format!("{SHARED}/{STRICT}");
        run(&mut trixie.command(&directory, &["/usr/sbin/tinysshd-makekey", &keys]))?;
        listen(move || trixie.command(&directory, &["/usr/sbin/tinysshd", &keys]))
    }

    /// What starts Debian 13's OpenSSH or dropbear.
    pub fn server_of(&self, trixie: &Trixie, name: &str, port: u16) -> Result<Command> {
        let directory = self.shared()?;
        let file = match name {
            "dropbear-2025" => self.dropbear_key()?,
            _ => {
                let file = self.configure(name, &format!("127.0.0.1:{port}"))?;
                let text = fs::read_to_string(&file)?;
                fs::write(&file, text.replace(&directory.display().to_string(), SHARED))?;
                file
            }
        };
        let file = file.file_name().and_then(|it| it.to_str()).context("a file without a name")?;
        let (file, at) = (format!("{SHARED}/{file}"), format!("127.0.0.1:{port}"));
        let pid = format!("{SHARED}/{name}.pid");
        let words: &[&str] = match name {
            "dropbear-2025" => {
                &["/usr/sbin/dropbear", "-F", "-E", "-p", &at, "-r", &file, "-P", &pid]
            }
            _ => &[PROGRAM, "-D", "-e", "-f", &file],
        };
        Ok(trixie.command(&directory, words))
    }

    /// The directory, with what a user's own has.
    fn shared(&self) -> Result<PathBuf> {
        let home = self.directory.join("home/.ssh");
        fs::create_dir_all(&home)?;
        fs::copy(self.directory.join("authorized_keys"), home.join("authorized_keys"))?;
        Ok(self.directory.clone())
    }

    /// The file of the key `ed25519` as dropbear has it.
    fn dropbear_key(&self) -> Result<PathBuf> {
        let key = self.directory.join("dropbear");
        if !key.exists() {
            let ours = self.directory.join("ed25519");
            let mut convert = Command::new("dropbearconvert");
            run(convert.args(["openssh", "dropbear"]).arg(ours).arg(&key))?;
        }
        Ok(key)
    }

    /// `line`, run by a shell that sees accounts of ours beside this host's.
    fn with_accounts(&self, line: &str) -> Result<Command> {
        let directory = self.directory.display();
        let mut script = String::new();
        let hash = run(Command::new("openssl").args(["passwd", "-6", "hunter2"]))?;
        for (file, lines) in [
            (
                "passwd",
                format!(
                    "tester:x:0:0::/:/bin/sh\ngit:x:0:0::/:/usr/bin/git-shell\n\
                     keeper:x:0:0::{directory}/home:/bin/sh\n"
                ),
            ),
            (
                "shadow",
                format!(
                    "tester:{}:19000:0:99999:7:::\ngit:*:19000:0:99999:7:::\n\
                     keeper:*:19000:0:99999:7:::\n",
                    hash.trim()
                ),
            ),
        ] {
            let old = fs::read_to_string(Path::new("/etc").join(file))?;
            fs::write(self.directory.join(file), old + &lines)?;
            script += &format!("mount --bind {directory}/{file} /etc/{file} && ");
        }
        fs::write(
            self.directory.join("pam"),
            "auth required pam_unix.so\naccount required pam_permit.so\nsession required pam_permit.so\n",
        )?;
        // a host without OpenSSH's server has nowhere to put it
        script += &format!(
            "{{ test ! -e /etc/pam.d/sshd || mount --bind {directory}/pam /etc/pam.d/sshd; }} && exec {line}"
        );
        let mut command = guard::command("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", &script]);
        Ok(command)
    }
}

/// The user as whom the tests run: a server that is not root's lets nobody else in.
pub fn user() -> Result<String> {
    Ok(run(Command::new("id").arg("-un"))?.trim().to_owned())
}

/// Gives every connection to a program of its own, as its standard input and output.
fn listen(program: impl Fn() -> Command + Send + Sync + 'static) -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    let program = Arc::new(program);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let program = program.clone();
            thread::spawn(move || -> Result<()> {
                let input = OwnedFd::from(stream.try_clone()?);
                let mut command = program();
                command.stdin(input).stdout(OwnedFd::from(stream));
                command.stderr(Stdio::null()).spawn()?.wait()?;
                Ok(())
            });
        }
    });
    Ok(port)
}

fn named(server: &str) -> Result<(&'static str, &'static str, &'static str)> {
    SERVERS.into_iter().find(|(name, ..)| *name == server).context("there is no peer of that name")
}

/// Runs it to its end: what it prints.
pub fn run(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
