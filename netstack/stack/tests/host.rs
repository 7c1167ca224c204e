//! The host's sockets, against servers of the standard library on loopback.
#![allow(clippy::unwrap_used)] // tests

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::thread;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use stack::host::{HostNet, block_on};
use stack::{Error, IpVersion, Net};

fn server(serve: impl FnOnce(std::net::TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || serve(listener.accept().unwrap().0));
    addr
}

#[test]
fn a_mebibyte_comes_back() {
    let addr = server(|mut stream| {
        let mut data = Vec::new();
        stream.read_to_end(&mut data).unwrap();
        stream.write_all(&data).unwrap();
    });
    let data: Vec<u8> = (0..1 << 20).map(|i| (i * 7 % 251) as u8).collect();
    let answer = block_on(async {
        let mut stream = HostNet::new().tcp_connect(addr).await.unwrap();
        assert_eq!(stream.peer_addr(), addr);
        stream.write_all(&data).await.unwrap();
        stream.close().await.unwrap();
        let late = stream.write_all(b"late").await.unwrap_err();
        assert_eq!(Error::from_io(late), Error::Closed);
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        answer
    });
    assert!(answer == data);
}

#[test]
fn refused() {
    let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let result = block_on(HostNet::new().tcp_connect(addr));
    assert_eq!(result.map(|_| ()).unwrap_err(), Error::Refused);
}

#[test]
fn unreachable() {
    // A broadcast address cannot be connected to, on any host.
    let addr = SocketAddr::from(([255, 255, 255, 255], 9));
    let result = block_on(HostNet::new().tcp_connect(addr));
    assert!(matches!(
        result.map(|_| ()).unwrap_err(),
        Error::Unreachable(_) | Error::NotPermitted(_)
    ));
}

#[test]
fn reset() {
    // Closing with octets unread resets the connection (RFC 2525 §2.17).
    let addr = server(|mut stream| {
        stream.read_exact(&mut [0; 1]).unwrap();
    });
    block_on(async {
        let mut stream = HostNet::new().tcp_connect(addr).await.unwrap();
        stream.write_all(b"two octets, and more").await.unwrap();
        let error = stream.read(&mut [0; 9]).await.unwrap_err();
        assert_eq!(Error::from_io(error), Error::Reset);
    });
}

#[test]
fn abort_resets() {
    let (done, ended) = std::sync::mpsc::channel();
    let addr = server(move |mut stream| done.send(stream.read(&mut [0; 9])).unwrap());
    block_on(async {
        let mut stream = HostNet::new().tcp_connect(addr).await.unwrap();
        stream.abort();
        assert_eq!(Error::from_io(stream.read(&mut [0; 9]).await.unwrap_err()), Error::Closed);
    });
    let kind = ended.recv().unwrap().unwrap_err().kind();
    assert_eq!(kind, std::io::ErrorKind::ConnectionReset);
}

#[test]
fn shutdown_read_is_end_of_file() {
    let addr = server(|mut stream| {
        let _ = stream.write_all(b"never read");
        let _ = stream.read(&mut [0; 9]);
    });
    block_on(async {
        let mut stream = HostNet::new().tcp_connect(addr).await.unwrap();
        stream.shutdown_read();
        assert_eq!(stream.read(&mut [0; 9]).await.unwrap(), 0);
    });
}

#[test]
fn datagrams() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let addr = server.local_addr().unwrap();
    thread::spawn(move || {
        let mut buf = [0; 64];
        let (len, from) = server.recv_from(&mut buf).unwrap();
        server.send_to(&buf[..len], from).unwrap();
    });
    block_on(async {
        let socket = HostNet::new().udp_bind(None, IpVersion::V4).await.unwrap();
        socket.send_to(b"hello", addr).await.unwrap();
        let mut buf = [0; 4];
        assert_eq!(socket.recv_from(&mut buf).await.unwrap(), (4, addr));
        assert_eq!(&buf, b"hell", "what does not fit is cut off");

        let v6 = SocketAddr::from(([0u16; 8], 9));
        let error = socket.send_to(b"", v6).await.unwrap_err();
        assert_eq!(error, Error::AddressFamily(IpVersion::V6));
        let taken = socket.local_addr().port();
        let second = HostNet::new().udp_bind(Some(taken), IpVersion::V4).await;
        assert_eq!(second.map(|_| ()).unwrap_err(), Error::AddressInUse(taken));
    });
}

#[test]
fn ping_or_how_to_be_allowed_to() {
    block_on(async {
        let socket = match HostNet::new().raw_open(1, IpVersion::V4).await {
            Ok(socket) => socket,
            Err(Error::NotPermitted(mend)) => {
                assert!(mend.contains("CAP_NET_RAW") && mend.contains("ping_group_range"));
                return;
            }
            Err(error) => panic!("{error}"),
        };
        let identifier = socket.echo_identifier().unwrap_or(0x1234);
        let [a, b] = identifier.to_be_bytes();
        // RFC 792: echo request, checksum, identifier, sequence number 1.
        let mut request = [8, 0, 0, 0, a, b, 0, 1];
        let sum = 0x0800 + u32::from(identifier) + 1;
        let sum = !(((sum & 0xffff) + (sum >> 16)) as u16);
        request[2..4].copy_from_slice(&sum.to_be_bytes());
        socket.send(&request, Ipv4Addr::LOCALHOST.into()).await.unwrap();
        let mut buf = [0; 1500];
        loop {
            let received = socket.recv(&mut buf).await.unwrap();
            assert_eq!(received.src, IpAddr::from(Ipv4Addr::LOCALHOST));
            // A raw socket on loopback also sees the request, and other programs' messages.
            if buf[0] == 0 && buf[4..8] == [a, b, 0, 1] {
                assert_eq!(received.len, 8);
                break;
            }
        }
    });
}

#[test]
fn timers_and_configuration() {
    let net = HostNet::new();
    block_on(async {
        let start = net.now();
        net.sleep(Duration::from_millis(5)).await;
        assert!(net.now() - start >= Duration::from_millis(5));
        net.ready().await.unwrap();
        net.settle().await;
    });
}

#[test]
fn who_reads_on_and_on_lets_others_have_their_turn() {
    let all = vec![7; 1 << 16];
    let (sent, is_there) = std::sync::mpsc::channel();
    let len = all.len();
    let addr = server(move |mut stream| {
        stream.write_all(&all).unwrap();
        sent.send(()).unwrap();
        // the end comes later
        stream.read_to_end(&mut Vec::new()).unwrap();
    });
    let (in_a_row, count) = block_on(async {
        let mut stream = HostNet::new().tcp_connect(addr).await.unwrap();
        is_there.recv().unwrap();
        let mut buf = [0; 128];
        // as long as there is something and nobody says that it is enough
        let mut in_a_row = 0;
        while let Some(read) = future::poll_once(stream.read(&mut buf)).await {
            in_a_row += read.unwrap();
        }
        stream.close().await.unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        (in_a_row, in_a_row + rest.len())
    });
    assert!(in_a_row <= 64 * 128, "{in_a_row} octets at once");
    assert_eq!(count, len);
}
