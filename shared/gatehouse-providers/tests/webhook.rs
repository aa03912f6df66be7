//! Posting to webhooks.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use gatehouse_domain::{
    catalog::DeployTarget,
    idempotency::Fingerprint,
    operations::{
        Asked, CallWebhook, Operation, OperationStatus, Signal, State, Webhook, WebhookError, Work,
    },
};
use gatehouse_outbound::OutboundHttp;
use gatehouse_providers::webhook::WebhookClient;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What the server does with a call that it got.
#[derive(Clone, Copy)]
enum Then {
    /// Answers this status.
    Answer(u16),
    /// Answers that the resource is elsewhere on this server.
    Redirect,
    /// Answers 200 and a body without an end.
    NeverStop,
    /// Says nothing.
    KeepSilent,
    /// Closes the connection.
    HangUp,
}

/// A server that remembers what it was sent.
struct Server {
    port: u16,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn that(then: Then) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = requests.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, then, seen.clone()));
            }
        });
        Self { port, requests }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/canary-hook", self.port)
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, then: Then, seen: Arc<Mutex<Vec<String>>>) {
    let request = read(&mut stream).await;
    seen.lock().unwrap().push(request);
    let head = match then {
        Then::Answer(status) => format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n"),
        Then::Redirect => "HTTP/1.1 307 X\r\nlocation: /else\r\ncontent-length: 0\r\n\r\n".to_owned(),
        Then::NeverStop => "HTTP/1.1 200 X\r\n\r\n".to_owned(),
        Then::KeepSilent => return std::future::pending().await,
        Then::HangUp => return,
    };
    stream.write_all(head.as_bytes()).await.unwrap();
    if matches!(then, Then::NeverStop) {
        while stream.write_all(&[b'x'; 8192]).await.is_ok() {}
    }
}

/// One request with its body.
async fn read(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return text;
            }
        }
        let read = stream.read(&mut piece).await.unwrap();
        assert_ne!(read, 0, "the request was cut off");
        request.extend_from_slice(&piece[..read]);
    }
}

/// The operation that is deployed.
const OPERATION: &str = "op_0deploy00000000000000000001";

fn operation() -> Operation {
    let at = Timestamp::from_second(1_790_000_000).unwrap();
    Operation {
        id: OPERATION.parse().unwrap(),
        service: "svc_1".parse().unwrap(),
        service_name: "shop".parse().unwrap(),
        tenant: "acme".parse().unwrap(),
        project: "webshop".parse().unwrap(),
        environment: "dev".parse().unwrap(),
        work: Work::Deploy { version: "1.2.3".to_owned(), target: DeployTarget::Webhook(String::new()) },
        approval_required: false,
        approval_group: None,
        fingerprint: Fingerprint::of(&["deploy"]),
        requested: Asked::by("user:ada", at),
        deadline: at + Duration::from_hours(8),
        state: State::Requested,
        cancel: None,
        verdict: None,
        attempt: None,
        known_drift: None,
        plan: None,
        outputs: [].into(),
        steps: Vec::new(),
        log: Vec::new(),
        links: Vec::new(),
        run: None,
        failure: None,
        unchanged: false,
        pending_signal: Some(Signal::Start),
        listed_as: Some(OperationStatus::Queued),
        updated_at: at,
        version: 1,
    }
}

fn call() -> CallWebhook {
    CallWebhook {
        operation: operation(),
        version: "1.2.3".to_owned(),
        attempt: 2,
        callback_token: "cb1.claims.mac".to_owned().into(),
    }
}

fn client(http: OutboundHttp) -> WebhookClient {
    gatehouse_testkit::log::watch();
    WebhookClient::new(http.client(None).unwrap(), "https://gatehouse.example/dev")
}

/// What comes of a call where this host may be called.
async fn post(url: &str) -> Result<(), WebhookError> {
    client(OutboundHttp::new().allow_loopback()).post(url, &call()).await
}

/// What comes of a call as it is made on Lambda.
async fn post_in_public(url: &str) -> Result<(), WebhookError> {
    client(OutboundHttp::new().public_only()).post(url, &call()).await
}

fn unavailable(answer: Result<(), WebhookError>) -> String {
    match answer {
        Err(WebhookError::Unavailable(why, _)) => why,
        other => panic!("{other:?}"),
    }
}

fn refused(answer: Result<(), WebhookError>) -> String {
    match answer {
        Err(WebhookError::Refused(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_webhook_gets_what_it_needs_to_deploy_and_to_report() {
    let server = Server::that(Then::Answer(202)).await;
    post(&server.url()).await.unwrap();
    let requests = server.requests();
    let (head, body) = requests[0].split_once("\r\n\r\n").unwrap();
    let expected = json!({
        "operation_id": OPERATION,
        "kind": "deploy",
        "service": "shop",
        "service_id": "svc_1",
        "tenant": "acme",
        "project": "webshop",
        "environment": "dev",
        "version": "1.2.3",
        "attempt": 2,
        "callback_url": "https://gatehouse.example/dev/services/deployments/callback",
        "callback_token": "cb1.claims.mac",
        "requested_by": "user:ada",
    });
    assert_eq!(serde_json::from_str::<Value>(body).unwrap(), expected);
    assert!(head.starts_with("POST /canary-hook HTTP/1.1\r\n"), "{head}");
    let key = format!("idempotency-key: {OPERATION}-2");
    for header in [key.as_str(), "user-agent: gatehouse", "content-type: application/json"] {
        assert!(head.lines().any(|line| line == header), "{header} is not in\n{head}");
    }
}

#[tokio::test]
async fn every_success_is_one() {
    for status in [200, 201, 202, 204, 299] {
        post(&Server::that(Then::Answer(status)).await.url()).await.unwrap();
    }
}

#[tokio::test]
async fn what_goes_by_is_told_from_what_does_not() {
    for status in [408, 425, 429, 500, 502, 503, 504, 599] {
        let why = unavailable(post(&Server::that(Then::Answer(status)).await.url()).await);
        assert!(why.starts_with(&format!("it answered {status}")), "{why}");
    }
    for status in [400, 401, 403, 404, 405, 409, 410, 422, 451] {
        let why = refused(post(&Server::that(Then::Answer(status)).await.url()).await);
        assert!(why.starts_with(&format!("it answered {status}")), "{why}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let server = Server::that(Then::Redirect).await;
    let why = refused(post(&server.url()).await);
    assert_eq!(why, "it answered 307 Temporary Redirect, and redirects are not followed");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn an_answer_without_end_is_not_read() {
    let server = Server::that(Then::NeverStop).await;
    post(&server.url()).await.unwrap();
}

#[tokio::test]
async fn who_does_not_answer_is_asked_again() {
    let silent = Server::that(Then::KeepSilent).await;
    let client = client(OutboundHttp::new().allow_loopback()).with_timeout(Duration::from_millis(200));
    assert_eq!(unavailable(client.post(&silent.url(), &call()).await), "it did not answer in time");
    let gone = Server::that(Then::HangUp).await;
    assert_eq!(unavailable(post(&gone.url()).await), "the connection broke");
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert_eq!(unavailable(post(&format!("http://{nobody}/")).await), "no connection could be made");
}

#[tokio::test]
async fn what_is_logged_of_a_lost_call_does_not_hold_the_url() {
    let silent = Server::that(Then::KeepSilent).await;
    let client = client(OutboundHttp::new().allow_loopback()).with_timeout(Duration::from_millis(200));
    let url = format!("{}?key=hush", silent.url());
    let Err(WebhookError::Unavailable(_, Some(cause))) = client.post(&url, &call()).await else {
        panic!("the silent server answered");
    };
    assert!(!format!("{cause:?}").contains("hush"), "{cause:?}");
}

#[tokio::test]
async fn a_url_that_cannot_be_called_is_refused() {
    for url in ["", "hook", "ftp://deploy.example/", "file:///etc/passwd", "http://", "http://a b/"] {
        assert_eq!(refused(post_in_public(url).await), "its URL cannot be used", "{url}");
    }
}

#[tokio::test]
async fn no_spelling_of_an_address_that_is_not_public_is_called() {
    let hosts = [
        "127.0.0.1",
        "127.0.0.1.",
        "127.1",
        "127.0.1",
        "127.255.255.254",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "017700000001",
        "%31%32%37.0.0.1",
        "127%2e0%2e0%2e1",
        "１２７.０.０.１",
        "127。0。0。1",
        "①②⑦.0.0.1",
        "0",
        "0.0.0.0",
        "10.0.0.1",
        "10.1",
        "0xa.1",
        "012.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.0.1",
        "192.168.1",
        "3232235777",
        "100.64.0.1",
        "100.127.255.254",
        "169.254.169.254",
        "169.254.100.1",
        "0xa9fea9fe",
        "2852039166",
        "192.0.0.192",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "[::]",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::ffff:10.0.0.1]",
        "[::ffff:a9fe:a9fe]",
        "[::127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[64:ff9b::a00:1]",
        "[64:ff9b::a9fe:a9fe]",
        "[64:ff9b:1::a00:1]",
        "[2002:7f00:1::]",
        "[2001::1]",
        "[fe80::1]",
        "[fc00::1]",
        "[fd00:ec2::254]",
        "[fec0::1]",
        "[ff02::1]",
        "localhost",
        "LOCALHOST",
        "user:password@localhost",
        "user@127.0.0.1",
    ];
    let server = Server::that(Then::Answer(200)).await;
    for host in hosts {
        let why = refused(post_in_public(&format!("http://{host}:{}/", server.port)).await);
        assert!(why.starts_with("its host has a"), "{host}: {why}");
        assert!(why.ends_with("which is not called"), "{host}: {why}");
    }
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn the_port_of_the_runtime_is_not_called() {
    let why = refused(post_in_public("https://deploy.example:9001/").await);
    assert_eq!(why, "port 9001 is not called");
}
