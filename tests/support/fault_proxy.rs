//! A proxy before a real service that can be told to fail as services do. One request a connection; it ends with the test.

use super::lab::now;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConnection, ServerConfig, ServerConnection, StreamOwned};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How it fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// It does not.
    Pass,
    /// Nobody listens. Of a part of a server: the connection is closed in place of an answer.
    Refuse,
    /// The connection is taken, and nothing ever said.
    Hang,
    /// Another status, with what was sent quoted: services do that in their messages.
    Status(u16),
    /// The head comes at once, and then a byte a second.
    Slow,
    /// The certificate ended yesterday.
    Expired,
    /// The certificate is another host's.
    WrongName,
    /// The certificate is from somebody unknown.
    Untrusted,
}

/// Where it asks.
pub enum Upstream {
    Plain(SocketAddr),
    /// Trusted by whoever signed with this PEM, and known by `localhost`.
    Tls(SocketAddr, String),
}

/// Who signs the certificates of proxies, and what they have.
pub struct Authority {
    /// PEM of who signed them.
    pub pem: String,
    good: Arc<ServerConfig>,
    expired: Arc<ServerConfig>,
    elsewhere: Arc<ServerConfig>,
    untrusted: Arc<ServerConfig>,
}

impl Authority {
    pub fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let authority = |name: &str| {
            let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
            params.distinguished_name.push(rcgen::DnType::CommonName, name);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let key = KeyPair::generate().unwrap();
            let pem = params.self_signed(&key).unwrap().pem();
            (Issuer::new(params, key), pem)
        };
        let ((ours, pem), (other, _)) = (authority("qd-fault-proxy"), authority("qd-fault-stranger"));
        let day = |n: i64| rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs((now() + n * 86_400).unsigned_abs());
        let server = |by: &Issuer<'static, KeyPair>, names: &[&str], days: (i64, i64)| {
            let mut params = CertificateParams::new(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>()).unwrap();
            (params.not_before, params.not_after) = (day(days.0), day(days.1));
            let key = KeyPair::generate().unwrap();
            let certificate = params.signed_by(&key, by).unwrap();
            let chain: Vec<CertificateDer> = vec![certificate.der().clone()];
            let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
            Arc::new(ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap())
        };
        let here = ["localhost", "127.0.0.1"];
        Self {
            good: server(&ours, &here, (-5, 5)),
            expired: server(&ours, &here, (-5, -1)),
            elsewhere: server(&ours, &["elsewhere.example"], (-5, 5)),
            untrusted: server(&other, &here, (-5, 5)),
            pem,
        }
    }

    fn of(&self, fault: Fault) -> Arc<ServerConfig> {
        match fault {
            Fault::Expired => &self.expired,
            Fault::WrongName => &self.elsewhere,
            Fault::Untrusted => &self.untrusted,
            _ => &self.good,
        }
        .clone()
    }
}

struct Shared {
    authority: Arc<Authority>,
    upstream: Upstream,
    /// Only requests of paths that begin so fail; empty: all.
    only: &'static str,
    fault: Mutex<Fault>,
    ended: AtomicBool,
}

/// A proxy that listens on loopback with TLS.
pub struct Proxy {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

impl Proxy {
    pub fn new(authority: &Arc<Authority>, upstream: Upstream, only: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (fault, ended) = (Mutex::new(Fault::Pass), AtomicBool::new(false));
        let shared = Arc::new(Shared { authority: authority.clone(), upstream, only, fault, ended });
        let own = shared.clone();
        std::thread::spawn(move || own.listen(listener, address));
        Self { address, shared }
    }

    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// From now on; connections that are open stay as they are.
    pub fn set(&self, fault: Fault) {
        *self.shared.fault.lock().unwrap() = fault;
        let refuses = || TcpStream::connect(self.address).is_err();
        while self.shared.only.is_empty() && (fault == Fault::Refuse) != refuses() {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    fn fault(&self) -> Fault {
        *self.fault.lock().unwrap()
    }

    fn listen(self: Arc<Self>, first: TcpListener, address: SocketAddr) {
        let mut open = Some(first);
        while !self.ended.load(Ordering::Relaxed) {
            if self.fault() == Fault::Refuse && self.only.is_empty() {
                open = None;
            } else if open.is_none() {
                open = TcpListener::bind(address).ok();
            }
            let come = open.as_ref().and_then(|l| {
                l.set_nonblocking(true).unwrap();
                l.accept().ok()
            });
            match come {
                Some((stream, _)) => {
                    stream.set_nonblocking(false).unwrap();
                    let own = self.clone();
                    // What breaks is the client's to notice.
                    std::thread::spawn(move || drop(own.serve(stream)));
                }
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        let fault = self.fault();
        if fault == Fault::Hang && self.only.is_empty() {
            return self.hang();
        }
        let config = if self.only.is_empty() { self.authority.of(fault) } else { self.authority.good.clone() };
        let mut stream = StreamOwned::new(ServerConnection::new(config).map_err(std::io::Error::other)?, stream);
        let request = head(&mut stream)?;
        let path = request.split(' ').nth(1).unwrap_or("").to_owned();
        let fault = if path.starts_with(self.only) { fault } else { Fault::Pass };
        match fault {
            Fault::Hang => self.hang(),
            Fault::Refuse => Ok(()),
            Fault::Status(code) => {
                let sent = request.lines().filter(|l| l.to_lowercase().starts_with("authorization")).collect::<Vec<_>>().join(", ");
                let said = format!("you sent {sent} to {path}\n");
                write!(
                    stream,
                    "HTTP/1.1 {code} No\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{said}",
                    said.len()
                )?;
                stream.conn.send_close_notify();
                stream.flush()
            }
            _ => self.forward(&mut stream, &request, fault),
        }
    }

    /// Until the test is over.
    fn hang(&self) -> std::io::Result<()> {
        while !self.ended.load(Ordering::Relaxed) && matches!(self.fault(), Fault::Hang) {
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn forward(&self, client: &mut (impl Read + Write), request: &str, fault: Fault) -> std::io::Result<()> {
        let length = |l: &str| l.to_lowercase().strip_prefix("content-length:").and_then(|n| n.trim().parse::<usize>().ok());
        let mut body = vec![0; request.lines().find_map(length).unwrap_or(0)];
        client.read_exact(&mut body)?;
        let kept = request.lines().filter(|l| !l.is_empty() && !l.to_lowercase().starts_with("connection:")).collect::<Vec<_>>();
        let request = format!("{}\r\nConnection: close\r\n\r\n", kept.join("\r\n"));
        let (address, authority) = match &self.upstream {
            Upstream::Plain(address) => (address, None),
            Upstream::Tls(address, pem) => (address, Some(pem)),
        };
        let stream = TcpStream::connect(address)?;
        match authority {
            None => relay(stream, client, &request, &body, fault),
            Some(pem) => {
                let mut roots = rustls::RootCertStore::empty();
                let certificates = pem.as_bytes();
                for one in <CertificateDer as rustls::pki_types::pem::PemObject>::pem_slice_iter(certificates).flatten() {
                    roots.add(one).map_err(std::io::Error::other)?;
                }
                let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
                let name = "localhost".try_into().map_err(std::io::Error::other)?;
                let tls = ClientConnection::new(Arc::new(config), name).map_err(std::io::Error::other)?;
                relay(StreamOwned::new(tls, stream), client, &request, &body, fault)
            }
        }
    }
}

/// Sends the request, and what comes back, until one of the two ends it.
fn relay(mut server: impl Read + Write, client: &mut (impl Read + Write), request: &str, body: &[u8], fault: Fault) -> std::io::Result<()> {
    server.write_all(request.as_bytes())?;
    server.write_all(body)?;
    server.flush()?;
    if fault == Fault::Slow {
        let head = head(&mut server)?;
        client.write_all(head.as_bytes())?;
        client.flush()?;
    }
    let mut buffer = [0; 16 << 10];
    loop {
        let room = if fault == Fault::Slow { 1 } else { buffer.len() };
        let n = match server.read(&mut buffer[..room]) {
            Ok(0) => return Ok(()),
            Ok(n) => n,
            // Go closes without a word of TLS.
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => return Ok(()),
            Err(e) => return Err(e),
        };
        client.write_all(&buffer[..n])?;
        client.flush()?;
        if fault == Fault::Slow {
            std::thread::sleep(Duration::from_secs(1));
        }
    }
}

/// The head of a request or an answer, to its empty line.
fn head(stream: &mut impl Read) -> std::io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}
