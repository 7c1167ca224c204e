//! What the tests share: a tap interface made by `scripts/tap`'s own code, nginx and an echo server on it.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::check::files::Files;
use crate::check::runner::{Feed, Output, run_command};
use crate::linux::find;
use crate::manifest::Target;
use crate::scratch::Scratch;

/// The interface. What is noted of it is noted for the whole host, so nobody else has one of that name.
pub const TAP: &str = "kvmtest0";
/// This host's address on it.
pub const HOST: &str = "10.8.0.1";
/// And its IPv6 address.
pub const HOST_V6: &str = "2001:db8:8::1";

/// The servers and their files; dropping it ends them and removes the interface.
#[derive(Debug)]
pub struct Lab {
    /// What nginx serves.
    pub files: Files,
    scratch: Scratch,
    nginx: Option<Child>,
}

impl Lab {
    /// In the network of this process, which is nobody else's.
    pub fn new() -> Result<Self> {
        let scratch = Scratch::new("kvm")?;
        let www = scratch.path().join("www");
        fs::create_dir(&www)?;
        let mut lab = Self { files: Files::new(&www), scratch, nginx: None };
        let status = Command::new(find("ip")?).args(["link", "set", "lo", "up"]).status()?;
        ensure!(status.success(), "the loopback interface does not come up");
        let (v4, v6) = (format!("{HOST}/24"), format!("{HOST_V6}/64"));
        tap(&["up", TAP, "--address", &v4, "--address", &v6, "--dhcp", "--ra", "--owner=nobody"])?;
        lab.serve()?;
        thread::spawn({
            let listener = TcpListener::bind((HOST, ECHO))?;
            move || listener.incoming().flatten().for_each(|it| drop(thread::spawn(|| echo(it))))
        });
        Ok(lab)
    }

    /// nginx at port 80.
    fn serve(&mut self) -> Result<()> {
        let directory = self.scratch.path().join("nginx");
        fs::create_dir(&directory)?;
        let text = format!(
            "user root; daemon off; master_process off; worker_processes 1; pid nginx.pid;\n\
             error_log stderr warn; events {{ worker_connections 64; }}\n\
             http {{ access_log off; default_type application/octet-stream; sendfile on;\n\
             client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;\n\
             uwsgi_temp_path uwsgi; scgi_temp_path scgi;\n\
             server {{ listen {HOST}:80; listen [{HOST_V6}]:80; root {};\n\
             location = /token {{ return 200 $http_x_token; }} }} }}\n",
            self.files.directory().display()
        );
        fs::write(directory.join("nginx.conf"), text)?;
        let log = fs::File::create(directory.join("log"))?;
        let mut command = crate::guard::command(find("nginx")?);
        command.arg("-p").arg(&directory).args(["-e", "stderr", "-c", "nginx.conf"]);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let nginx = self.nginx.insert(command.spawn()?);
        let limit = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect((HOST, 80)).is_err() {
            if nginx.try_wait()?.is_some() || Instant::now() > limit {
                let said = fs::read_to_string(directory.join("log")).unwrap_or_default();
                bail!("nginx does not serve: {}", said.trim());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// A directory for files of a test.
    pub fn directory(&self) -> &std::path::Path {
        self.scratch.path()
    }

    /// `run` of the default image behind the interface, to be given arguments.
    pub fn command(&self, target: Target, options: &[&str]) -> Command {
        let mut command = run_command();
        command.args([format!("--target={target}"), "--accel=kvm".into()]);
        command.args([format!("--net=tap={TAP}"), "--kill-after=60s".into()]);
        command.args(options).arg("--").stdin(Stdio::null());
        command
    }

    /// Boots with these arguments and looks at the exit code.
    pub fn boot(&self, target: Target, arguments: &[&str], exit: i32) -> Result<Output> {
        let mut command = self.command(target, &[]);
        command.args(arguments);
        let output = Output::of(command, Feed::Nothing)?;
        ensure!(output.exit == Some(exit), "exit {:?}: {}", output.exit, output.stderr.trim());
        Ok(output)
    }

    /// Sends lines to the echo server, each once the one before has come back, and returns the longest that
    /// one took.
    pub fn lockstep(&self, target: Target, rounds: u32) -> Result<Duration> {
        let mut command = self.command(target, &[]);
        command.arg(format!("tcp://{HOST}:{ECHO}"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn()?;
        let mut input = child.stdin.take().context("no pipe to the machine")?;
        let mut output = BufReader::new(child.stdout.take().context("no pipe from the machine")?);
        let mut longest = Duration::ZERO;
        for round in 0..=rounds {
            let (start, line) = (Instant::now(), format!("{round}\n"));
            input.write_all(line.as_bytes())?;
            let mut answer = String::new();
            output.read_line(&mut answer)?;
            ensure!(answer == line, "{answer:?} came back for {line:?}");
            // the first has the boot in it
            longest = longest.max(if round == 0 { Duration::ZERO } else { start.elapsed() });
        }
        drop(input);
        let status = child.wait()?;
        ensure!(status.success(), "{status}");
        Ok(longest)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Some(nginx) = &mut self.nginx {
            // it may have ended by itself
            let _ = nginx.kill();
            let _ = nginx.wait();
        }
        let _ = tap(&["down", TAP]);
    }
}

/// `scripts/tap`, with these arguments.
pub fn tap(arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("/proc/self/exe");
    let output = command.arg("tap").args(arguments).stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "tap {}: {}", arguments.join(" "), said.trim());
    Ok(())
}

/// Sends back what comes, until the end.
fn echo(mut stream: TcpStream) -> io::Result<u64> {
    // a line must not wait for another
    stream.set_nodelay(true)?;
    io::copy(&mut stream.try_clone()?, &mut stream)
}

/// The echo server's port.
pub const ECHO: u16 = 7;
