//! One repository behind four servers at the ports of their schemes: one image, and the boot argument alone says which way it goes.

use std::fs;
use std::net::TcpStream;
use std::process::Stdio;

use anyhow::{Result, ensure};

use super::network::{HOST, Network};
use super::{Lab, Test, test};
use crate::certificate::Dates;
use crate::check::{git, sshd};

/// All of them.
pub fn tests() -> Vec<(&'static str, Test)> {
    vec![test("git: USER@HOST:PATH, git://, http:// and https:// from one image", four_kinds)]
}

const MACHINE: &str = "--ipv4=10.9.0.5/24";

fn four_kinds(lab: &mut Lab) -> Result<String> {
    let mut network = Network::new()?;
    let mut repositories = git::Repositories::new(network.directory().join("git"));
    let path = repositories.directory()?.join("rich").display().to_string();

    let keys = sshd::Keys::new(&network.directory().join("ssh"))?;
    let (server, name) = (format!("{HOST}:22"), "sshd-git");
    let mut command = network.command(sshd::PROGRAM);
    command.args(["-D", "-e", "-f"]).arg(keys.configure(name, &server)?);
    network.start("sshd", command, || at(22))?;
    let command = repositories.daemon(|program| network.command(program), HOST, 9418)?;
    network.start("git", command, || at(9418))?;
    let leaf = lab.authority.sign(&[HOST], Dates::Valid)?;
    let directory = network.directory().to_owned();
    let socket = directory.join("git.sock");
    let mut gateway = git::gateway(&socket);
    gateway.stdin(Stdio::null());
    network.start("fcgiwrap", gateway, || {
        ensure!(socket.exists(), "no socket");
        Ok(())
    })?;
    let pem = directory.join("server.pem");
    fs::write(&pem, leaf.pem())?;
    let (pem, users) = (pem.display(), directory.join("users"));
    let locations = repositories.locations(&socket, &users)?;
    let text = format!(
        "user root; daemon off; master_process off; pid nginx.pid; error_log stderr warn; events {{ }}\n\
         http {{ access_log off; client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;\n\
         uwsgi_temp_path uwsgi; scgi_temp_path scgi;\n\
         server {{ listen {HOST}:80; listen {HOST}:443 ssl http2; ssl_certificate {pem}; ssl_certificate_key {pem};\n\
         {locations} }} }}\n"
    );
    fs::write(directory.join("nginx.conf"), text)?;
    let mut nginx = network.command("nginx");
    nginx.arg("-p").arg(&directory).args(["-e", "stderr", "-c", "nginx.conf"]);
    network.start("nginx", nginx, || at(443))?;

    // the arguments of SSH and TLS mean nothing to the others, which is why they can all be the same
    let secret = format!("ssh-key={}", keys.file("ed25519").display());
    let pin = format!("--ssh-authenticator={}", keys.fingerprint(name)?);
    let trust = format!("--tls-authenticator={}", lab.authority.authenticator());
    let listed = git::shell(&format!("git ls-remote {path}"))?;
    for target in [
        format!("{}@{HOST}:{path}", sshd::user()?),
        format!("git://{HOST}/rich"),
        format!("http://{HOST}/git/rich"),
        format!("https://{HOST}/git/rich"),
    ] {
        let arguments = [target.as_str(), "--git=ls-remote", MACHINE, &pin, &trust];
        let outcome = network.run(&["--secret", &secret], &arguments)?;
        outcome.exits(0)?;
        ensure!(outcome.output.stdout == listed, "{target} has other references");
    }
    Ok(String::new())
}

fn at(port: u16) -> Result<()> {
    TcpStream::connect((HOST, port))?;
    Ok(())
}
