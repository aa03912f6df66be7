use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
};

use gatehouse_cli::Exit;
use serde_json::{Value, json};

use crate::support::{Person, Reply, Server, TOKEN, mode};

fn me() -> Reply {
    Reply::ok(&json!({ "kind": "user", "subject": "ada" }))
}

#[tokio::test]
async fn nobody_else_can_read_what_is_stored() {
    let server = Server::start().await;
    let ada = Person::at(&server);
    ada.log_in(&server, "session-1").await;
    assert_eq!(mode(&ada.credentials()), 0o600);
    assert_eq!(mode(ada.credentials().parent().unwrap()), 0o700);
    let names = fs::read_dir(ada.credentials().parent().unwrap()).unwrap();
    let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["credentials.json", "credentials.lock"], "something was left behind");
}

#[tokio::test]
async fn a_file_that_others_can_read_is_refused_with_what_would_mend_it() {
    let server = Server::start().await;
    server.on("GET /auth/me", me());
    let ada = Person::at(&server);
    ada.log_in(&server, "session-1").await;
    fs::set_permissions(ada.credentials(), Permissions::from_mode(0o640)).unwrap();
    let ran = ada.run(&["whoami"]).await;
    assert_eq!(ran.exit, Exit::NotAllowed);
    assert!(ran.stderr.contains("chmod 600"), "{ran:?}");
    assert_eq!(server.asked().len(), 1, "the session was sent all the same");
    fs::set_permissions(ada.credentials(), Permissions::from_mode(0o600)).unwrap();
    ada.run(&["whoami"]).await.done();
}

#[tokio::test]
async fn a_session_goes_to_the_site_it_was_made_at_and_to_no_other() {
    let (here, there) = (Server::start().await, Server::start().await);
    here.on("GET /auth/me", me()).on("GET /auth/me", me());
    let ada = Person::at(&here);
    ada.log_in(&here, "session-here").await;
    let ran = ada.run(&["whoami", "--url", &there.url]).await;
    assert_eq!(ran.exit, Exit::NotAllowed);
    assert!(ran.stderr.contains(&format!("gatehouse login --url {}", there.url)), "{ran:?}");
    assert!(there.asked().is_empty());
    // The same site in another spelling is the same site.
    ada.run(&["whoami", "--url", &format!("{}/", here.url)]).await.done();
    ada.log_in(&there, "session-there").await;
    ada.run(&["whoami", "--url", &here.url]).await.done();
    assert_eq!(here.asked().last().unwrap().header("authorization"), Some("Bearer session-here"));
}

#[tokio::test]
async fn a_credential_does_not_follow_when_the_server_sends_callers_elsewhere() {
    let (here, there) = (Server::start().await, Server::start().await);
    here.on("GET /auth/me", Reply::empty(307).with("location", &format!("{}/auth/me", there.url)));
    let ran = Person::with_token(&here).run(&["whoami"]).await;
    assert_eq!(ran.exit, Exit::Unavailable);
    assert!(there.asked().is_empty());
}

#[tokio::test]
async fn without_a_url_the_last_login_says_where() {
    let server = Server::start().await;
    server.on("GET /auth/me", me());
    let mut ada = Person::at(&server);
    ada.log_in(&server, "session-1").await;
    ada.environment.url = None;
    ada.run(&["whoami"]).await.done();
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn the_environment_wins_over_a_stored_session_and_needs_no_file() {
    let server = Server::start().await;
    server.on("GET /auth/me", me());
    let mut ada = Person::at(&server);
    ada.log_in(&server, "session-1").await;
    fs::set_permissions(ada.credentials(), Permissions::from_mode(0o644)).unwrap();
    ada.environment.token = Some(TOKEN.into());
    ada.run(&["whoami"]).await.done();
    assert_eq!(server.asked()[1].header("authorization"), Some(&*format!("Bearer {TOKEN}")));
}

#[tokio::test]
async fn sessions_of_many_sites_stand_beside_each_other() {
    let (first, second) = (Server::start().await, Server::start().await);
    let ada = Person::at(&first);
    ada.log_in(&first, "session-1").await;
    ada.log_in(&second, "session-2").await;
    let stored: Value = serde_json::from_str(&fs::read_to_string(ada.credentials()).unwrap()).unwrap();
    assert_eq!(stored["current"], json!(second.url));
    assert_eq!(stored["sessions"][&first.url]["token"], json!("session-1"));
    assert_eq!(stored["sessions"][&second.url]["token"], json!("session-2"));
}

#[tokio::test]
async fn the_xdg_directory_is_used_where_there_is_one() {
    let server = Server::start().await;
    let mut ada = Person::at(&server);
    ada.environment.config_home = Some(ada.home.path().join("elsewhere"));
    ada.log_in(&server, "session-1").await;
    assert_eq!(mode(&ada.home.path().join("elsewhere/gatehouse/credentials.json")), 0o600);
    assert!(!ada.credentials().exists());
}

#[tokio::test]
async fn a_garbled_file_is_never_quoted() {
    let server = Server::start().await;
    let ada = Person::at(&server);
    ada.log_in(&server, "session-1").await;
    fs::write(ada.credentials(), "{\"session-1\": nonsense").unwrap();
    let ran = ada.run(&["whoami"]).await;
    assert_eq!(ran.exit, Exit::NotAllowed);
    ran.never_says(&["session-1"]);
}
