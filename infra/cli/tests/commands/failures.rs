use clap::{CommandFactory, Parser};
use gatehouse_cli::{EXIT_CODES, Exit};
use serde_json::json;

use crate::support::{Line, Person, Reply, Server, TOKEN};

#[test]
fn the_command_line_is_consistent() {
    Line::command().debug_assert();
}

#[test]
fn wrong_usage_is_its_own_exit_code() {
    let cases: &[&[&str]] = &[
        &["tokens", "mint", "--project", "web"],
        &["tokens", "list", "--state", "dead"],
        &["keys", "mint", "--name", "x", "--scopes", "*", "--tenants", "a,*"],
        &["users", "roles", "ada", "admin"],
        &["runs", "trigger", "hello", "-p", "who"],
        &["audit", "list", "--tenant", "acme", "--actor", "ada"],
        &["audit", "list", "--limit", "0"],
        &["providers", "share", "ci"],
        &["providers", "share", "ci", "--open-to-all", "--closed"],
        &["providers", "share", "ci", "--closed", "--scopes", "acme=main"],
        &["providers", "share", "ci", "--scopes", "acme"],
        &["providers", "share", "ci", "--scopes", "acme="],
        &["providers", "share", "ci", "--scopes", "=main"],
        &["tenants", "put", "acme", "--default-project", "web", "--no-default-project"],
        &["tenants", "put", "acme", "--require-second-factor"],
    ];
    for case in cases {
        let error = Line::try_parse_from(["gatehouse"].iter().chain(*case)).unwrap_err();
        assert_eq!(error.exit_code(), i32::from(Exit::Usage.code()), "{case:?}");
    }
}

#[test]
fn every_command_explains_its_exit_codes() {
    for command in Line::command().get_subcommands_mut() {
        let help = command.render_long_help().to_string();
        assert!(help.contains("Exit codes:"), "{}", command.get_name());
    }
}

#[test]
fn the_documentation_has_an_example_of_every_command_and_all_exit_codes() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/CLI.md");
    let documented = std::fs::read_to_string(path).unwrap();
    for group in Line::command().get_subcommands() {
        let leaves: Vec<_> = group.get_subcommands().map(|leaf| format!(" {}", leaf.get_name())).collect();
        let leaves = if leaves.is_empty() { vec![String::new()] } else { leaves };
        for leaf in leaves {
            let example = format!("gatehouse {}{leaf}", group.get_name());
            assert!(documented.contains(&example), "docs/CLI.md has no example of {example}");
        }
    }
    for line in EXIT_CODES.lines().skip(1) {
        let code = line.split_whitespace().next().unwrap();
        assert!(documented.contains(&format!("\n| {code} | ")), "docs/CLI.md lacks exit code {code}");
    }
}

#[tokio::test]
async fn each_kind_of_refusal_has_its_exit_code() {
    let cases = [
        (400, Exit::Refused),
        (401, Exit::NotAllowed),
        (403, Exit::NotAllowed),
        (404, Exit::Refused),
        (409, Exit::Refused),
        (422, Exit::Refused),
        (429, Exit::Refused),
        (500, Exit::Unavailable),
        (503, Exit::Unavailable),
    ];
    for (status, exit) in cases {
        let server = Server::start().await;
        server.on("GET /v1/tokens/tok_1", Reply::problem(status, "some", "Something", &json!({})));
        let ran = Person::with_token(&server).run(&["tokens", "show", "tok_1"]).await;
        assert_eq!(ran.exit, exit, "{status}");
        ran.never_says(&[TOKEN]);
    }
}

#[tokio::test]
async fn a_problem_is_told_with_every_field_and_what_to_quote() {
    let server = Server::start().await;
    let errors = json!({ "errors": [
        { "pointer": "/project", "detail": "is no name" }, { "pointer": "/service", "detail": "is too long" },
    ] });
    server.on("POST /v1/tokens", Reply::problem(422, "validation-failed", "Validation failed", &errors));
    let mint = ["tokens", "mint", "--project", "A", "--service", "b"];
    let ran = Person::with_token(&server).run(&mint).await;
    assert_eq!(ran.stdout, "");
    assert_eq!(
        ran.stderr,
        "gatehouse: Validation failed (422)\n  About validation-failed.\n  /project: is no name\n  \
         /service: is too long\n  request_id: req-1\n"
    );
}

#[tokio::test]
async fn machines_get_the_problem_as_it_came() {
    let server = Server::start().await;
    server.on("GET /v1/tokens/tok_1", Reply::problem(404, "not-found", "Not found", &json!({ "more": 1 })));
    let ran = Person::with_token(&server).run(&["tokens", "show", "tok_1", "--json"]).await;
    assert_eq!(ran.exit, Exit::Refused);
    assert_eq!((&ran.json()["type"], &ran.json()["more"]), (&json!("/problems/not-found"), &json!(1)));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_and_no_secret_is() {
    let server = Server::start().await;
    let mut ada = Person::with_token(&server);
    ada.environment.url = Some("http://127.0.0.1:1".to_owned());
    let ran = ada.run(&["whoami"]).await;
    assert_eq!(ran.exit, Exit::Unavailable);
    assert!(ran.stderr.starts_with("gatehouse: http://127.0.0.1:1 cannot be reached: "), "{ran:?}");
    ran.never_says(&[TOKEN]);
}

#[tokio::test]
async fn answers_that_no_gatehouse_gives_are_failures() {
    let server = Server::start().await;
    server.on("GET /auth/me", Reply::stream(&["<html>hello</html>"]));
    server.on("GET /v1/users", Reply::stream(&["<html>bad gateway</html>"]).status(502));
    let ada = Person::with_token(&server);
    assert_eq!(ada.run(&["whoami"]).await.exit, Exit::Unavailable);
    let ran = ada.run(&["users", "list"]).await;
    assert_eq!((ran.exit, ran.stderr.as_str()), (Exit::Unavailable, "gatehouse: Bad Gateway (502)\n"));
}

#[tokio::test]
async fn a_token_that_cannot_be_a_header_is_never_printed() {
    let server = Server::start().await;
    let mut ada = Person::with_token(&server);
    ada.environment.token = Some("gh_canary\nX-Evil: 1".into());
    let ran = ada.run(&["whoami"]).await;
    assert_eq!(ran.exit, Exit::Unavailable);
    ran.never_says(&["canary"]);
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn urls_that_hold_secrets_or_make_no_sense_are_refused() {
    let server = Server::start().await;
    for url in ["https://ada:canary@gate.example.com", "gate.example.com", "ftp://gate.example.com"] {
        let ran = Person::with_token(&server).run(&["whoami", "--url", url]).await;
        assert_eq!(ran.exit, Exit::Usage, "{url}");
        ran.never_says(&["canary"]);
    }
}

#[tokio::test]
async fn what_is_sent_in_clear_to_another_machine_is_warned_of() {
    let server = Server::start().await;
    let ada = Person::at(&server);
    let ran = ada.run(&["whoami", "--url", "http://gate.example.com"]).await;
    assert!(ran.stderr.starts_with("warning: http://gate.example.com is not encrypted"), "{ran:?}");
    let ran = ada.run(&["whoami"]).await;
    assert!(!ran.stderr.contains("warning"), "{ran:?}");
}

#[tokio::test]
async fn ids_never_lead_to_another_path() {
    let server = Server::start().await;
    let ada = Person::with_token(&server);
    assert_eq!(ada.run(&["users", "show", ".."]).await.exit, Exit::Usage);
    ada.run(&["users", "show", "../api-keys?x=1#y"]).await;
    assert_eq!(server.lines(), ["GET /v1/users/..%2Fapi-keys%3Fx=1%23y"]);
}

#[tokio::test]
async fn a_stage_in_the_url_stands_before_every_path() {
    let server = Server::start().await;
    server.on("GET /prod/auth/me", Reply::ok(&json!({})));
    let url = format!("{}/prod/", server.url);
    Person::with_token(&server).run(&["whoami", "--url", &url]).await.done();
    assert_eq!(server.lines(), ["GET /prod/auth/me"]);
}

#[tokio::test]
async fn colours_are_for_terminals_whose_owners_want_them() {
    let server = Server::start().await;
    let mut ada = Person::at(&server).on_a_terminal();
    assert!(ada.run(&["whoami"]).await.stderr.contains('\u{1b}'));
    ada.environment.no_color = true;
    assert!(!ada.run(&["whoami"]).await.stderr.contains('\u{1b}'));
    ada.environment.no_color = false;
    ada.terminal = false;
    assert!(!ada.run(&["whoami"]).await.stderr.contains('\u{1b}'));
}
