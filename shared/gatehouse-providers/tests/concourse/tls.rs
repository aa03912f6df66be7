//! Whom a Concourse behind TLS is believed to be.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    sync::Arc,
    thread,
};

use data_encoding::BASE64;
use gatehouse_domain::ci::CiProvider;
use gatehouse_testkit::concourse::Script;
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject},
};

use crate::support::{Bench, concourse};

/// For 127.0.0.1, signed by itself; good until 2124.
const CERTIFICATE: &str = "\
-----BEGIN CERTIFICATE-----
MIIBcTCCARegAwIBAgIBATAKBggqhkjOPQQDAjAgMR4wHAYDVQQDDBVHYXRlaG91
c2UgdGVzdCBzZXJ2ZXIwIBcNMjQwMTAxMDAwMDAwWhgPMjEyNDAxMDEwMDAwMDBa
MCAxHjAcBgNVBAMMFUdhdGVob3VzZSB0ZXN0IHNlcnZlcjBZMBMGByqGSM49AgEG
CCqGSM49AwEHA0IABDlz9UyXth/cMqro/yzZgYxgutpjbsFFIEFVizCEwIQnrmEe
g+8EwqwvQ5U2Vc8eql5cySghTolZL0aTLPJv5/CjQDA+MA8GA1UdEQQIMAaHBH8A
AAEwDAYDVR0TAQH/BAIwADAdBgNVHQ4EFgQUuF1mUilXWEhyi7KR6n781MwIGmUw
CgYIKoZIzj0EAwIDSAAwRQIgMywONaTq/mAJY+JiIYFv37+zzHSJqEaRWfiKLccK
QOQCIQCA3vBf0OMP86DstClr/STGV0ZkhnUB/RnHu/kRnaW7Og==
-----END CERTIFICATE-----
";

/// Its key, PKCS #8. It protects nothing.
const KEY: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgQAXY0baINSxlJs1EbfS0C1teIBPO0+8egBH5x8AdL3qh\
                   RANCAAQ5c/VMl7Yf3DKq6P8s2YGMYLraY27BRSBBVYswhMCEJ65hHoPvBMKsL0OVNlXPHqpeXMkoIU6JWS9Gkyzyb+fw";

fn server_config() -> Arc<ServerConfig> {
    let certificate = CertificateDer::from_pem_slice(CERTIFICATE.as_bytes()).unwrap();
    let key = PrivatePkcs8KeyDer::from(BASE64.decode(KEY.as_bytes()).unwrap());
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    Arc::new(builder.with_single_cert(vec![certificate], PrivateKeyDer::Pkcs8(key)).unwrap())
}

/// Answers every request as a Concourse says which one it is. Returns its URL.
fn serve() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let config = server_config();
    thread::spawn(move || {
        for connection in listener.incoming() {
            let session = ServerConnection::new(config.clone()).unwrap();
            // A client that does not trust us leaves in the middle.
            let _ = answer(StreamOwned::new(session, connection.unwrap()));
        }
    });
    format!("https://{address}")
}

fn answer(stream: StreamOwned<ServerConnection, std::net::TcpStream>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while stream.read_line(&mut line)? > 2 {
        line.clear();
    }
    let body = r#"{"version":"8.3.0"}"#;
    let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.get_mut().write_all(format!("{head}{body}").as_bytes())
}

#[tokio::test]
async fn a_private_authority_is_trusted_when_it_is_registered() {
    let mut bench = Bench::new(concourse(Script::quick())).await;
    bench.settings.url = Some(serve());
    let report = bench.provider().check(&[]).await.unwrap();
    assert_eq!(report.version, None);
    let problem = report.problems[0].replace(bench.settings.url.as_deref().unwrap(), "URL");
    insta::assert_snapshot!(problem, @"Concourse at URL cannot be reached: its certificate is not trusted (UnknownIssuer); if a private authority signed it, register the provider with that authority's certificate in `ca_certificate`");

    bench.settings.ca_certificate = Some(CERTIFICATE.to_owned());
    assert_eq!(bench.provider().check(&[]).await.unwrap().version.as_deref(), Some("8.3.0"));
}
