//! The sessions that people have made, in a file that only they can read.
//!
//! A session is kept under the URL that it was made at, and is never sent to another one.

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};

use crate::{environment::Environment, private_file, server_url::ServerUrl};

#[derive(Debug, Clone)]
pub(crate) struct CredentialsFile {
    path: PathBuf,
}

/// What the file holds.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    /// Where people logged in last: the URL that is used when none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    current: Option<String>,
    #[serde(default)]
    sessions: BTreeMap<String, StoredSession>,
}

/// A session as it is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoredSession {
    /// Proves who is calling.
    #[serde(serialize_with = "expose")]
    pub(crate) token: SecretString,
    pub(crate) user_name: String,
    pub(crate) expires_at: String,
}

fn expose<S: Serializer>(token: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(token.expose_secret())
}

/// Why stored sessions cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CredentialsError {
    #[error("neither XDG_CONFIG_HOME nor HOME says where credentials are kept")]
    Nowhere,
    #[error("{path} can be read by others (mode {mode:o}); hide it with: chmod 600 {path}")]
    Exposed { path: String, mode: u32 },
    #[error("{path} cannot be read")]
    Read { path: String, source: io::Error },
    #[error("{path} does not hold credentials; remove it and log in again")]
    Malformed { path: String },
    #[error("{path} cannot be written")]
    Write { path: String, source: io::Error },
}

impl CredentialsFile {
    /// Where it is, by the rules of the XDG Base Directory Specification.
    pub(crate) fn locate(environment: &Environment) -> Result<Self, CredentialsError> {
        let configured = environment.config_home.clone().filter(|path| path.is_absolute());
        let home = || environment.home.as_ref().map(|home| home.join(".config"));
        let base = configured.or_else(home).ok_or(CredentialsError::Nowhere)?;
        Ok(Self { path: base.join("gatehouse").join("credentials.json") })
    }

    /// The site where people logged in last.
    pub(crate) fn current(&self) -> Result<Option<String>, CredentialsError> {
        Ok(self.read()?.current)
    }

    /// The session that was made at `site`.
    pub(crate) fn session(&self, site: &ServerUrl) -> Result<Option<StoredSession>, CredentialsError> {
        Ok(self.read()?.sessions.remove(&site.to_string()))
    }

    /// Keeps a session, and makes its site the one that is used when none is named.
    pub(crate) fn keep(&self, site: &ServerUrl, session: StoredSession) -> Result<(), CredentialsError> {
        self.edit(|content| {
            content.current = Some(site.to_string());
            content.sessions.insert(site.to_string(), session);
        })
    }

    /// Forgets the session that was made at `site`.
    pub(crate) fn forget(&self, site: &ServerUrl) -> Result<(), CredentialsError> {
        self.edit(|content| {
            content.sessions.remove(&site.to_string());
        })
    }

    fn read(&self) -> Result<Content, CredentialsError> {
        let mut file = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Content::default()),
            opened => opened.map_err(|source| self.unreadable(source))?,
        };
        let mode = file.metadata().map_err(|source| self.unreadable(source))?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(CredentialsError::Exposed { path: self.shown(), mode });
        }
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(|source| self.unreadable(source))?;
        // The parser's own words could quote the file.
        serde_json::from_str(&text).map_err(|_| CredentialsError::Malformed { path: self.shown() })
    }

    /// Reads, changes and writes while no other command does.
    fn edit(&self, change: impl FnOnce(&mut Content)) -> Result<(), CredentialsError> {
        let directory = self.path.parent().unwrap_or(Path::new("."));
        make_private(directory).map_err(|source| self.unwritable(source))?;
        let lock = lock(directory).map_err(|source| self.unwritable(source))?;
        let mut content = self.read()?;
        change(&mut content);
        private_file::replace(&self.path, |file| {
            serde_json::to_writer_pretty(&mut *file, &content)?;
            file.write_all(b"\n")
        })
        .map_err(|source| self.unwritable(source))?;
        drop(lock);
        Ok(())
    }

    fn shown(&self) -> String {
        self.path.display().to_string()
    }

    fn unreadable(&self, source: io::Error) -> CredentialsError {
        CredentialsError::Read { path: self.shown(), source }
    }

    fn unwritable(&self, source: io::Error) -> CredentialsError {
        CredentialsError::Write { path: self.shown(), source }
    }
}

fn make_private(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    fs::set_permissions(directory, Permissions::from_mode(0o700))
}

fn lock(directory: &Path) -> io::Result<File> {
    let path = directory.join("credentials.lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    file.lock()?;
    Ok(file)
}
