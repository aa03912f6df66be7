//! Who is answered at all.

use std::sync::atomic::Ordering;

use super::*;

/// Everything that answers without a credential, and what answers by itself.
const TARGETS: &[(Method, &str)] = &[
    (Method::POST, "/echo"),
    (Method::GET, "/whole/json"),
    (Method::GET, "/stream/lines"),
    (Method::GET, "/secret/a"),
    (Method::POST, "/2015-03-31/functions/sweeper/invocations"),
    (Method::GET, "/ping"),
    (Method::GET, "/sping"),
    (Method::OPTIONS, "/echo"),
    (Method::GET, "/nowhere"),
];

#[tokio::test]
async fn another_hosts_name_reaches_nothing() {
    let stack = Stack::start().await;
    for (method, target) in TARGETS {
        for host in
            ["evil.example", "evil.example:8080", "localhost.evil.example", "10.0.0.1", "127.0.0.1.nip.io"]
        {
            let request = Request::builder().method(method).uri(*target).header("host", host);
            let answer = stack.send(request, "{}").await;
            assert_eq!(
                (answer.status(), &answer.json()["status"]),
                (421, &421.into()),
                "{method} {target} as {host}"
            );
            assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        }
    }
    assert_eq!(stack.toys.authorizer_calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_page_of_another_site_reaches_nothing() {
    let stack = Stack::start().await;
    let from_elsewhere = [
        ("origin", "https://evil.example"),
        ("origin", "http://localhost.evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ];
    for (method, target) in TARGETS {
        for (name, value) in from_elsewhere {
            let request = Request::builder().method(method).uri(*target).header(name, value);
            let answer = stack.send(request, "{}").await;
            assert_eq!(
                (answer.status(), &answer.json()["status"]),
                (403, &403.into()),
                "{method} {target} from {value}"
            );
            assert_eq!(answer.header("access-control-allow-origin"), None);
        }
    }
    assert_eq!(stack.toys.authorizer_calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn its_own_pages_and_names_reach_everything() {
    let stack = Stack::start().await;
    for host in
        ["localhost", "localhost:8080", "127.0.0.1:9", "[::1]:3000", "gate.localhost", "api.example.com"]
    {
        let own = Request::post("/echo")
            .header("host", host)
            .header("origin", format!("http://{host}"))
            .header("sec-fetch-site", "same-origin");
        assert_eq!(stack.send(own, "{}").await.status(), 200, "{host}");
    }
}

#[tokio::test]
async fn what_everybody_knows_opens_nothing() {
    let stack = Stack::start().await;
    for credential in ["Bearer known-key", "bearer  known-key", "known-key", "Bearer x, Bearer known-key"] {
        let request = Request::post("/echo").header("authorization", credential);
        assert_eq!(stack.send(request, "{}").await.status(), 401, "{credential}");
    }
    for body in
        [r#"{"username":"admin","password":"known-word"}"#, r#"{"password":"known\u002dword","more":[{}]}"#]
    {
        assert_eq!(stack.send(Request::post("/echo"), body).await.status(), 401, "{body}");
    }
    for body in [r#"{"password":"known-words"}"#, r#"{"word":"known-word"}"#, "known-word"] {
        assert_eq!(stack.send(Request::post("/echo"), body).await.status(), 200, "{body}");
    }
    let here = Request::post("/echo").header("host", "localhost").header("authorization", "Bearer known-key");
    let here = here.body(Full::new(Bytes::new())).unwrap();
    let answer = stack.gateway.answer(here, [127, 0, 0, 1].into()).await;
    assert_eq!(answer.status(), 200, "what this process itself asks for");
}
