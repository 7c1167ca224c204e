//! A repository at the port that its form of target means: `USER@HOST:PATH` can name no other.

use std::net::TcpStream;

use anyhow::{Result, ensure};

use super::network::{HOST, Network};
use super::{Lab, Test, test};
use crate::check::{git, sshd};

/// All of them.
pub fn tests() -> Vec<(&'static str, Test)> {
    vec![test("git: USER@HOST:PATH, at port 22", at_its_port)]
}

const MACHINE: &str = "--ipv4=10.9.0.5/24";

fn at_its_port(_: &mut Lab) -> Result<String> {
    let mut network = Network::new()?;
    let keys = sshd::Keys::new(&network.directory().join("ssh"))?;
    let mut repositories = git::Repositories::new(network.directory().join("git"));
    let path = repositories.directory()?.join("rich").display().to_string();
    let (server, name) = (format!("{HOST}:22"), "sshd-git");
    let mut command = network.command(sshd::PROGRAM);
    command.args(["-D", "-e", "-f"]).arg(keys.configure(name, &server)?);
    network.start("sshd", command, || {
        TcpStream::connect(&server)?;
        Ok(())
    })?;
    let secret = format!("ssh-key={}", keys.file("ed25519").display());
    let target = format!("{}@{HOST}:{path}", sshd::user()?);
    let pin = format!("--ssh-authenticator={}", keys.fingerprint(name)?);
    let outcome = network.run(&["--secret", &secret], &[&target, MACHINE, &pin])?;
    outcome.exits(0)?;
    let listed = git::shell(&format!("git ls-remote {path}"))?;
    ensure!(outcome.output.stdout == listed, "the references are others");
    Ok(String::new())
}
