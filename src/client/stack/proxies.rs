//! Requests through proxies on loopback, end to end. The proxies look names up themselves: what they are asked for does not exist.

use super::super::{
    BudgetConfig, ExecPool, ReadClient,
    fake::{Server, connect_in, reply, target_in, tls},
    install_crypto_provider,
};
use super::*;
use std::{
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
};

/// A proxy before one server.
struct Proxy {
    address: SocketAddr,
    /// Where it was asked to connect to.
    asked: Arc<Mutex<Vec<String>>>,
}

#[derive(Clone, Copy)]
enum Speaks {
    Http,
    Socks,
}

impl Proxy {
    /// `me:p@w` is asked for if `guarded`; with `secure` it speaks TLS itself.
    async fn start(speaks: Speaks, guarded: bool, secure: Option<rustls::ServerConfig>, to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, asked) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<String>>>::default());
        let (heard, secure) = (asked.clone(), secure.map(|config| tokio_rustls::TlsAcceptor::from(Arc::new(config))));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (heard, secure) = (heard.clone(), secure.clone());
                tokio::spawn(async move {
                    match secure {
                        Some(tls) => serve(tls.accept(stream).await?, speaks, guarded, &heard, to).await,
                        None => serve(stream, speaks, guarded, &heard, to).await,
                    }
                });
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

async fn serve<S>(mut stream: S, speaks: Speaks, guarded: bool, asked: &Mutex<Vec<String>>, to: SocketAddr) -> std::io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let target = match speaks {
        Speaks::Http => http(&mut stream, guarded).await?,
        Speaks::Socks => socks(&mut stream, guarded).await?,
    };
    let Some(target) = target else { return stream.shutdown().await };
    asked.lock().unwrap().push(target);
    let mut onward = TcpStream::connect(to).await?;
    copy_bidirectional(&mut stream, &mut onward).await.map(drop)
}

async fn http<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, guarded: bool) -> std::io::Result<Option<String>> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        head.push(char::from(stream.read_u8().await?));
    }
    // me:p@w
    if guarded && !head.to_lowercase().contains(&"proxy-authorization: Basic bWU6cEB3".to_lowercase()) {
        stream.write_all(b"HTTP/1.1 407 No\r\n\r\n").await?;
        return Ok(None);
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    let mut words = head.split(' ');
    assert_eq!(words.next(), Some("CONNECT"));
    Ok(words.next().map(str::to_owned))
}

/// RFC 1928, and RFC 1929 for the password.
async fn socks<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, guarded: bool) -> std::io::Result<Option<String>> {
    let bytes = async |stream: &mut S, count: u8| {
        let mut bytes = vec![0; usize::from(count)];
        stream.read_exact(&mut bytes).await.map(|_| bytes)
    };
    assert_eq!(stream.read_u8().await?, 5);
    let count = stream.read_u8().await?;
    let methods = bytes(stream, count).await?;
    let method = if guarded { 2 } else { 0 };
    if !methods.contains(&method) {
        stream.write_all(&[5, 0xff]).await?;
        return Ok(None);
    }
    stream.write_all(&[5, method]).await?;
    if guarded {
        assert_eq!(stream.read_u8().await?, 1);
        let mut said = Vec::new();
        for _ in 0..2 {
            let count = stream.read_u8().await?;
            said.push(String::from_utf8(bytes(stream, count).await?).unwrap());
        }
        let known = said == ["me", "p@w"];
        stream.write_all(&[1, u8::from(!known)]).await?;
        if !known {
            return Ok(None);
        }
    }
    let request = bytes(stream, 4).await?;
    assert_eq!(request[..3], [5, 1, 0]);
    let host = match request[3] {
        1 => {
            let address = bytes(stream, 4).await?;
            std::net::Ipv4Addr::new(address[0], address[1], address[2], address[3]).to_string()
        }
        3 => {
            let count = stream.read_u8().await?;
            String::from_utf8(bytes(stream, count).await?).unwrap()
        }
        other => panic!("address type {other}"),
    };
    let port = stream.read_u16().await?;
    stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    Ok(Some(format!("{host}:{port}")))
}

/// An API server of this name over TLS; its certificate is in the file `ca` there.
async fn secure(dir: &Path, name: &str) -> Server {
    let (pem, config) = tls(rcgen::CertificateParams::new([name.to_owned()]).unwrap());
    std::fs::write(dir.join("ca"), pem).unwrap();
    Server::start_tls(config, |_| reply(200, "{}")).await
}

async fn through(dir: &Path, server: &str, proxy: &str) -> Result<(), ClientError> {
    let cluster = format!("server: '{server}', certificate-authority: ca, proxy-url: '{proxy}'");
    connect_in(dir, &cluster, "").await.unwrap().get_json("/").await.map(drop)
}

#[tokio::test]
async fn an_http_proxy_is_gone_through_and_its_refusal_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let server = secure(dir.path(), "kube.example").await;
    let proxy = Proxy::start(Speaks::Http, true, None, server.address).await;
    let ask = async |proxy: String| through(dir.path(), "https://kube.example:6443", &proxy).await;
    ask(format!("http://me:p%40w@{}", proxy.address)).await.unwrap();
    assert_eq!((proxy.asked(), server.count()), (vec!["kube.example:6443".to_owned()], 1));
    let error = ask(format!("http://{}", proxy.address)).await.unwrap_err();
    assert_eq!(error.reason(), "proxy: proxy authorization required");
    let error = ask("http://127.0.0.1:1".to_owned()).await.unwrap_err();
    assert_eq!(error.reason(), "proxy: connection refused");
}

#[tokio::test]
async fn a_proxy_that_speaks_tls_is_gone_through_with_the_clusters_roots() {
    let dir = tempfile::tempdir().unwrap();
    let server = secure(dir.path(), "kube.example").await;
    let (pem, config) = tls(rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap());
    let proxy = Proxy::start(Speaks::Http, true, Some(config), server.address).await;
    let url = format!("https://me:p%40w@localhost:{}", proxy.address.port());
    let ask = async || through(dir.path(), "https://kube.example", &url).await;
    let error = ask().await.unwrap_err();
    assert_eq!(error.reason(), "proxy: certificate signed by unknown au…");
    let ca = std::fs::read_to_string(dir.path().join("ca")).unwrap();
    std::fs::write(dir.path().join("ca"), ca + &pem).unwrap();
    ask().await.unwrap();
    assert_eq!((proxy.asked(), server.count()), (vec!["kube.example:443".to_owned()], 1));
}

#[tokio::test]
async fn a_socks_proxy_is_gone_through_and_looks_the_name_up() {
    let dir = tempfile::tempdir().unwrap();
    let server = secure(dir.path(), "kube.example").await;
    let open = Proxy::start(Speaks::Socks, false, None, server.address).await;
    let guarded = Proxy::start(Speaks::Socks, true, None, server.address).await;
    let ask = async |proxy: String| through(dir.path(), "https://kube.example:6443", &proxy).await;
    ask(format!("socks5://{}", open.address)).await.unwrap();
    ask(format!("socks5h://{}", open.address)).await.unwrap();
    assert_eq!(open.asked(), ["kube.example:6443", "kube.example:6443"]);
    ask(format!("socks5://me:p%40w@{}", guarded.address)).await.unwrap();
    assert_eq!((guarded.asked().len(), server.count()), (1, 3));
    for wrong in [format!("socks5://{}", guarded.address), format!("socks5://me:no@{}", guarded.address)] {
        let error = ask(wrong).await.unwrap_err();
        assert!(error.reason().starts_with("proxy: ") && error.kind() == "unreachable", "{error}");
    }
    let error = ask("socks5://127.0.0.1:1".to_owned()).await.unwrap_err();
    assert_eq!(error.reason(), "proxy: cannot connect");
    assert_eq!(server.count(), 3);
}

#[tokio::test]
async fn the_environments_proxies_count_but_for_what_they_except() {
    install_crypto_provider();
    let dir = tempfile::tempdir().unwrap();
    let server = secure(dir.path(), "kube.example").await;
    let proxy = Proxy::start(Speaks::Http, false, None, server.address).await;
    let ask = async |server: &str, env: &[(&str, String)]| {
        let env = |name: &str| env.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into());
        let cluster = format!("server: '{server}', certificate-authority: ca, tls-server-name: kube.example");
        let target = target_in(dir.path(), &cluster, "", &env);
        let client = ReadClient::connect(&target, &ExecPool::default(), BudgetConfig::default()).await.unwrap();
        client.get_json("/").await.unwrap();
        proxy.asked()
    };
    let url = format!("http://{}", proxy.address);
    let set = |name: &'static str| (name, url.clone());
    assert_eq!(ask("https://kube.example:6443", &[set("HTTPS_PROXY")]).await, ["kube.example:6443"]);
    assert_eq!(ask("https://kube.example:6443", &[set("https_proxy")]).await, ["kube.example:6443"]);
    // The machine itself under an address that is not a loopback one.
    let here = format!("https://0.0.0.0:{}", server.address.port());
    assert_eq!(ask(&here, &[set("HTTPS_PROXY")]).await.len(), 1);
    assert_eq!(ask(&here, &[set("HTTP_PROXY")]).await.len(), 0, "which is for http");
    assert_eq!(ask(&here, &[set("HTTPS_PROXY"), ("NO_PROXY", "x.example,0.0.0.0/8".to_owned())]).await.len(), 0);
    assert_eq!(ask(&format!("https://{}", server.address), &[set("HTTPS_PROXY")]).await.len(), 0, "the local host");
    assert_eq!(server.count(), 6);
}
