//! Through the registry, over the simulated wire, to a server by rustls.

use super::{Lower, Options};
use crate::dialer::Dialer;
use crate::dns::Resolver;
use crate::error::{Cause, Error, Exit, Stage, find_as};
use crate::flows::Flows;
use crate::options;
use crate::trace::Trace;
use core::time::Duration;
use futures_io::{AsyncRead, AsyncWrite};
use futures_lite::{AsyncReadExt as _, AsyncWriteExt as _};
use futures_rustls::TlsAcceptor;
use futures_rustls::rustls::server::WebPkiClientVerifier;
use futures_rustls::rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion, version};
use mimic::report::AttemptResult;
use mimic::{BoxFlow, Ctx, Policy, Registry, ResolveError};
use proto::authenticator::{Authenticator, Fingerprint, Hash};
use proto::credential::PrivateKey;
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair, PublicKeyData as _};
use sha2::{Digest as _, Sha256};
use stack::Net as _;
use stack::sim::{Host, Link, Network};
use std::sync::Arc;

const VERSIONS: [&SupportedProtocolVersion; 2] = [&version::TLS12, &version::TLS13];

struct World {
    network: Network,
    server: Host,
    flows: Flows,
    registry: Registry,
    ctx: Ctx,
    trace: Trace,
}

impl World {
    fn new() -> Self {
        let mut network = Network::new(3);
        let client = network.host("10.0.0.1/24", Link::default());
        let server = network.host("10.0.0.2/24", Link::default());
        network.set_limit(Duration::from_secs(60));
        let mut registry = Registry::new();
        let flows = Flows::register(&mut registry);
        let trace = Trace::default();
        let dialer = Dialer {
            net: Arc::new(client.net),
            race: happy_eyeballs::Config::default(),
            only: None,
            memory: Arc::default(),
            resolver: Resolver::new(crate::dns::Options::default()),
            limit: Duration::from_secs(30),
            trace: trace.clone(),
        };
        let ctx = flows.derive(&Ctx::new()).add(&flows.dialer, dialer);
        Self { network, server, flows, registry, ctx, trace }
    }

    fn aim(&self, port: u16, options: &Options) -> Ctx {
        self.aim_at(&format!("tls://10.0.0.2:{port}"), options)
    }

    fn aim_at(&self, target: &str, options: &Options) -> Ctx {
        let said = options::Flows { ssh: &options::Ssh::default(), tls: options };
        self.flows.aim(&self.ctx, &target.parse().unwrap(), said)
    }

    /// One line there and back.
    fn talk(&mut self, ctx: &Ctx) -> Result<String, Error> {
        let registry = self.registry.clone();
        let talk = async {
            let connected = match registry.resolve(ctx, &Policy::default()).await {
                Ok(connected) => connected,
                Err(error) => return Err(last_of(&error)),
            };
            say(connected.flow).await.map_err(|error| Error {
                stage: Stage::Exchange,
                target: "the server".into(),
                cause: Cause::of(&error),
            })
        };
        self.network.run(talk).unwrap()
    }

    /// What was agreed on, one handshake an entry.
    fn agreed(&self) -> Vec<String> {
        let steps = self.trace.steps();
        let tls = steps.into_iter().filter(|step| step.kind == "tls");
        tls.map(|step| step.outcome.unwrap_or_else(|error| error)).collect()
    }
}

/// The error of the attempt that failed last.
fn last_of(error: &ResolveError) -> Error {
    let attempt = error.report().attempts.last().expect("an attempt");
    match &attempt.result {
        AttemptResult::Failed(error) => find_as::<Error>(&**error).expect("ours").clone(),
        other => panic!("{other:?}"),
    }
}

async fn say(mut flow: BoxFlow) -> std::io::Result<String> {
    flow.write_all(b"hello\n").await?;
    flow.flush().await?;
    let mut answer = String::new();
    flow.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// Sends one line back, then closes.
async fn echo(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> std::io::Result<()> {
    let mut line = [0; 6];
    stream.read_exact(&mut line).await?;
    stream.write_all(&line).await?;
    stream.close().await?;
    let mut rest = [0; 64];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}

struct Identity {
    certificate: Vec<u8>,
    key: KeyPair,
}

impl Identity {
    fn new(usage: ExtendedKeyUsagePurpose) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["10.0.0.2".into()]).unwrap();
        params.extended_key_usages.push(usage);
        let certificate = params.self_signed(&key).unwrap().der().to_vec();
        Self { certificate, key }
    }

    fn pin(&self) -> Options {
        let digest = Sha256::digest(self.key.subject_public_key_info()).to_vec();
        let pin = Authenticator::KeyFingerprint(Fingerprint { hash: Hash::Sha256, digest });
        Options { authenticators: vec![pin], ..Options::default() }
    }

    fn acceptor(
        &self,
        version: &'static SupportedProtocolVersion,
        client: Option<&Self>,
    ) -> TlsAcceptor {
        let provider = Arc::new(rustls_graviola::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[version])
            .unwrap();
        let builder = match client {
            None => builder.with_no_client_auth(),
            Some(client) => {
                let mut roots = RootCertStore::empty();
                roots.add(client.certificate.clone().into()).unwrap();
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(verifier.unwrap())
            }
        };
        let key = self.key.serialize_der().try_into().unwrap();
        let chain = vec![self.certificate.clone().into()];
        let mut config = builder.with_single_cert(chain, key).unwrap();
        config.ticketer = rustls_graviola::Ticketer::new().unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

fn server() -> Identity {
    Identity::new(ExtendedKeyUsagePurpose::ServerAuth)
}

fn serve(world: &mut World, port: u16, acceptor: TlsAcceptor) {
    let host = world.server.clone();
    world.network.serve(&host, port, move |stream| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                let _ = echo(stream).await;
            }
        }
    });
}

#[test]
fn the_second_connection_resumes_the_session_of_the_first() {
    for version in VERSIONS {
        let mut world = World::new();
        let identity = server();
        serve(&mut world, 443, identity.acceptor(version, None));
        // each connection is derived anew, as for a redirect
        for _ in 0..3 {
            let ctx = world.aim(443, &identity.pin());
            assert_eq!(world.talk(&ctx).unwrap(), "hello\n");
        }
        let agreed = world.agreed();
        let resumed: Vec<_> = agreed.iter().map(|text| text.ends_with("resumed")).collect();
        assert_eq!(resumed, [false, true, true], "{agreed:?}");
        // another way to know the server is another matter
        let none = Options { authenticators: vec![Authenticator::None], ..Options::default() };
        let ctx = world.aim(443, &none);
        world.talk(&ctx).unwrap();
        assert!(!world.agreed()[3].ends_with("resumed"));
    }
}

#[test]
fn keys_are_exchanged_such_that_no_quantum_computer_reads_them_later() {
    let mut world = World::new();
    let identity = server();
    serve(&mut world, 443, identity.acceptor(&version::TLS13, None));
    let ctx = world.aim(443, &identity.pin());
    world.talk(&ctx).unwrap();
    assert!(world.agreed()[0].contains("X25519MLKEM768"), "{:?}", world.agreed());
}

#[test]
fn a_server_that_asks_is_shown_the_certificate() {
    for version in VERSIONS {
        let mut world = World::new();
        let (identity, client) = (server(), Identity::new(ExtendedKeyUsagePurpose::ClientAuth));
        serve(&mut world, 443, identity.acceptor(version, Some(&client)));
        let key = PrivateKey::parse(&client.key.serialize_pem()).unwrap();
        let known = Options {
            certificates: vec![client.certificate.clone()],
            key: Some(key),
            ..identity.pin()
        };
        let ctx = world.aim(443, &known);
        assert_eq!(world.talk(&ctx).unwrap(), "hello\n");
        let ctx = world.aim(443, &identity.pin());
        let error = world.talk(&ctx).unwrap_err();
        assert_eq!(error.exit(), Exit::Refused, "{error}");
        assert!(error.to_string().contains("--client-cert"), "{error}");
    }
}

#[test]
fn what_cannot_be_used_is_told_by_its_argument() {
    let (one, other) = (server(), server());
    let key = |of: &Identity| Some(PrivateKey::parse(&of.key.serialize_pem()).unwrap());
    let with = |certificate: Vec<u8>, key| Options {
        certificates: vec![certificate],
        key,
        ..Options::default()
    };
    let anchor = Authenticator::TrustAnchors(vec![vec![0x30, 0]]);
    for (options, says) in [
        (with(one.certificate.clone(), key(&other)), "--client-key is not the key of the first"),
        (with(vec![0x30, 0], key(&one)), "--client-cert: the first is no certificate"),
        (
            Options { authenticators: vec![anchor], ..Options::default() },
            "--tls-authenticator: a trust anchor is no certificate",
        ),
    ] {
        let mut world = World::new();
        let ctx = world.aim(443, &options);
        let error = world.talk(&ctx).unwrap_err();
        assert_eq!(error.exit(), Exit::Usage, "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[test]
fn a_flow_that_began_in_the_clear_goes_on_in_tls() {
    let mut world = World::new();
    let identity = server();
    let acceptor = identity.acceptor(&version::TLS13, None);
    let host = world.server.clone();
    world.network.serve(&host, 143, move |mut stream| {
        let acceptor = acceptor.clone();
        async move {
            let mut command = [0; 9];
            stream.write_all(b"* ready\n").await.unwrap();
            stream.read_exact(&mut command).await.unwrap();
            assert_eq!(&command, b"STARTTLS\n");
            stream.write_all(b"+\n").await.unwrap();
            echo(acceptor.accept(stream).await.unwrap()).await.unwrap();
        }
    });
    let plain = world.aim_at("tcp://10.0.0.2:143", &Options::default());
    let ctx = world.aim(143, &identity.pin());
    let upgrade = lower(world.registry.clone(), plain, |mut flow| {
        Box::pin(async move {
            let (mut greeting, mut answer) = ([0; 8], [0; 2]);
            flow.read_exact(&mut greeting).await.unwrap();
            flow.write_all(b"STARTTLS\n").await.unwrap();
            flow.read_exact(&mut answer).await.unwrap();
            flow
        })
    });
    let ctx = ctx.replace(&world.flows.tls.lower, upgrade);
    assert_eq!(world.talk(&ctx).unwrap(), "hello\n");
}

#[test]
fn tls_runs_in_tls() {
    let mut world = World::new();
    let (outer, inner) = (server(), server());
    let acceptors = (outer.acceptor(&version::TLS13, None), inner.acceptor(&version::TLS12, None));
    let host = world.server.clone();
    world.network.serve(&host, 443, move |stream| {
        let (outer, inner) = acceptors.clone();
        async move {
            let stream = outer.accept(stream).await.unwrap();
            echo(inner.accept(stream).await.unwrap()).await.unwrap();
        }
    });
    let below = world.aim(443, &outer.pin());
    let ctx = world.aim(443, &inner.pin());
    let below = lower(world.registry.clone(), below, |flow| Box::pin(async { flow }));
    let ctx = ctx.replace(&world.flows.tls.lower, below);
    assert_eq!(world.talk(&ctx).unwrap(), "hello\n");
    let agreed = world.agreed();
    assert!(agreed[0].starts_with("TLSv1_3") && agreed[1].starts_with("TLSv1_2"), "{agreed:?}");
}

/// A flow below TLS that the registry opens, and what is said on it first.
fn lower(
    registry: Registry,
    ctx: Ctx,
    first: fn(BoxFlow) -> stack::BoxFuture<'static, BoxFlow>,
) -> Lower {
    Arc::new(move || {
        let (registry, ctx) = (registry.clone(), ctx.clone());
        Box::pin(async move {
            let connected = registry.resolve(&ctx, &Policy::default()).await.expect("a flow below");
            Ok(first(connected.flow).await)
        })
    })
}

#[test]
fn a_cut_is_no_end() {
    for version in VERSIONS {
        let mut world = World::new();
        let identity = server();
        let acceptor = identity.acceptor(version, None);
        let host = world.server.clone();
        world.network.serve(&host, 443, move |stream| {
            let acceptor = acceptor.clone();
            async move {
                let mut stream = acceptor.accept(stream).await.unwrap();
                let mut line = [0; 6];
                stream.read_exact(&mut line).await.unwrap();
                stream.write_all(&line).await.unwrap();
                stream.flush().await.unwrap();
                // the end of TCP alone
                let (mut tcp, _) = stream.into_inner();
                tcp.close().await.unwrap();
                while tcp.read(&mut line).await.is_ok_and(|len| len > 0) {}
            }
        });
        let ctx = world.aim(443, &identity.pin());
        let error = world.talk(&ctx).unwrap_err();
        assert!(matches!(error.cause, Cause::CutShort(_)), "{error}");
        assert_eq!(error.exit(), Exit::Protocol);
    }
}

#[test]
fn what_was_opened_before_a_failure_comes_before_it() {
    // with head, nonce and tag as long as rustls' reads, so that what follows is read by itself
    const OCTETS: usize = 4096 - 5 - 8 - 16;
    let mut world = World::new();
    let identity = server();
    let acceptor = identity.acceptor(&version::TLS12, None);
    let (host, clock) = (world.server.clone(), world.server.net.clone());
    world.network.serve(&host, 443, move |stream| {
        let (acceptor, clock) = (acceptor.clone(), clock.clone());
        async move {
            let mut stream = acceptor.accept(stream).await.unwrap();
            // not behind the handshake in the same segment
            clock.sleep(Duration::from_secs(1)).await;
            stream.write_all(&[7; OCTETS]).await.unwrap();
            stream.flush().await.unwrap();
            let (mut tcp, _) = stream.into_inner();
            // of no type of record (RFC 5246 §6.2.1)
            tcp.write_all(&[0xff; 5]).await.unwrap();
            while tcp.read(&mut [0; 64]).await.is_ok_and(|len| len > 0) {}
        }
    });
    let ctx = world.aim(443, &identity.pin());
    let (registry, net) = (world.registry.clone(), world.server.net.clone());
    let read = async {
        let mut flow = registry.resolve(&ctx, &Policy::default()).await.expect("a flow").flow;
        net.sleep(Duration::from_secs(2)).await;
        let mut octets = vec![0; 2 * OCTETS];
        let len = flow.read(&mut octets).await.unwrap();
        (len, flow.read(&mut octets).await.map_err(|error| Cause::of(&error)))
    };
    let (len, failure) = world.network.run(read).unwrap();
    assert_eq!(len, OCTETS);
    assert!(matches!(failure, Err(Cause::Protocol(_))), "{failure:?}");
}
