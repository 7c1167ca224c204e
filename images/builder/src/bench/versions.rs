//! The image alone: downloads over both versions of HTTP, in clear text and by TLS, beside what AES-GCM does in the same
//! machine, which is what TLS can reach at best.

use anyhow::{Context, Result, ensure};

use super::{Run, machine, median};
use crate::accel;
use crate::check::peers::Peers;
use crate::check::runner::{Feed, Output, run_command};
use crate::compile;
use crate::manifest::{Manifest, Target};
use crate::options::Accel;
use crate::workspace::Workspace;

/// The file that is downloaded, named by its size.
const FILE: &str = "64M";

/// What is downloaded: its name, its server, scheme and further arguments.
const WAYS: [(&str, &str, &str, &str); 4] = [
    ("HTTP/1.1, plain", "nginx", "http", "--http=1.1"),
    ("HTTP/2, plain", "nghttpd", "http", "--http=2"),
    ("HTTP/1.1 over TLS", "nginx-valid-h2", "https", "--http=1.1"),
    ("HTTP/2 over TLS", "nginx-valid-h2", "https", "--http=2"),
];

/// Runs all in turns and prints the medians, in MB/s (10^6 octets).
pub fn measure(workspace: &Workspace, runs: usize, accel: Accel) -> Result<()> {
    let manifest = Manifest::read(workspace, "default")?;
    let image = compile::image(workspace, "default", &manifest, false)?;
    compile::image(workspace, "selftest", &Manifest::read(workspace, "selftest")?, false)?;
    let mut peers = Peers::new()?;
    let (_, file) = peers.files().make(FILE)?;
    let kvm = accel::uses_kvm(accel)?;
    let mut machines = Vec::new();
    for (_, peer, scheme, version) in WAYS {
        let uri = format!("{scheme}://{}/{FILE}", peers.value(peer, Target::Qemu)?);
        let trust = format!("--tls-authenticator={}", peers.value("trust", Target::Qemu)?);
        // the report tells the cipher
        let words = vec![uri, version.into(), trust, "--report=json".into()];
        machines.push(machine(&image, &manifest, kvm, words));
    }
    let mut figures = vec![Vec::new(); WAYS.len()];
    let mut sealing = Vec::new();
    // of the cipher that TLS agreed on
    let mut key = None;
    for number in 1..=runs {
        for ((machine, figures), (name, ..)) in machines.iter().zip(&mut figures).zip(WAYS) {
            let (run, said) = Run::told(machine, file.length).with_context(|| name.to_owned())?;
            key = key.or_else(|| bits(&said));
            let seconds = (run.last - run.first).as_secs_f64().max(1e-6);
            figures.push(file.length as f64 / 1e6 / seconds);
            eprintln!("run {number}: {name} {:.1} MB/s", figures[figures.len() - 1]);
        }
        sealing
            .push(aes_gcm(kvm, key.context("the server agreed to another cipher than AES-GCM")?)?);
    }
    let figures: Vec<f64> = figures.into_iter().map(|all| median(all.into_iter())).collect();
    let sealing = median(sealing.into_iter());
    println!("download of 64 MiB, first octet to last (median of {runs} runs)");
    for ((name, ..), figure) in WAYS.iter().zip(&figures) {
        println!("  {name:<18} {figure:.1} MB/s");
    }
    let cipher = format!("AES-{}-GCM alone", key.unwrap_or_default());
    println!("  {cipher:<18} {sealing:.1} MB/s");
    let [plain_1, plain_2, tls_1, tls_2] = figures[..] else { unreachable!("one a way") };
    for (what, ratio, bound) in [
        ("HTTP/1.1 over TLS beside AES-GCM", tls_1 / sealing, OF_AES_GCM),
        ("HTTP/2 over TLS beside AES-GCM", tls_2 / sealing, OF_AES_GCM),
        ("HTTP/2 beside HTTP/1.1, plain", plain_2 / plain_1, OF_HTTP_1),
        ("HTTP/2 beside HTTP/1.1, over TLS", tls_2 / tls_1, OF_HTTP_1),
    ] {
        println!("  {what:<32} {}", judged(ratio, bound));
    }
    Ok(())
}

/// What TLS is to reach of AES-GCM's speed.
const OF_AES_GCM: f64 = 0.7;
/// What HTTP/2 is to reach of HTTP/1.1's.
const OF_HTTP_1: f64 = 0.8;

/// A ratio beside what it is to be.
fn judged(ratio: f64, bound: f64) -> String {
    let met = if ratio >= bound { "met" } else { "not met" };
    format!("{ratio:.2} (wanted {bound:.2}: {met})")
}

/// The bits of the AES-GCM key that a connection agreed on, by what the machine reports.
fn bits(said: &str) -> Option<u16> {
    [128, 256].into_iter().find(|bits| said.contains(&format!("_AES_{bits}_GCM_")))
}

/// MB/s of records of 16 KiB that are opened with a key of so many bits, in a machine that does nothing else.
fn aes_gcm(kvm: bool, bits: u16) -> Result<f64> {
    let accel = if kvm { "kvm" } else { "tcg" };
    let mut command = run_command();
    command.args(["--target=qemu", "--image=selftest", &format!("--accel={accel}")]);
    command.args(["--", "aes-gcm", &bits.to_string()]);
    let output = Output::of(command, Feed::Nothing)?;
    // the serial console is standard error
    let said = output.stderr;
    ensure!(output.exit == Some(0), "{said}");
    let line = said.lines().find_map(|line| line.strip_suffix(" MB/s"));
    let figure = line.with_context(|| format!("no figure: {said}"))?;
    figure.trim().parse().with_context(|| said.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_met_or_not() {
        assert_eq!(judged(0.7, OF_AES_GCM), "0.70 (wanted 0.70: met)");
        assert_eq!(judged(0.69, OF_AES_GCM), "0.69 (wanted 0.70: not met)");
    }

    #[test]
    fn the_cipher_is_read_off_the_report() {
        let told = |suite: &str| bits(&format!(r#"{{"text":"TLSv1_3 {suite} X25519 h2"}}"#));
        assert_eq!(told("TLS13_AES_128_GCM_SHA256"), Some(128));
        assert_eq!(told("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"), Some(256));
        assert_eq!(told("TLS13_CHACHA20_POLY1305_SHA256"), None);
    }
}
