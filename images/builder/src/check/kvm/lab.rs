//! What the tests share: a tap interface made by `scripts/tap`'s own code, nginx, a name server and echo servers on it.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::certificate::{Authority, Dates};
use crate::check::files::Files;
use crate::check::interfaces;
use crate::check::runner::{Feed, Output, run_command};
use crate::linux::find;
use crate::manifest::Target;
use crate::scratch::Scratch;
use crate::workspace::Workspace;

/// This host's address on it.
pub const HOST: &str = "10.8.0.1";
/// And its IPv6 address.
pub const HOST_V6: &str = "2001:db8:8::1";
/// The port of the name server that knows [`NAME`] alone; the one at port 53 is `scripts/tap`'s.
pub const NAMES: u16 = 5353;
/// This host's name.
pub const NAME: &str = "web.test";

/// The servers and their files; dropping it ends them and removes the interface.
#[derive(Debug)]
pub struct Lab {
    /// The interface.
    pub tap: String,
    /// What is tested.
    pub workspace: Workspace,
    /// What nginx serves.
    pub files: Files,
    /// Who has signed nginx's certificate.
    pub authority: Authority,
    scratch: Scratch,
    servers: Vec<Child>,
}

impl Lab {
    /// In the network of this process, which is nobody else's.
    pub fn new(workspace: &Workspace) -> Result<Self> {
        let scratch = Scratch::new("kvm")?;
        let www = scratch.path().join("www");
        fs::create_dir(&www)?;
        let mut lab = Self {
            tap: interfaces::name(0),
            workspace: workspace.clone(),
            files: Files::new(&www),
            authority: Authority::new("the tests' private authority")?,
            scratch,
            servers: Vec::new(),
        };
        let status = Command::new(find("ip")?).args(["link", "set", "lo", "up"]).status()?;
        ensure!(status.success(), "the loopback interface does not come up");
        let (v4, v6) = (format!("{HOST}/24"), format!("{HOST_V6}/64"));
        let addresses = ["--address", &v4, "--address", &v6];
        let more = ["--dhcp", "--ra", "--owner=nobody"];
        tap(&[&["up", lab.tap.as_str()], &addresses[..], &more].concat())?;
        lab.serve()?;
        lab.serve_names()?;
        thread::spawn({
            let listener = TcpListener::bind((HOST, ECHO))?;
            move || listener.incoming().flatten().for_each(|it| drop(thread::spawn(|| echo(it))))
        });
        Ok(lab)
    }

    /// An echo server of `AF_VSOCK`, at every context of this host's, for one connection; its port.
    pub fn serve_vsock(&self) -> Result<u32> {
        let listener = Socket::new(Domain::VSOCK, Type::STREAM, None)?;
        listener.bind(&SockAddr::vsock(ANY, ANY))?;
        listener.listen(1)?;
        let (_, port) = listener.local_addr()?.as_vsock_address().context("no port")?;
        thread::spawn(move || {
            let (stream, _) = listener.accept()?;
            drop(listener);
            io::copy(&mut &stream, &mut &stream)
        });
        Ok(port)
    }

    /// dnsmasq that knows one name.
    fn serve_names(&mut self) -> Result<()> {
        let note = self.scratch.path().join("names.pid");
        let mut command = crate::guard::command(find("dnsmasq")?);
        command.args(["--keep-in-foreground", "--conf-file=/dev/null", "--user=root"]);
        command.args(["--bind-interfaces", "--no-resolv", "--no-hosts", "--local=/test/"]);
        command.args([format!("--listen-address={HOST}"), format!("--port={NAMES}")]);
        command.arg(format!("--host-record={NAME},{HOST}"));
        command.arg(format!("--pid-file={}", note.display()));
        command.stdin(Stdio::null()).stdout(Stdio::null());
        self.servers.push(command.spawn()?);
        let limit = Instant::now() + Duration::from_secs(30);
        // it is written once the port is open
        while !note.exists() {
            ensure!(Instant::now() < limit, "dnsmasq does not serve");
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// nginx at the ports 80 and 443.
    fn serve(&mut self) -> Result<()> {
        let directory = self.scratch.path().join("nginx");
        fs::create_dir(&directory)?;
        let text = format!(
            "user root; daemon off; master_process off; worker_processes 1; pid nginx.pid;\n\
             error_log stderr warn; events {{ worker_connections 64; }}\n\
             http {{ access_log off; default_type application/octet-stream; sendfile on;\n\
             client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;\n\
             uwsgi_temp_path uwsgi; scgi_temp_path scgi;\n\
             ssl_certificate leaf.pem; ssl_certificate_key leaf.pem;\n\
             server {{ listen {HOST}:80; listen [{HOST_V6}]:80; listen {HOST}:443 ssl; root {};\n\
             location = /token {{ return 200 $http_x_token; }} }} }}\n",
            self.files.directory().display()
        );
        fs::write(directory.join("nginx.conf"), text)?;
        let leaf = self.authority.sign(&[HOST, NAME], Dates::Valid)?;
        fs::write(directory.join("leaf.pem"), leaf.pem())?;
        let log = fs::File::create(directory.join("log"))?;
        let mut command = crate::guard::command(find("nginx")?);
        command.arg("-p").arg(&directory).args(["-e", "stderr", "-c", "nginx.conf"]);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let mut nginx = command.spawn()?;
        let limit = Instant::now() + Duration::from_secs(30);
        let ready = loop {
            if TcpStream::connect((HOST, 80)).is_ok() {
                break true;
            }
            if nginx.try_wait()?.is_some() || Instant::now() > limit {
                break false;
            }
            thread::sleep(Duration::from_millis(20));
        };
        self.servers.push(nginx);
        if !ready {
            let said = fs::read_to_string(directory.join("log")).unwrap_or_default();
            bail!("nginx does not serve: {}", said.trim());
        }
        Ok(())
    }

    /// A directory for files of a test.
    pub fn directory(&self) -> &Path {
        self.scratch.path()
    }

    /// `run` of the default image behind the interface, to be given arguments.
    pub fn command(&self, target: Target, options: &[&str]) -> Command {
        let mut command = run_command();
        command.args([format!("--target={target}"), "--accel=kvm".into()]);
        command.args([format!("--net=tap={}", self.tap), "--kill-after=60s".into()]);
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
        let mut machine = self.start(command)?;
        let mut input = machine.child.stdin.take().context("no pipe to the machine")?;
        let output = machine.child.stdout.take().context("no pipe from the machine")?;
        let mut output = BufReader::new(output);
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
        let status = machine.wait()?;
        ensure!(status.success(), "{status}");
        Ok(longest)
    }

    /// Starts a machine that ends with the test at the latest.
    pub fn start(&self, mut command: Command) -> Result<Machine> {
        Ok(Machine { child: command.spawn()?, tap: self.tap.clone() })
    }
}

/// A machine that runs; dropping it ends it and waits until the next one can have the interface.
#[derive(Debug)]
pub struct Machine {
    /// The `run` that supervises it.
    pub child: Child,
    tap: String,
}

impl Machine {
    /// Waits for its end.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        Ok(self.child.wait()?)
    }

    /// Whether it is on the interface.
    pub fn is_there(&self) -> bool {
        is_busy(&self.tap)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // it may have ended by itself
        let _ = self.child.kill();
        let _ = self.child.wait();
        let limit = Instant::now() + Duration::from_secs(20);
        // the hypervisor ends by its guard, some time later
        while is_busy(&self.tap) && Instant::now() < limit {
            thread::sleep(Duration::from_millis(5));
        }
    }
}

fn is_busy(tap: &str) -> bool {
    fs::read_to_string(format!("/sys/class/net/{tap}/carrier")).is_ok_and(|it| it.trim() == "1")
}

impl Drop for Lab {
    fn drop(&mut self) {
        for server in &mut self.servers {
            // it may have ended by itself
            let _ = server.kill();
            let _ = server.wait();
        }
        let _ = tap(&["down", &self.tap]);
    }
}

/// `scripts/tap`, with these arguments.
pub fn tap(arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("/proc/self/exe");
    // whoever called this by sudo is not who the tests are about
    command.arg("tap").args(arguments).env_remove("SUDO_UID").stdin(Stdio::null());
    let output = command.output()?;
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

/// VMADDR_CID_ANY and VMADDR_PORT_ANY of vsock(7).
const ANY: u32 = u32::MAX;
