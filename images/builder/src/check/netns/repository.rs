//! One repository behind four servers at the ports of their schemes: one image, and the boot argument alone says which way it goes.

use std::fs;
use std::net::TcpStream;
use std::process::Stdio;

use anyhow::{Result, anyhow, ensure};

use super::network::{HOST, Network};
use super::{Lab, Test, test};
use crate::certificate::Dates;
use crate::check::files::Content;
use crate::check::runner::Output;
use crate::check::scenario::is_like;
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
    let shell = |text: &str| git::shell(&text.replace("REPOSITORY", &path));
    let listed = shell("git ls-remote REPOSITORY")?;
    let cloned = String::from_utf8(shell("clone REPOSITORY '*'")?)?;
    let archived = shell("git -C REPOSITORY archive HEAD dir")?;
    let file = shell("git -C REPOSITORY cat-file blob HEAD:dir/deep/file")?;
    for target in [
        format!("{}@{HOST}:{path}", sshd::user()?),
        format!("git://{HOST}/rich"),
        format!("http://{HOST}/git/rich"),
        format!("https://{HOST}/git/rich"),
    ] {
        let run = |more: &[&str]| -> Result<Output> {
            let arguments = [&[target.as_str(), MACHINE, &pin, &trust][..], more].concat();
            let outcome = network.run(&["--secret", &secret], &arguments)?;
            outcome.exits(0)?;
            Ok(outcome.output)
        };
        let output = run(&["--git=ls-remote"])?;
        ensure!(output.stdout == listed, "{target} has other references");
        let output = run(&["--git=clone"])?;
        let is_like = is_like(&String::from_utf8_lossy(&output.stdout), &cloned);
        is_like.map_err(|cause| anyhow!("a clone of {target}: {cause}"))?;
        let output = run(&["--git=archive", "--path=dir"])?;
        ensure!(output.content == Content::of(&archived), "{target} has another archive");
        let output = run(&["--git=cat", "--path=dir/deep/file"])?;
        ensure!(output.content == Content::of(&file), "{target} has another file");
    }
    Ok(String::new())
}

fn at(port: u16) -> Result<()> {
    TcpStream::connect((HOST, port))?;
    Ok(())
}
