//! The words that name DNS servers: what is taken is printed as it was meant, and read again as the same.
#![no_main]

use proto::dns::{Server, Transport};

libfuzzer_sys::fuzz_target!(|word: &str| {
    let Ok(server) = word.parse::<Server>() else { return };
    assert_ne!(server.address.port(), 0);
    let again: Server = server.to_string().parse().expect("what is printed can be read");
    assert_eq!(again.address, server.address);
    if !matches!(server.transport, Transport::Tls { .. }) {
        assert_eq!(again, server);
    }
});
