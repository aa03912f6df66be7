//! `login`, `logout`, `whoami`, `reauthenticate`, `password`.

use clap::Args;
use gatehouse_domain::json::Json;
use secrecy::ExposeSecret;
use serde_json::json;

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
    /// The code of your device, or a recovery code; asked for without it, where one is wanted.
    #[arg(long, value_name = "CODE")]
    code: Option<String>,
}

/// How somebody says their password again.
#[derive(Debug, Args)]
pub struct ReauthenticateArgs {
    /// Read the password from standard input instead of asking for it.
    #[arg(long)]
    password_stdin: bool,
    /// The code of your device, or a recovery code; asked for without it, where one is wanted.
    #[arg(long, value_name = "CODE")]
    code: Option<String>,
}

/// How somebody changes their password.
#[derive(Debug, Args)]
pub struct PasswordArgs {
    /// Read the current password and the new one from standard input, one line each, instead of asking for them.
    #[arg(long)]
    passwords_stdin: bool,
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
    let answer = context.post_with_code(&client, &["auth", "login"], body, args.code).await?;
    let session = stored_session(&client, &answer.body, name)?;
    let note =
        format!("logged in at {} as {} until {}", client.site(), session.user_name, session.expires_at);
    context.credentials()?.keep(client.site(), session)?;
    context.output.answer(&answer, |output, _| output.note(&note))?;
    let first = match text_at(&answer.body, "/required_action") {
        "change_password" => "somebody else chose your password; change it first, with `gatehouse password`",
        "enrol_second_factor" => {
            "a tenant of yours wants a second factor; enrol one first, with `gatehouse second-factor enrol`"
        }
        _ => "",
    };
    if !first.is_empty() {
        context.output.warn(first)?;
    }
    if context.environment.token.is_some() {
        context.output.warn("GATEHOUSE_TOKEN is set, and is used instead of this session")?;
    }
    Ok(Exit::Done)
}

fn ask_name(context: &Context<'_, '_>) -> Result<String, Failure> {
    let asked = context.ask.text("User name: ").map_err(interrupted)?;
    asked.ok_or(Failure::NobodyToAsk { what: "a user name", instead: "give it with --username" })
}

fn stored_session(client: &Client, body: &Json, typed: String) -> Result<StoredSession, Failure> {
    let token = text_at(body, "/token");
    if token.is_empty() {
        return Err(Failure::Nonsense(format!("{} logs people in without a token", client.site())));
    }
    let user_name = body.pointer("/user/user_name").and_then(Json::as_str).map_or(typed, str::to_owned);
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

pub(crate) async fn reauthenticate(
    context: &mut Context<'_, '_>,
    client: &Client,
    args: ReauthenticateArgs,
) -> Result<Exit, Failure> {
    let prompt = format!("Your password at {}: ", client.site());
    let password = context.password(args.password_stdin, &prompt)?;
    let answer = context.reauthenticate(client, &password, args.code).await?;
    context.output.answer(&answer, |output, body| {
        output.note("the password counts for ten minutes")?;
        output.effect(body)
    })?;
    Ok(Exit::Done)
}

/// Changes the password; the session that asks for it goes on.
pub(crate) async fn password(
    context: &mut Context<'_, '_>,
    client: &Client,
    args: PasswordArgs,
) -> Result<Exit, Failure> {
    let (current, new) = if args.passwords_stdin {
        context.two_passwords_from_stdin()?
    } else {
        let current = context.password(false, &format!("Your current password at {}: ", client.site()))?;
        (current, context.new_password(false, "Your new password: ")?)
    };
    let body = json!({ "current_password": current.expose_secret(), "new_password": new.expose_secret() });
    let answer = client.post(&["auth", "password"], &body).await?;
    context.output.answer(&answer, |output, body| {
        output.note("you have another password, and your other sessions have ended")?;
        output.effect(body)
    })?;
    Ok(Exit::Done)
}

pub(crate) async fn whoami(context: &mut Context<'_, '_>, site: ServerUrl) -> Result<Exit, Failure> {
    let answer = context.client(site)?.get(&["auth", "me"]).await?;
    context.output.answer(&answer, Output::thing)?;
    Ok(Exit::Done)
}
