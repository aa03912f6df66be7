//! A server for tests that keeps the requests it gets and gives the answers it was given.

use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::config::{Credentials, Region, SharedCredentialsProvider};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::aws::Aws;

#[derive(Debug, Clone)]
pub struct Request {
    /// Its line and its headers.
    pub head: String,
    pub body: String,
}

impl Request {
    /// Whether it has this header.
    pub fn has(&self, header: &str) -> bool {
        self.head.lines().any(|line| line.eq_ignore_ascii_case(header))
    }

    /// Whether it has a signature of Version 4 for this service.
    pub fn is_signed_for(&self, service: &str) -> bool {
        let scope = format!("/us-east-1/{service}/aws4_request, SignedHeaders=");
        let begins = "authorization: AWS4-HMAC-SHA256 Credential=";
        self.head.lines().any(|line| {
            line.contains(&scope)
                && line.contains(", Signature=")
                && line.get(..begins.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(begins))
        })
    }
}

pub struct Canned {
    endpoint: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Canned {
    /// Starts one that gives these answers, each a status and a body, one after the other.
    pub async fn start(answers: impl IntoIterator<Item = (u16, String)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::<Mutex<Vec<Request>>>::default();
        let kept = requests.clone();
        let answers: Vec<_> = answers.into_iter().collect();
        tokio::spawn(async move {
            for (status, body) in answers {
                let (mut socket, _) = listener.accept().await.unwrap();
                let request = read(&mut socket).await;
                kept.lock().unwrap().push(request);
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
                );
                socket.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        Self { endpoint, requests }
    }

    /// What it was asked.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

async fn read(socket: &mut TcpStream) -> Request {
    let mut text = String::new();
    loop {
        if let Some((head, body)) = text.split_once("\r\n\r\n")
            && body.len() >= length(head)
        {
            return Request { head: format!("{head}\r\n"), body: body.to_owned() };
        }
        let mut bytes = [0; 4096];
        let read = socket.read(&mut bytes).await.unwrap();
        assert!(read > 0, "the request ends early: {text}");
        text.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
    }
}

fn length(head: &str) -> usize {
    let mut lengths = head.lines().filter_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length").then(|| value.parse().unwrap())
    });
    lengths.next().unwrap_or(0)
}

/// AWS, where this server plays it.
pub fn aws(server: &Canned) -> Aws {
    let credentials = Credentials::new("AKIDTEST", "secret", None, None, "test");
    let region = Some(Region::from_static("us-east-1"));
    let endpoint = Some(server.endpoint.clone());
    Aws::new(region, SharedCredentialsProvider::new(credentials), endpoint).unwrap()
}
