//! What lies at a signed address of an object store. Who has the address can read what is there: it is told to nobody.

use crate::client::{BudgetConfig, ClientError, ExecPool, ReadClient, Target};
use flate2::read::MultiGzDecoder;
use http::Uri;
use kube::config::{AuthInfo, Cluster};
use std::io::Read as _;
use std::time::Duration;

/// As much as is unpacked, in bytes.
const MOST: u64 = 256 << 20;
/// All of it is there within this: who sends a byte now and then is not waited for.
const WITHIN: Duration = Duration::from_secs(60);

/// Fetches it, and unpacks it where it is gzip. `authority`: base64 of the PEM of who signed the store's certificate; none: the system's.
///
/// # Errors
/// In words that have nothing of the address but the host, and nothing of what the store says, which may quote it.
pub async fn download(address: &str, authority: Option<&str>) -> Result<Vec<u8>, String> {
    let uri: Uri = address.parse().map_err(|_| "the address is none".to_owned())?;
    let (Some(scheme), Some(host), Some(path)) = (uri.scheme_str(), uri.authority(), uri.path_and_query()) else {
        return Err("the address is none".to_owned());
    };
    let server = format!("{scheme}://{}", host.as_str().rsplit('@').next().unwrap_or_default());
    let cluster = Cluster { server: Some(server.clone()), certificate_authority_data: authority.map(str::to_owned), ..Cluster::default() };
    let said = |e: ClientError| match &e {
        ClientError::Unreachable { .. } | ClientError::Timeout { .. } | ClientError::Config { .. } => format!("{server}: {}", e.reason()),
        ClientError::Server { code, .. } => format!("{server}: HTTP {code}"),
        other => format!("{server}: {}", other.kind().replace('_', " ")),
    };
    let target = Target::direct(&server, cluster, AuthInfo::default());
    let client = ReadClient::connect(&target, &ExecPool::default(), BudgetConfig::default()).await.map_err(said)?;
    let answer = tokio::time::timeout(WITHIN, client.get_bytes(path.as_str(), "*/*")).await;
    let answer = answer.map_err(|_| format!("{server}: not all of it came within {} s", WITHIN.as_secs()))?.map_err(said)?;
    let packed = answer.bytes;
    if !packed.starts_with(&[0x1f, 0x8b]) {
        return Ok(packed.to_vec());
    }
    let unpack = move || {
        let mut text = Vec::new();
        MultiGzDecoder::new(&packed[..]).take(MOST).read_to_end(&mut text).map(|_| text)
    };
    let unpacked = tokio::task::spawn_blocking(unpack).await.map_err(|_| "it cannot be unpacked".to_owned())?;
    unpacked.map_err(|e| format!("it cannot be unpacked: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::fake::{Server, reply};
    use crate::client::install_crypto_provider;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write as _;

    #[tokio::test]
    async fn it_is_unpacked_and_the_address_is_sent_as_it_is() {
        install_crypto_provider();
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(b"a log").unwrap();
        let packed = packed.finish().unwrap();
        let server = Server::start(move |_| reply(200, packed.clone())).await;
        let path = "/velero/backups/b/b-logs.gz?X-Amz-Signature=ab%2Fcd&X-Amz-Expires=600";
        assert_eq!(download(&format!("{}{path}", server.url()), None).await.unwrap(), b"a log");
        let seen = server.seen.lock().unwrap()[0].uri().to_string();
        assert_eq!(seen, path);
        assert_eq!(server.header(0, "authorization"), None, "the cluster's credential is not the store's");
    }

    #[tokio::test]
    async fn what_is_secret_of_the_address_is_in_no_error() {
        install_crypto_provider();
        let server = Server::start(|_| reply(403, "<Error><SignatureProvided>canary</SignatureProvided></Error>")).await;
        let refused = download(&format!("{}/b?X-Amz-Signature=canary", server.url()), None).await.unwrap_err();
        assert!(!refused.contains("canary") && refused.contains("forbidden"), "{refused}");
        let down = download("http://127.0.0.1:1/b?X-Amz-Signature=canary", None).await.unwrap_err();
        assert!(!down.contains("canary") && down.contains("127.0.0.1:1"), "{down}");
        assert!(!download("canary", None).await.unwrap_err().contains("canary"));
    }
}
