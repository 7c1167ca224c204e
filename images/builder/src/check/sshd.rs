//! The SSH servers that scenarios talk to: OpenSSH's, each with what its name says, and the keys of both sides, made on the spot.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::guard;

/// Servers by name, and what makes them different; the first word says which host key they have.
const SERVERS: [(&str, &str, &str); 24] = [
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
    ("sshd-git", "ed25519", "AcceptEnv GIT_PROTOCOL"),
    ("sshd-git-shell", "ed25519", "AcceptEnv GIT_PROTOCOL"),
];

/// Those with accounts of their own, `tester` with the password `hunter2` and `git` with git's shell: they see other files of
/// accounts than this host has, which takes root.
const WITH_ACCOUNTS: [&str; 4] = ["sshd-password", "sshd-both", "sshd-questions", "sshd-git-shell"];

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
        self.fingerprints.get(key).cloned().context("there is no such key")
    }

    /// A server's line in known_hosts.
    pub fn line(&self, server: &str) -> Result<String> {
        let (_, key, _) = named(server)?;
        let public = fs::read_to_string(self.directory.join(key).with_extension("pub"))?;
        Ok(format!("test.example {}", public.trim()))
    }

    /// What starts a server.
    pub fn server(&self, name: &str, port: u16) -> Result<Command> {
        const PROGRAM: &str = "/usr/sbin/sshd";
        let (_, key, special) = named(name)?;
        let directory = self.directory.display();
        if rustix::process::geteuid().is_root() {
            // where its unprivileged half lives; Debian makes it with the service
            fs::create_dir_all("/run/sshd")?;
        }
        let text = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {directory}/{key}\nAuthorizedKeysFile {directory}/authorized_keys\n\
             PidFile none\nStrictModes no\nPermitRootLogin yes\nLogLevel ERROR\nMaxStartups 100\nUseDNS no\n{}\n",
            special.replace("{directory}", &directory.to_string())
        );
        let file = self.directory.join(format!("{name}.conf"));
        fs::write(&file, text)?;
        if !WITH_ACCOUNTS.contains(&name) {
            let mut command = guard::command(PROGRAM);
            command.args(["-D", "-e", "-f"]).arg(file);
            return Ok(command);
        }
        let account = |file: &str, line: String| -> Result<String> {
            let old = fs::read_to_string(Path::new("/etc").join(file))?;
            fs::write(self.directory.join(file), old + &line)?;
            Ok(format!("mount --bind {directory}/{file} /etc/{file} && "))
        };
        let hash = run(Command::new("openssl").args(["passwd", "-6", "hunter2"]))?;
        let mut script =
            account("passwd", "tester:x:0:0::/:/bin/sh\ngit:x:0:0::/:/usr/bin/git-shell\n".into())?;
        script += &account(
            "shadow",
            format!("tester:{}:19000:0:99999:7:::\ngit:*:19000:0:99999:7:::\n", hash.trim()),
        )?;
        fs::write(
            self.directory.join("pam"),
            "auth required pam_unix.so\naccount required pam_permit.so\nsession required pam_permit.so\n",
        )?;
        script += &format!("mount --bind {directory}/pam /etc/pam.d/sshd && ");
        script += &format!("exec {PROGRAM} -D -e -f {}", file.display());
        let mut command = guard::command("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", &script]);
        Ok(command)
    }
}

/// The user as whom the tests run: a server that is not root's lets nobody else in.
pub fn user() -> Result<String> {
    Ok(run(Command::new("id").arg("-un"))?.trim().to_owned())
}

fn named(server: &str) -> Result<(&'static str, &'static str, &'static str)> {
    SERVERS.into_iter().find(|(name, ..)| *name == server).context("there is no peer of that name")
}

fn run(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
