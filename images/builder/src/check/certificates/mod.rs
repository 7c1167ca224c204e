//! The matrix of certificates: each is served by openssl and visited by the program and by curl (with OpenSSL), and
//! both must do what its row says. Where they differ the row says why.

mod made;
mod table;

use std::fs;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::Skip;
use super::host_tool::Test;
use super::peers::{Peers, Server, free_port};
use super::runner::{Feed, Output, run_command};
use crate::guard;
use crate::manifest::Target;
use crate::scratch::Scratch;
use crate::workspace::Workspace;
use made::{Served, pem};
use table::{Lab, ROWS, Row, Verdict};

/// All of them, as one.
pub const TESTS: [(&str, Test); 1] =
    [("tls: certificates are taken and refused as curl does", matrix)];

fn matrix(_: &Workspace, _: &mut Peers, target: Target) -> Result<()> {
    if target != Target::Unix {
        return Err(Skip(
            "what decides is the same code in a machine; the table has a row of each kind for that"
                .into(),
        )
        .into());
    }
    let scratch = Scratch::new("certificates")?;
    let lab = Lab::new(scratch.path())?;
    let mut wrong = Vec::new();
    for row in ROWS {
        if let Err(error) = check(row, &lab, scratch.path()) {
            wrong.push(format!("{}: {error:#}", row.name));
        }
    }
    ensure!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), ROWS.len(), wrong.join("\n"));
    Ok(())
}

fn check(row: &Row, lab: &Lab, directory: &Path) -> Result<()> {
    let served = (row.make)(lab)?;
    let (port, _server) = serve(&served, directory)?;
    let output = visit(&served, port)?;
    let curl = curl(&served, port, directory)?;
    match row.ours {
        Verdict::Takes => ensure!(output.exit == Some(0), "refused: {}", output.stderr),
        Verdict::Refuses(says) => {
            ensure!(output.exit == Some(77), "exit {:?}: {}", output.exit, output.stderr);
            ensure!(output.stderr.lines().count() == 1, "not one line: {}", output.stderr);
            let missing = [says, "subject `", "issuer `", "valid from ", "SHA-256 "]
                .into_iter()
                .find(|part| !output.stderr.contains(part));
            ensure!(missing.is_none(), "it lacks {missing:?}: {}", output.stderr);
            let rule = output.stderr.split(" is refused: ").nth(1).unwrap_or_default();
            let is_named = ["trust-anchor: ", "key-fp: ", "cert-fp: "];
            ensure!(is_named.iter().any(|kind| rule.starts_with(kind)), "{}", output.stderr);
            let is_told = output.stderr.contains("--tls-authenticator=key-fp:");
            let of_name = output.stderr.contains("it is not for this name");
            let would_help = !of_name && !row.is_wrong_in_itself();
            ensure!(is_told == would_help, "a pin would help: {would_help}; {}", output.stderr);
        }
        Verdict::Fails(says) => {
            ensure!(output.exit == Some(76), "exit {:?}: {}", output.exit, output.stderr);
            ensure!(output.stderr.contains(says), "it lacks {says:?}: {}", output.stderr);
        }
    }
    let taken = row.ours == Verdict::Takes;
    let differs = row.curl_takes != taken;
    ensure!(curl.0 == row.curl_takes, "curl takes it: {}; {}", curl.0, curl.1);
    ensure!(differs != row.because.is_empty(), "a reason is there if and only if they differ");
    Ok(())
}

/// Starts a server of HTTP that shows the chain.
fn serve(served: &Served, directory: &Path) -> Result<(u16, Server)> {
    let file = |name: &str, text: &str| {
        let path = directory.join(name);
        fs::write(&path, text).map(|()| path)
    };
    let mut chain = served.chain.iter().map(|der| pem("CERTIFICATE", der));
    let leaf = file("leaf.pem", &chain.next().context("an empty chain")?)?;
    let rest = file("chain.pem", &chain.collect::<String>())?;
    let key = file("leaf.key", &served.key)?;
    let port = free_port()?;
    let mut command = guard::command("openssl");
    command.args(["s_server", "-www", "-quiet", "-accept", &format!("127.0.0.1:{port}")]);
    // it is the visitors who are to judge
    command.args(["-cipher", "DEFAULT:@SECLEVEL=0", "-no-CAfile", "-no-CApath", "-no-CAstore"]);
    command.arg("-cert").arg(leaf).arg("-key").arg(key);
    if served.chain.len() > 1 {
        command.arg("-cert_chain").arg(rest);
    }
    let log = fs::File::create(directory.join("server.log"))?;
    command.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log);
    match Server::start(command, port) {
        Ok(server) => Ok((port, server)),
        Err(error) => {
            let log = fs::read_to_string(directory.join("server.log"));
            bail!("{error:#}; it said: {}", log.unwrap_or_default().trim())
        }
    }
}

fn visit(served: &Served, port: u16) -> Result<Output> {
    let authenticator = match &served.pin {
        Some(pin) => pin.authenticator.clone(),
        None => {
            let all = served.anchors.iter().map(|der| BASE64_STANDARD.encode(der));
            format!("trust-anchor:{}", all.collect::<Vec<_>>().join(":"))
        }
    };
    let mut command = run_command();
    command.args(["--target=unix", "--kill-after=30s", "--"]);
    command.arg(format!("https://{}:{port}/", served.host)).arg("--output=discard");
    command.arg(format!("--tls-authenticator={authenticator}"));
    if served.host != "127.0.0.1" {
        command.arg(format!("--host={}=127.0.0.1", served.host));
    }
    command.stdin(Stdio::null());
    Output::of(command, Feed::Nothing)
}

/// Whether curl takes it, and what it says.
fn curl(served: &Served, port: u16, directory: &Path) -> Result<(bool, String)> {
    let anchors = directory.join("anchors.pem");
    let all = served.anchors.iter().map(|der| pem("CERTIFICATE", der));
    fs::write(&anchors, all.collect::<String>())?;
    let mut command = guard::command("curl");
    command.args(["--disable", "--silent", "--show-error", "--max-time", "30", "--noproxy", "*"]);
    command.args(["--output", "/dev/null", "--resolve"]);
    command.arg(format!("{}:{port}:127.0.0.1", served.host)).arg("--cacert").arg(anchors);
    if let Some(pin) = &served.pin {
        command.args(["--insecure", "--pinnedpubkey", &pin.curl]);
    }
    command.arg(format!("https://{}:{port}/", served.host)).stdin(Stdio::null());
    let output = Output::of(command, Feed::Nothing)?;
    match output.exit {
        Some(0) => Ok((true, output.stderr)),
        // the handshake, the certificate, the pin
        Some(35 | 60 | 90) => Ok((false, output.stderr)),
        other => bail!("curl ended with {other:?}: {}", output.stderr),
    }
}
