//! A web server that says by which address it was reached, and a server that never says anything.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, poll};

use super::network::Network;

impl Network {
    /// Serves HTTP at `address`, an IP address with a port:
    ///
    /// | path | answer |
    /// |---|---|
    /// | `/` | the address that the client connected to, and a line feed |
    /// | `/after/N` | the same, N seconds later |
    /// | `/NAME` | the file of that name in `files` |
    pub fn web(&self, address: &str, files: &Path) -> Result<()> {
        let files = files.to_owned();
        self.listen(address, move |stream| {
            let files = files.clone();
            // a client that goes away is what some tests are about
            thread::spawn(move || drop(respond(stream, &files)));
        })
    }

    /// Takes connections at `address` and never answers.
    pub fn silent(&self, address: &str) -> Result<()> {
        let mut kept = Vec::new();
        self.listen(address, move |stream| kept.push(stream))
    }

    fn listen(
        &self,
        address: &str,
        mut each: impl FnMut(TcpStream) + Send + 'static,
    ) -> Result<()> {
        let at: SocketAddr = address.parse().with_context(|| format!("no address: {address}"))?;
        let listener = self.enter(|| TcpListener::bind(at).context("cannot listen"))?;
        let end = self.end()?;
        thread::spawn(move || {
            while is_before(&end, &listener) {
                if let Ok((stream, _)) = listener.accept() {
                    each(stream);
                }
            }
        });
        Ok(())
    }
}

/// Waits until `socket` has something to read; false at the network's end.
pub fn is_before(end: &UnixStream, socket: &impl std::os::fd::AsFd) -> bool {
    let mut both = [PollFd::new(socket, PollFlags::IN), PollFd::new(end, PollFlags::IN)];
    poll(&mut both, None).is_ok() && both[1].revents().is_empty()
}

fn respond(mut stream: TcpStream, files: &Path) -> Result<()> {
    // a machine that was killed closes nothing
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().context("no request")??;
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let path = request.split(' ').nth(1).and_then(|path| path.strip_prefix('/'));
    let path = path.context("no path in the request")?;
    if let Some(seconds) = path.strip_prefix("after/") {
        thread::sleep(Duration::from_secs(seconds.parse()?));
    }
    let body = match file(files, path) {
        Some(file) => fs::read(file)?,
        None => format!("{}\n", stream.local_addr()?.ip().to_canonical()).into_bytes(),
    };
    let length = body.len();
    write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n")?;
    stream.write_all(&body)?;
    stream.shutdown(Shutdown::Write)?;
    // until the client closes, so that closing here resets nothing
    while BufReader::new(&stream).fill_buf().is_ok_and(|octets| !octets.is_empty()) {}
    Ok(())
}

fn file(files: &Path, name: &str) -> Option<PathBuf> {
    let is_name = !name.is_empty() && name.bytes().all(|octet| octet.is_ascii_alphanumeric());
    is_name.then(|| files.join(name)).filter(|file| file.is_file())
}

/// How long a connection may be idle.
const PATIENCE: Duration = Duration::from_secs(30);
