//! The real servers: dnsmasq (DHCP and names), unbound (names over UDP, TCP and TLS), radvd (router
//! advertisements).

use std::fs;
use std::net::{TcpStream, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::network::{HOST, Network};
use crate::certificate::Leaf;

impl Network {
    /// dnsmasq with these options, which answers questions at every address of the tap. With `--dhcp-range` it
    /// gives addresses; the machine's name server is then [`HOST`].
    pub fn dnsmasq(&mut self, options: &[&str]) -> Result<()> {
        let mut command = self.command("dnsmasq");
        // no daemon: one process, and what it says goes to standard error
        command.args(["--no-daemon", "--conf-file=/dev/null", "--pid-file=", "--user=root"]);
        command.args(["--no-resolv", "--no-hosts", "--no-ping", "--leasefile-ro", "--log-dhcp"]);
        command.args(["--interface=tap0", "--bind-interfaces", "--local=/test/"]).args(options);
        self.start("dnsmasq", command, || answers(HOST))
    }

    /// unbound with these lines in its section `server:`; `more` are sections of their own. With a certificate
    /// it serves TLS at port 853, too.
    pub fn unbound(&mut self, server: &str, more: &str, leaf: Option<&Leaf>) -> Result<()> {
        let directory = self.directory().display().to_string();
        let mut text = format!(
            "server:\n directory: \"{directory}\"\n chroot: \"\"\n username: \"\"\n pidfile: \"\"\n\
             \x20use-syslog: no\n log-queries: yes\n do-daemonize: no\n num-threads: 1\n\
             \x20interface: {HOST}@53\n access-control: 0.0.0.0/0 allow\n access-control: ::/0 allow\n\
             \x20rrset-roundrobin: no\n module-config: \"validator iterator\"\n{server}\n"
        );
        if let Some(leaf) = leaf {
            let pem = self.directory().join("server.pem");
            fs::write(&pem, leaf.pem())?;
            let pem = pem.display();
            text += &format!(
                " interface: {HOST}@853\n tls-service-key: \"{pem}\"\n tls-service-pem: \"{pem}\"\n"
            );
        }
        text += &format!("remote-control:\n control-enable: no\n{more}\n");
        let file = self.directory().join("unbound.conf");
        fs::write(&file, text)?;
        let mut command = self.command("unbound");
        command.args(["-d", "-p", "-c"]).arg(file);
        self.start("unbound", command, || {
            answers(HOST)?;
            TcpStream::connect((HOST, if leaf.is_some() { 853 } else { 53 }))?;
            Ok(())
        })
    }

    /// radvd with these lines about the interface. It speaks when the link comes up and when it is asked; not again
    /// within a test.
    pub fn radvd(&mut self, interface: &str) -> Result<()> {
        // it refuses to speak for a router that forwards nothing
        self.sysctl("ipv6/conf/all/forwarding", "1")?;
        let text = format!(
            "interface tap0 {{ AdvSendAdvert on; MinRtrAdvInterval 15; MaxRtrAdvInterval 20;\n{interface}\n}};\n"
        );
        let file = self.directory().join("radvd.conf");
        fs::write(&file, text)?;
        let mut command = self.command("radvd");
        command.args(["--nodaemon", "--logmethod=stderr", "--debug=3", "--config"]).arg(file);
        command.arg("--pidfile").arg(self.directory().join("radvd.pid"));
        // no probe of ours can see whether it is ready
        self.start("radvd", command, || Ok(()))
    }

    /// Signs the zone of the text `zone` and returns the signed file and its trust anchor, a line of a zone file.
    pub fn sign(&self, name: &str, zone: &str) -> Result<(String, String)> {
        let directory = self.directory();
        let file = directory.join(format!("{name}.zone"));
        fs::write(&file, zone)?;
        let key = tool(directory, "ldns-keygen", &["-a", "ECDSAP256SHA256", "-k", name])?;
        let key = key.trim();
        let file = file.to_str().context("the directory's name is no text")?;
        tool(directory, "ldns-signzone", &[file, key])?;
        let anchor = fs::read_to_string(directory.join(format!("{key}.ds")))?;
        Ok((format!("{file}.signed"), anchor))
    }
}

fn tool(directory: &Path, program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).current_dir(directory).args(arguments).output();
    let output = output.with_context(|| format!("cannot run {program}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program}: {}", said.trim());
    Ok(String::from_utf8(output.stdout)?)
}

/// Whether there is a name server.
fn answers(address: &str) -> Result<()> {
    // the root's name servers: any answer will do
    let query = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x01";
    let socket = UdpSocket::bind(("0.0.0.0", 0))?;
    socket.connect((address, 53))?;
    socket.set_read_timeout(Some(Duration::from_millis(100)))?;
    socket.send(query)?;
    socket.recv(&mut [0; 512])?;
    Ok(())
}
