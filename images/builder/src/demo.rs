//! The demo's server: one page over HTTPS on loopback, with a certificate made on the spot.
//!
//! It needs no internet and no trust in anybody: the machine knows the server by the fingerprint of its key.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use rustls::ProtocolVersion;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::certificate::{Leaf, NAMES};
use crate::manifest::Target;

/// Starts the server, which lives as long as this process, and returns the words that fetch its page.
pub fn start(target: Target) -> Result<Vec<String>> {
    let leaf = Leaf::self_signed(&NAMES)?;
    let config = Arc::new(leaf.server(&[b"http/1.1"])?);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .context("cannot start the demo's server")?;
    let listener = runtime
        .block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .context("cannot listen on 127.0.0.1")?;
    let port = listener.local_addr().context("a listener without an address")?.port();
    thread::spawn(move || runtime.block_on(serve(listener, config.into())));

    let host = match target {
        Target::Unix => "127.0.0.1",
        // the host's loopback, as QEMU's user networking shows it
        Target::Qemu | Target::Microvm | Target::Uhyve => "10.0.2.2",
    };
    Ok(vec![
        format!("https://{host}:{port}/"),
        format!("--tls-authenticator={}", leaf.key_authenticator()),
        "--explain".into(),
    ])
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor) {
    let tasks = tokio::task::LocalSet::new();
    let accepting = async {
        // an accept that fails (no descriptors left) ends the demo's server; the machine then reports it
        while let Ok((stream, peer)) = listener.accept().await {
            tokio::task::spawn_local(answer(acceptor.clone(), stream, peer));
        }
    };
    tasks.run_until(accepting).await;
}

/// One connection. Its errors are the client's to report: it is what is being shown.
async fn answer(acceptor: TlsAcceptor, stream: TcpStream, peer: SocketAddr) {
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let (_, session) = stream.get_ref();
    let version = match session.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
        Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
        _ => "TLS",
    };
    let suite = session.negotiated_cipher_suite().and_then(|it| it.suite().as_str());
    let tls = format!("{version} with {}", suite.unwrap_or("an unnamed cipher suite"));
    let service = service_fn(|request| {
        let response = page(&request, peer, &tls);
        async { Ok::<_, Infallible>(response) }
    });
    drop(
        hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .await,
    );
}

fn page(request: &Request<Incoming>, peer: SocketAddr, tls: &str) -> Response<Full<Bytes>> {
    let agent = request
        .headers()
        .get(header::USER_AGENT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("a client without a name");
    let text = format!(
        "Hello from this host's HTTPS server.\n\n\
         request   {} {}\n\
         by        {agent}\n\
         from      {peer}\n\
         over      {tls}\n",
        request.method(),
        request.uri(),
    );
    let mut response = Response::new(Full::new(Bytes::from(text)));
    if request.uri().path() != "/" {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    let kind = header::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
