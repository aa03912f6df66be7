//! Every request of `docs/MIGRATING.md` is answered as that page says.
//!
//! A block marked `http` is a request line, headers, a body where it does not begin with a header, and a line that begins
//! with `=>`: the status and, in backticks, pieces of the answer. `{shop}` is the id of the service of that name, and
//! `{etag}` the last `ETag` that was told.

use std::collections::BTreeSet;

use crate::support::{Call, Client, TestStack, client::Caller};

const PAGE: &str = include_str!("../../../../docs/MIGRATING.md");

/// The key that the example comes with.
struct DevKey;

impl Caller for DevKey {
    fn credential(&self) -> Option<String> {
        Some("dev-key-12345".to_owned())
    }
}

struct Example<'a> {
    method: &'a str,
    path: &'a str,
    headers: Vec<(&'a str, &'a str)>,
    body: String,
    status: u16,
    pieces: Vec<&'a str>,
}

fn examples() -> Vec<Example<'static>> {
    let blocks = PAGE.split("```http\n").skip(1).map(|rest| rest.split("```").next().expect("a block"));
    blocks.map(|block| example(block).unwrap_or_else(|| panic!("no example: {block}"))).collect()
}

fn example(block: &'static str) -> Option<Example<'static>> {
    let (request, answer) = block.split_once("=> ")?;
    let (line, mut rest) = request.split_once('\n')?;
    let (method, path) = line.split_once(' ')?;
    let mut headers = Vec::new();
    while let Some((line, after)) = rest.split_once('\n')
        && let Some((name, value)) = line.split_once(": ")
        && name.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-')
    {
        headers.push((name, value));
        rest = after;
    }
    let (status, pieces) = answer.trim().split_once(' ').unwrap_or((answer.trim(), ""));
    let pieces = pieces.split('`').skip(1).step_by(2).collect();
    Some(Example {
        method,
        path,
        headers,
        body: rest.trim().to_owned(),
        status: status.parse().ok()?,
        pieces,
    })
}

/// A text with the ids of the services that it names.
async fn filled_in(dev: &Client, text: &str, etag: &str) -> String {
    let mut text = text.replace("{etag}", etag);
    for service in dev.all("/services", "services").await {
        let (name, id) = (service["name"].as_str().expect("a name"), service["id"].as_str().expect("an id"));
        text = text.replace(&format!("{{{name}}}"), id);
    }
    text
}

#[tokio::test]
async fn every_request_of_the_page_is_answered_as_it_says() {
    let stack = TestStack::start_example().await;
    let dev = stack.client(&DevKey);
    let mut etag = String::new();
    for example in examples() {
        let path = filled_in(&dev, example.path, &etag).await;
        let mut call = Call::new(example.method.parse().expect("a method"), path);
        let typed = example.headers.iter().any(|(name, _)| *name == "Content-Type");
        for (name, value) in &example.headers {
            let name: &'static str = name.to_ascii_lowercase().leak();
            call = call.header(name, filled_in(&dev, value, &etag).await);
        }
        if !example.body.is_empty() {
            let body = filled_in(&dev, &example.body, &etag).await;
            call = if typed { call.raw_body(body) } else { call.body("application/json", body) };
        }
        let answer = dev.send(call).await;
        let (told, text) = (format!("{} {}", example.method, example.path), answer.text());
        assert_eq!(answer.status, example.status, "{told}: {text}");
        for piece in &example.pieces {
            assert!(text.contains(piece), "{told} says {piece}: {text}");
        }
        let of_problem = serde_json::from_str(&text)
            .ok()
            .and_then(|body: serde_json::Value| body["etag"].as_str().map(str::to_owned));
        etag = answer.header("etag").map(str::to_owned).or(of_problem).unwrap_or(etag);
    }
    stack.stop().await;
}

#[test]
fn the_page_names_no_old_system_without_an_example_or_a_word_of_what_is_not_there() {
    let sections: Vec<_> = PAGE.split("\n## ").skip(1).collect();
    assert_eq!(sections.len(), 5, "one for each system");
    for section in sections {
        assert!(section.contains("```http") || section.contains("not there yet"), "{section}");
    }
    let paths: BTreeSet<_> = examples().iter().map(|example| example.path).collect();
    assert!(paths.len() > 10, "{paths:?}");
}
