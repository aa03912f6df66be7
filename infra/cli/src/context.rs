//! What commands work with.

use std::{
    fs,
    io::{self, Read},
    path::Path,
};

use gatehouse_domain::clock::{Clock, IdSource};
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::{
    client::{Answer, Call, Client, PAGE},
    credentials::CredentialsFile,
    dependencies::Ask,
    environment::Environment,
    failure::Failure,
    output::{Column, Output},
    server_url::ServerUrl,
};

/// Where a Gatehouse is when nobody says so: the local stack.
const DEFAULT_URL: &str = "http://127.0.0.1:8080";

/// What a server says that wants the password again.
const REAUTHENTICATION_REQUIRED: &str = "/problems/reauthentication-required";

/// What a server says that wants a code as well.
const SECOND_FACTOR_REQUIRED: &str = "/problems/second-factor-required";

/// What to do where there is nobody to ask.
const SAY_IT_AGAIN: &str =
    "Say it with `gatehouse reauthenticate --password-stdin`, log in again, or use an API key.";

/// The longest password that is read from standard input, in bytes: what a server takes, and a line end.
const MAX_PASSWORD: u64 = 1026;

/// What commands work with.
pub(crate) struct Context<'a, 'w> {
    pub(crate) environment: Environment,
    pub(crate) stdin: &'a mut dyn Read,
    pub(crate) output: &'a mut Output<'w>,
    pub(crate) ask: &'a dyn Ask,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) ids: &'a dyn IdSource,
}

/// What a list is made of, and how it is shown.
pub(crate) struct List<'a> {
    pub(crate) path: &'a [&'a str],
    pub(crate) query: &'a [(&'a str, Option<String>)],
    /// The member of a page that holds its entries.
    pub(crate) member: &'static str,
    pub(crate) columns: &'static [Column],
    /// How many entries are wanted at most.
    pub(crate) limit: Option<u32>,
}

impl Context<'_, '_> {
    /// The site that is meant: as the command line names it, or the environment, or the last login.
    pub(crate) fn site(&mut self, url: Option<&str>) -> Result<ServerUrl, Failure> {
        let named = url.map(str::to_owned).or_else(|| self.environment.url.clone());
        let stored = match (named.is_some(), self.credentials()) {
            (false, Ok(file)) => file.current()?,
            _ => None,
        };
        let site: ServerUrl = named.or(stored).as_deref().unwrap_or(DEFAULT_URL).parse()?;
        if site.is_exposed() {
            self.output.warn(&format!(
                "{site} is not encrypted: passwords, tokens and logs can be read by others on the way"
            ))?;
        }
        Ok(site)
    }

    pub(crate) fn credentials(&self) -> Result<CredentialsFile, Failure> {
        Ok(CredentialsFile::locate(&self.environment)?)
    }

    /// A client that calls as the environment says, or as who logged in at this very site.
    pub(crate) fn client(&self, site: ServerUrl) -> Result<Client, Failure> {
        let name = site.to_string();
        if let Some(token) = self.environment.token.clone() {
            let hint = format!("{name} does not take what is in GATEHOUSE_TOKEN.");
            return Ok(Client::anonymous(site)?.with_token(token, hint));
        }
        let Some(session) = self.credentials()?.session(&site)? else {
            return Err(Failure::NotLoggedIn { site: name });
        };
        let hint = format!("Log in again with `gatehouse login --url {name}`.");
        Ok(Client::anonymous(site)?.with_token(session.token, hint))
    }

    /// Sends a call that may take a password that was said of late: asks for it where it does, and sends the call once
    /// more.
    pub(crate) async fn send(&mut self, client: &Client, call: Call<'_>) -> Result<Answer, Failure> {
        let again = call.again();
        let refused = match call.answer().await {
            Err(Failure::Problem(problem)) if problem.r#type == REAUTHENTICATION_REQUIRED => problem,
            answer => return answer,
        };
        let prompt = format!("Your password at {}, which this takes again: ", client.site());
        let asked = self.ask.secret(&prompt).map_err(interrupted)?;
        let (Some(password), Some(again)) = (asked, again) else {
            return Err(Failure::Problem(Box::new(refused.hinted(SAY_IT_AGAIN))));
        };
        self.reauthenticate(client, &password, None).await?;
        again.answer().await
    }

    /// Says the password again for whoever calls.
    pub(crate) async fn reauthenticate(
        &self,
        client: &Client,
        password: &SecretString,
        code: Option<String>,
    ) -> Result<Answer, Failure> {
        let body = json!({ "password": password.expose_secret() });
        self.post_with_code(client, &["auth", "reauthenticate"], body, code).await
    }

    /// Posts what proves who somebody is; asks for a code where one is wanted and was not given.
    pub(crate) async fn post_with_code(
        &self,
        client: &Client,
        path: &[&str],
        mut body: Value,
        code: Option<String>,
    ) -> Result<Answer, Failure> {
        if let Some(code) = code {
            body["code"] = json!(code);
        }
        let refused = match client.post(path, &body).await {
            Err(Failure::Problem(problem)) if problem.r#type == SECOND_FACTOR_REQUIRED => problem,
            answer => return answer,
        };
        let asked = self.ask.text("Code of your device, or a recovery code: ").map_err(interrupted)?;
        let Some(code) = asked else {
            return Err(Failure::Problem(Box::new(refused.hinted("Give it with --code."))));
        };
        body["code"] = json!(code);
        client.post(path, &body).await
    }

    /// Prints all pages of a list.
    pub(crate) async fn list(&mut self, client: &Client, list: List<'_>) -> Result<(), Failure> {
        let mut entries = Vec::new();
        let (mut cursor, mut left) = (None, list.limit);
        loop {
            let limit = left.map_or(PAGE, |left| left.min(PAGE)).to_string();
            let paging = [("limit", Some(limit)), ("cursor", cursor.clone())];
            let page = client.call(Method::GET, list.path)?.query(list.query).query(&paging).answer().await?;
            if self.output.json {
                self.output.raw(&page.text)?;
            }
            let found = page.body[list.member].as_array().unwrap_or_default();
            left = left.map(|left| left.saturating_sub(u32::try_from(found.len()).unwrap_or(u32::MAX)));
            entries.extend_from_slice(found);
            let next = page.body["next_cursor"].as_str().map(str::to_owned);
            if next.is_none() || left == Some(0) {
                break;
            }
            if next == cursor {
                return Err(Failure::Nonsense(format!("{} answers the same page for ever", client.site())));
            }
            cursor = next;
        }
        if !self.output.json {
            self.output.table(list.columns, &entries)?;
        }
        Ok(())
    }

    /// A file that the command line names; `-` is standard input.
    pub(crate) fn read(&mut self, path: &Path) -> Result<Vec<u8>, Failure> {
        let mut file = Vec::new();
        let read = if path.as_os_str() == "-" {
            self.stdin.read_to_end(&mut file).map(|_| file)
        } else {
            fs::read(path)
        };
        read.map_err(|source| Failure::File { path: path.display().to_string(), source })
    }

    /// A password that exists: from standard input, or asked for once.
    pub(crate) fn password(&mut self, from_stdin: bool, prompt: &str) -> Result<SecretString, Failure> {
        if from_stdin {
            return self.password_from_stdin();
        }
        let asked = self.ask.secret(prompt).map_err(interrupted)?;
        asked.ok_or(Failure::NobodyToAsk { what: "a password", instead: "give it with --password-stdin" })
    }

    /// A password that is new: from standard input, or asked for twice.
    pub(crate) fn new_password(&mut self, from_stdin: bool, prompt: &str) -> Result<SecretString, Failure> {
        let password = self.password(from_stdin, prompt)?;
        if !from_stdin {
            let again = self.password(false, "The same again: ")?;
            if again.expose_secret() != password.expose_secret() {
                return Err(Failure::Usage("the two passwords differ; nothing was changed".to_owned()));
            }
        }
        Ok(password)
    }

    fn password_from_stdin(&mut self) -> Result<SecretString, Failure> {
        let [password] = self.lines_from_stdin("standard input must hold one line: the password")?;
        Ok(password)
    }

    /// The current password and the new one: two lines of standard input.
    pub(crate) fn two_passwords_from_stdin(&mut self) -> Result<(SecretString, SecretString), Failure> {
        let usage = "standard input must hold two lines: the current password, and the new one";
        let [current, new] = self.lines_from_stdin(usage)?;
        Ok((current, new))
    }

    /// Standard input, where it has exactly so many lines and none is empty.
    fn lines_from_stdin<const N: usize>(&mut self, usage: &str) -> Result<[SecretString; N], Failure> {
        let mut text = String::new();
        let longest = MAX_PASSWORD * u64::try_from(N).unwrap_or(u64::MAX);
        let input = self.stdin.take(longest).read_to_string(&mut text);
        input.map_err(|source| Failure::File { path: "standard input".to_owned(), source })?;
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
        let lines: Vec<SecretString> = lines.filter(|line| !line.is_empty()).map(Into::into).collect();
        let complete = text.split('\n').count() == N;
        let lines = lines.try_into().ok().filter(|_| complete);
        lines.ok_or_else(|| Failure::Usage(usage.to_owned()))
    }
}

/// Ctrl-C at a prompt is no failure to read.
pub(crate) fn interrupted(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::Interrupted => Failure::Interrupted,
        _ => Failure::File { path: "the terminal".to_owned(), source: error },
    }
}
