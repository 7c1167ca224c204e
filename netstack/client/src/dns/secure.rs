//! DNS over TLS (RFC 7858): the one place here that knows TLS, or that there is none.

use super::fault::Fault;
use super::stream::Wire;
use crate::error::Cause;
use proto::authenticator::Authenticator;
use stack::Net;
use std::net::SocketAddr;
use std::sync::Arc;

/// A connection to a server that is who it should be.
#[cfg(feature = "tls")]
pub async fn connect(
    net: Arc<dyn Net>,
    address: SocketAddr,
    name: Option<String>,
    authenticators: Vec<Authenticator>,
) -> Result<Box<dyn Wire>, Fault> {
    use crate::flow::tls::{Options, Settings};
    use futures_rustls::pki_types::ServerName;
    let options = Options { authenticators, alpn: vec!["dot".into()], ..Options::default() };
    let settings = match name {
        Some(_) => Settings::new(&options),
        // RFC 7858 §4.2
        None => Settings::nameless(&options),
    };
    let settings = settings.map_err(Fault::Tls)?;
    let name = match name {
        Some(name) => ServerName::try_from(name).map_err(|_| {
            Fault::Tls(Cause::Unable("not a name that a certificate can hold".into()))
        })?,
        None => ServerName::IpAddress(address.ip().into()),
    };
    let stream = net.tcp_connect(address).await.map_err(Fault::Net)?;
    let stream = settings.handshake(name, stream).await;
    Ok(Box::new(stream.map_err(|error| Fault::Tls(Cause::of(&error)))?))
}

/// Refused: the program was built without TLS.
#[cfg(not(feature = "tls"))]
pub async fn connect(
    _net: Arc<dyn Net>,
    _address: SocketAddr,
    _name: Option<String>,
    _authenticators: Vec<Authenticator>,
) -> Result<Box<dyn Wire>, Fault> {
    Err(Fault::Tls(Cause::Unable("this image was built without the feature tls".into())))
}
