//! A proxy of TCP connections that hands on every piece late. It ends with the test.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// How often a thread looks whether it is to end.
const LOOK: Duration = Duration::from_millis(100);

pub struct SlowProxy {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    upstream: SocketAddr,
    /// Milliseconds.
    late: AtomicU64,
    ended: AtomicBool,
}

impl SlowProxy {
    /// Listens on loopback; each piece of either side is handed on after so long.
    pub fn new(upstream: SocketAddr, late: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let shared = Arc::new(Shared { upstream, late: AtomicU64::default(), ended: AtomicBool::default() });
        let proxy = Self { address: listener.local_addr().unwrap(), shared: shared.clone() };
        proxy.set(late);
        std::thread::spawn(move || {
            while !shared.ended() {
                match listener.accept() {
                    // What breaks is the client's to notice.
                    Ok((client, _)) => drop(shared.serve(client)),
                    Err(_) => std::thread::sleep(Duration::from_millis(10)),
                }
            }
        });
        proxy
    }

    /// From now on, of open connections too.
    pub fn set(&self, late: Duration) {
        self.shared.late.store(late.as_millis().try_into().unwrap(), Ordering::Relaxed);
    }
}

impl Drop for SlowProxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    fn ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    fn serve(self: &Arc<Self>, client: TcpStream) -> std::io::Result<()> {
        client.set_nonblocking(false)?;
        let server = TcpStream::connect(self.upstream)?;
        for (from, to) in [(client.try_clone()?, server.try_clone()?), (server, client)] {
            from.set_read_timeout(Some(LOOK))?;
            let own = self.clone();
            std::thread::spawn(move || own.hand_on(from, to));
        }
        Ok(())
    }

    fn hand_on(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut buffer = [0; 16 << 10];
        while !self.ended() {
            let n = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => n,
                Err(e) if matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => continue,
                Err(_) => break,
            };
            std::thread::sleep(Duration::from_millis(self.late.load(Ordering::Relaxed)));
            if to.write_all(&buffer[..n]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    }
}
