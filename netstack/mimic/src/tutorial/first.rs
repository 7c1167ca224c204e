use std::net::{TcpListener, ToSocketAddrs};

use mimic::{Ctx, Key, Policy, Registry, default, req};
use ping_pong::{client, server};
use tcp::{Tcp, TcpFlow};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // which protocols there are
    let mut registry = Registry::new();
    let tcp = registry.register("tcp", None, Tcp);

    // what a user may give
    let host = Key::<String>::shown("host");
    let port = Key::<u16>::shown("port");

    // what follows from what
    let rules = Ctx::new().fold(
        tcp.endpoint(),
        (req(&host), default(&port, 8080)),
        |(host, port)| async move {
            // `None` or an error: "I cannot make an endpoint of this"
            (host.as_str(), *port).to_socket_addrs().map(|mut found| found.next()).ok()?
        },
    );

    // the server accepts by itself, and hands the flow to the same kind of code
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let handle = tcp.clone();
    let serving = std::thread::spawn(move || {
        let (socket, _) = listener.accept().expect("the client connects");
        futures_lite::future::block_on(server(&mut handle.inject(TcpFlow(socket))))
    });

    // the client's arguments, as values
    let given = Ctx::new().add(&host, "127.0.0.1".to_owned()).add(&port, address.port());
    let pongs = futures_lite::future::block_on(async {
        let connected = registry.resolve(&rules.merge(&given), &Policy::default()).await?;
        let mut flow = connected.flow;
        assert_eq!(connected.protocol, "tcp");
        Ok::<_, Box<dyn std::error::Error>>(client(&mut flow, 3).await?)
    })?;
    assert_eq!(pongs, 3);
    serving.join().expect("the server does not panic")?;

    // nothing given: the error says what lacks
    let error = futures_lite::future::block_on(registry.resolve(&rules, &Policy::default()));
    let text = "no protocol has an endpoint: tcp needs host: not given";
    assert_eq!(error.unwrap_err().to_string(), text);
    Ok(())
}
