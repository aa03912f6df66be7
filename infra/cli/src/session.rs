//! `login`, `logout`, `whoami`.

use clap::Args;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::{
    client::Client,
    context::{Context, interrupted},
    credentials::StoredSession,
    exit::Exit,
    failure::Failure,
    output::{Output, text_at},
    server_url::ServerUrl,
};

/// How somebody logs in.
#[derive(Debug, Args)]
pub struct LoginArgs {
    /// The user's name; asked for without it.
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
    /// Read the password from standard input instead of asking for it.
    #[arg(long)]
    password_stdin: bool,
}

pub(crate) async fn login(
    context: &mut Context<'_, '_>,
    site: ServerUrl,
    args: LoginArgs,
) -> Result<Exit, Failure> {
    let name = match args.username {
        Some(name) => name,
        None => ask_name(context)?,
    };
    let password = context.password(args.password_stdin, &format!("Password of {name} at {site}: "))?;
    let client = Client::anonymous(site)?;
    let body = json!({ "username": name, "password": password.expose_secret() });
    let answer = client.post(&["auth", "login"], &body).await?;
    let session = stored_session(&client, &answer.body, name)?;
    let note =
        format!("logged in at {} as {} until {}", client.site(), session.user_name, session.expires_at);
    context.credentials()?.keep(client.site(), session)?;
    context.output.answer(&answer, |output, _| output.note(&note))?;
    if context.environment.token.is_some() {
        context.output.warn("GATEHOUSE_TOKEN is set, and is used instead of this session")?;
    }
    Ok(Exit::Done)
}

fn ask_name(context: &Context<'_, '_>) -> Result<String, Failure> {
    let asked = context.ask.text("User name: ").map_err(interrupted)?;
    asked.ok_or(Failure::NobodyToAsk { what: "a user name", instead: "give it with --username" })
}

fn stored_session(client: &Client, body: &Value, typed: String) -> Result<StoredSession, Failure> {
    let token = text_at(body, "/token");
    if token.is_empty() {
        return Err(Failure::Nonsense(format!("{} logs people in without a token", client.site())));
    }
    let user_name = body.pointer("/user/user_name").and_then(Value::as_str).map_or(typed, str::to_owned);
    let expires_at = text_at(body, "/expires_at").to_owned();
    Ok(StoredSession { token: token.into(), user_name, expires_at })
}

/// Ends the session at the server first: one that is only forgotten here could still be used. One that the
/// server does not know any more is forgotten all the same.
pub(crate) async fn logout(context: &mut Context<'_, '_>, site: ServerUrl) -> Result<Exit, Failure> {
    let credentials = context.credentials()?;
    let Some(session) = credentials.session(&site)? else {
        return Err(Failure::NotLoggedIn { site: site.to_string() });
    };
    let client = Client::anonymous(site)?.with_token(session.token, String::new());
    let ended = client.post(&["auth", "logout"], &json!({})).await;
    match ended {
        Ok(answer) => {
            credentials.forget(client.site())?;
            let note = format!("logged out at {}", client.site());
            context.output.answer(&answer, |output, body| {
                output.note(&note)?;
                output.effect(body)
            })?;
        }
        Err(Failure::Problem(problem)) if problem.status == 401 => {
            credentials.forget(client.site())?;
            context.output.note(&format!("the session at {} had ended already", client.site()))?;
        }
        Err(failure) => return Err(failure),
    }
    Ok(Exit::Done)
}

pub(crate) async fn whoami(context: &mut Context<'_, '_>, site: ServerUrl) -> Result<Exit, Failure> {
    let answer = context.client(site)?.get(&["auth", "me"]).await?;
    context.output.answer(&answer, Output::thing)?;
    Ok(Exit::Done)
}
