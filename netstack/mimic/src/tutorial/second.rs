use std::net::{SocketAddr, TcpListener, ToSocketAddrs};

use futures_lite::future::block_on;
use masked::{Masked, MaskedEndpoint, MaskedFlow};
use mimic::{BoxFlow, Ctx, Handle, Key, Policy, Registry, default, map, req};
use ping_pong::{client, server};
use tcp::{Tcp, TcpFlow};

struct Keys {
    scheme: Key<String>,
    host: Key<String>,
    port: Key<u16>,
    mask: Key<u8>,
}

/// What there was before; the endpoint is made for its own scheme only.
fn tcp_rules(keys: &Keys, tcp: &Handle<Tcp>) -> Ctx {
    let wanted = map(req(&keys.scheme), |scheme| *scheme == "tcp");
    let args = (wanted, req(&keys.host), default(&keys.port, 8080));
    Ctx::new().fold(tcp.endpoint(), args, |(wanted, host, port)| async move {
        if wanted { (host.as_str(), *port).to_socket_addrs().ok()?.next() } else { None }
    })
}

/// What is new.
fn masked_rules(keys: &Keys, masked: &Handle<Masked<Tcp>>) -> Ctx {
    let wanted = map(req(&keys.scheme), |scheme| *scheme == "masked");
    let args = (wanted, req(&keys.mask), req(&keys.host), default(&keys.port, 4343));
    Ctx::new().fold(masked.endpoint(), args, |(wanted, mask, host, port)| async move {
        let below: SocketAddr = (host.as_str(), *port).to_socket_addrs().ok()?.next()?;
        wanted.then(|| MaskedEndpoint { below: below.into(), mask: *mask })
    })
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut registry = Registry::new();
    let tcp = registry.register("tcp", None, Tcp);
    let masked = registry.register("masked", 10, Masked(Tcp));
    let keys = Keys {
        scheme: Key::shown("scheme"),
        host: Key::shown("host"),
        port: Key::shown("port"),
        mask: Key::secret("mask"),
    };
    let rules = tcp_rules(&keys, &tcp).merge(&masked_rules(&keys, &masked));
    let rules = rules.add(&keys.host, "127.0.0.1".to_owned()).add(&keys.mask, 0x5a);

    for scheme in ["tcp", "masked"] {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let (tcp, masked) = (tcp.clone(), masked.clone());
        let serving = std::thread::spawn(move || {
            let (socket, _) = listener.accept().expect("the client connects");
            let below = TcpFlow(socket);
            // one server for both: it is given an opaque flow
            let mut flow: BoxFlow = match scheme {
                "tcp" => tcp.inject(below),
                _ => masked.inject(MaskedFlow { below, mask: 0x5a }),
            };
            block_on(server(&mut flow))
        });

        let ctx = rules.add(&keys.scheme, scheme.to_owned()).add(&keys.port, port);
        let mut connected = block_on(registry.resolve(&ctx, &Policy::default()))?;
        assert_eq!(connected.protocol, scheme);
        assert_eq!(block_on(client(&mut connected.flow, 3))?, 3);
        serving.join().expect("the server does not panic")?;
    }
    Ok(())
}
