//! Runs a command over blocking host sockets: the crate's development against real servers.
//!
//!     cargo run --release -p ssh --example exec -- HOST:PORT USER PIN COMMAND < input
//!
//! Credentials come by the environment: SSH_KEY_FILE, SSH_PASSPHRASE, SSH_PASSWORD; SSH_REKEY is octets between key exchanges.

use ssh::{
    Config, Connection, Credential, Event, Exec, Exit, NoRandomness, Pin, PrivateKey, Stream,
};
use std::error::Error;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;
use std::time::{Duration, Instant};

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let mut word = || words.next().ok_or("usage: exec HOST:PORT USER PIN COMMAND");
    let (address, user, pin, command) = (word()?, word()?, word()?.parse::<Pin>()?, word()?);
    let mut credentials = Vec::new();
    let variable = |name| std::env::var(name).ok();
    if let Some(file) = variable("SSH_KEY_FILE") {
        let passphrase = variable("SSH_PASSPHRASE");
        let key = PrivateKey::from_openssh(&std::fs::read_to_string(file)?, passphrase.as_deref())?;
        credentials.push(Credential::Key(key.into()));
    }
    if let Some(password) = variable("SSH_PASSWORD") {
        credentials.push(Credential::Password(password.into()));
    }
    let mut config = Config { user, credentials, ..Config::default() };
    if let Some(octets) = variable("SSH_REKEY") {
        config.rekey_octets = octets.parse()?;
    }

    let mut tcp = TcpStream::connect(address)?;
    tcp.set_nodelay(true)?;
    let (sender, stdin) = mpsc::sync_channel::<Vec<u8>>(4);
    std::thread::spawn(move || {
        let mut buf = vec![0; 64 * 1024];
        while let Ok(len @ 1..) = std::io::stdin().read(&mut buf) {
            if sender.send(buf[..len].to_vec()).is_err() {
                return;
            }
        }
    });

    let begin = Instant::now();
    let random = |octets: &mut [u8]| graviola::random::fill(octets).map_err(|_| NoRandomness);
    let mut connection = Connection::new(config, Box::new(random), begin.elapsed())?;
    let (mut input, mut buf) = (Vec::new(), vec![0; 256 * 1024]);
    let (mut channel, mut pending, mut stdin_ended) = (None, Vec::new(), false);
    let mut exit = None;
    loop {
        let mut moved = false;
        let used = connection.handle_input(begin.elapsed(), &input);
        flush(&mut tcp, &mut connection, &mut moved)?;
        input.drain(..used?);
        while let Some(event) = connection.poll_event() {
            moved = true;
            match event {
                Event::HostKey(key) if pin.accepts(&key) => {
                    connection.accept_host_key(begin.elapsed())?
                }
                Event::HostKey(key) => {
                    connection.refuse_host_key();
                    flush(&mut tcp, &mut connection, &mut moved)?;
                    return Err(format!("the host key is {key}").into());
                }
                Event::Authenticated(method) => {
                    eprintln!("[authenticated by {method}]");
                    connection
                        .exec(Exec { command: command.clone().into_bytes(), ..Exec::default() });
                }
                Event::Started(id) => channel = Some(id),
                Event::Exited(_, how) => exit = Some(how),
                Event::Closed(id) => {
                    while let Some(len @ 1..) = connection.read(id, Stream::Stdout, &mut buf) {
                        std::io::stdout().write_all(&buf[..len])?;
                    }
                    connection.disconnect();
                    flush(&mut tcp, &mut connection, &mut moved)?;
                    eprintln!("[{exit:?} after {:?}]", begin.elapsed());
                    std::process::exit(match exit {
                        Some(Exit::Status(status)) => status as i32,
                        _ => 255,
                    });
                }
                other => eprintln!("[{other:?}]"),
            }
        }
        if let Some(id) = channel {
            for (stream, is_out) in [(Stream::Stdout, true), (Stream::Stderr, false)] {
                while let Some(len @ 1..) = connection.read(id, stream, &mut buf) {
                    moved = true;
                    match is_out {
                        true => std::io::stdout().write_all(&buf[..len])?,
                        false => std::io::stderr().write_all(&buf[..len])?,
                    }
                }
            }
            if pending.is_empty() && !stdin_ended {
                match stdin.try_recv() {
                    Ok(octets) => pending = octets,
                    Err(mpsc::TryRecvError::Disconnected) => {
                        stdin_ended = true;
                        connection.finish(id);
                    }
                    Err(mpsc::TryRecvError::Empty) => {}
                }
            }
            let written = connection.write(id, &pending);
            moved |= written > 0;
            pending.drain(..written);
        }
        flush(&mut tcp, &mut connection, &mut moved)?;
        if connection.poll_timeout().is_some_and(|at| at <= begin.elapsed()) {
            connection.handle_timeout(begin.elapsed())?;
        }
        // blocks only where nothing else could be done
        tcp.set_read_timeout(Some(
            Duration::from_millis(if moved { 0 } else { 10 }).max(Duration::from_nanos(1000)),
        ))?;
        match tcp.read(&mut buf) {
            Ok(0) => connection.handle_end(begin.elapsed())?,
            Ok(len) => input.extend_from_slice(&buf[..len]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn flush(
    tcp: &mut TcpStream,
    connection: &mut Connection,
    moved: &mut bool,
) -> std::io::Result<()> {
    while !connection.poll_output().is_empty() {
        let len = tcp.write(connection.poll_output())?;
        connection.handle_sent(len);
        *moved = true;
    }
    Ok(())
}
