//! Filling an empty stack, so that there is something to try.
//!
//! Jobs go in through the gateway, as a caller would bring them. Filling is idempotent and marked when it
//! is complete, so that a stack which dies in between fills itself on its next start, and one that was
//! filled is never filled again.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
    path::Path,
};

use anyhow::{Context, ensure};
use axum::body::Body;
use bytes::Bytes;
use data_encoding::HEXLOWER;
use gatehouse_domain::{
    api_key::{ApiKey, SaveApiKey},
    audit::{Action, AuditTarget, Entry, Origin, Outcome},
    ci::{ProviderKind, Sharing},
    clock::{Clock, IdSource},
    name::{TenantId, UserName},
    providers::{Provider, SaveProvider},
    revision::Revision,
    secret::{ReadSecret, SecretName, WriteSecret},
    tenant::{SaveTenant, Tenant},
    users::{HashPassword, SaveUser, User},
};
use gatehouse_passwords::Argon2id;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{functions::process_provider, parts::Parts};
use crate::gateway::{Gateway, KnownToEverybody};

const EXAMPLE: &str = include_str!("example.yaml");

/// In the data directory: holds the example's key when the stack was filled.
const MARKER: &str = "filled.json";

/// In the data directory: is there when a key was made in place of the example's.
const REPLACED: &str = "key-replaced";

/// Who fills a stack.
pub(super) const SEEDER: &str = "local stack";

/// What a stack is filled with.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seed {
    api_keys: Vec<SeedKey>,
    #[serde(default)]
    users: Vec<SeedUser>,
    tenant: TenantId,
    jobs: Vec<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SeedUser {
    name: UserName,
    password: SecretString,
    roles: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SeedKey {
    key: String,
    name: String,
    tenants: String,
    scopes: Vec<String>,
}

/// Fills the stack unless it was filled before; answers the first key of what it was filled with.
pub(super) async fn fill(
    gateway: &Gateway,
    parts: &Parts,
    data_dir: &Path,
    file: Option<&Path>,
) -> anyhow::Result<Option<String>> {
    let marker = data_dir.join(MARKER);
    // A marker that a crash left half written marks nothing.
    if let Some(key) = std::fs::read(&marker).ok().and_then(|filled| serde_json::from_slice(&filled).ok()) {
        return Ok(key);
    }
    let text = match file {
        None => EXAMPLE.to_owned(),
        Some(file) => std::fs::read_to_string(file).with_context(|| file.display().to_string())?,
    };
    let name = file.map_or("example.yaml".into(), |file| file.display().to_string());
    let seed = read(&text).with_context(|| name.clone())?;
    save_process_provider(parts).await?;
    for key in &seed.api_keys {
        parts.table.save_api_key(&record(key, parts)?, None).await?;
    }
    for user in &seed.users {
        create_user(user, parts).await?;
    }
    create_tenant(&seed.tenant, parts).await?;
    let key = seed.api_keys.first().map(|key| key.key.clone());
    if let Some(key) = &key {
        import(gateway, key, &seed).await.context(name)?;
    }
    std::fs::write(&marker, serde_json::to_vec(&key)?).context("the data directory cannot be written")?;
    Ok(key)
}

fn read(text: &str) -> Result<Seed, serde_saphyr::Error> {
    serde_saphyr::from_str(text)
}

/// The credentials of the built-in example.
pub(super) fn known_to_everybody() -> anyhow::Result<KnownToEverybody> {
    let example = read(EXAMPLE)?;
    Ok(KnownToEverybody {
        keys: example.api_keys.into_iter().map(|key| key.key).collect(),
        passwords: example.users.iter().map(|user| user.password.expose_secret().to_owned()).collect(),
    })
}

/// Whether a key is one of the built-in example.
pub(super) fn everybody_knows(key: &str) -> anyhow::Result<bool> {
    Ok(known_to_everybody()?.keys.contains(key))
}

/// Makes a key in place of the example's first, and remembers that. `None` when there is one already: it was shown
/// then, and is kept nowhere.
pub(super) async fn replace_key(parts: &Parts, data_dir: &Path) -> anyhow::Result<Option<String>> {
    let marker = data_dir.join(REPLACED);
    if marker.exists() {
        return Ok(None);
    }
    let example = read(EXAMPLE)?.api_keys.into_iter().next().context("the example has no key")?;
    let key = format!("local-{}", HEXLOWER.encode(&[parts.system.random(), parts.system.random()].concat()));
    let replacement = SeedKey { key: key.clone(), ..example };
    parts.table.save_api_key(&record(&replacement, parts)?, None).await?;
    std::fs::write(&marker, "").context("the data directory cannot be written")?;
    Ok(Some(key))
}

/// Makes the keys of callback tokens and of second factors, where there are none: on AWS, the template does.
pub(super) async fn make_keys(parts: &Parts) -> anyhow::Result<()> {
    for name in [SecretName::callback_key(), SecretName::second_factor_key(), SecretName::input_key()] {
        if parts.secrets.read(&name).await?.is_none() {
            let random = [parts.system.random(), parts.system.random()].concat();
            parts.secrets.write(&name, &HEXLOWER.encode(&random).into()).await?;
        }
    }
    Ok(())
}

fn record(key: &SeedKey, parts: &Parts) -> anyhow::Result<ApiKey> {
    let scopes = key.scopes.iter().map(|scope| scope.parse()).collect::<Result<BTreeSet<_>, _>>()?;
    let tenants = key.tenants.parse()?;
    Ok(ApiKey::of_text(&key.key, key.name.clone(), scopes, tenants, parts.system.now()))
}

/// Creates a user, whose password may be one that nobody could choose. One that is there already stays.
async fn create_user(seed: &SeedUser, parts: &Parts) -> anyhow::Result<()> {
    let password = Argon2id::new(parts.system.clone()).hash_password(&seed.password).await?;
    let (roles, now) = (seed.roles.parse()?, parts.system.now());
    let user = User::new(&*parts.system, seed.name.clone(), roles, password, now, SEEDER.to_owned());
    let audit_target = AuditTarget { target: format!("user:{}", user.name), ..AuditTarget::default() };
    parts.table.create_user(&user, &entry(parts, Action::CreateUser, audit_target)).await?;
    Ok(())
}

async fn create_tenant(id: &TenantId, parts: &Parts) -> anyhow::Result<()> {
    let tenant = Tenant {
        id: id.clone(),
        display_name: id.to_string(),
        require_second_factor: false,
        default_project: None,
        created_at: parts.system.now(),
        created_by: SEEDER.to_owned(),
    };
    let audit_target = AuditTarget { target: format!("tenant:{id}"), tenant: Some(id.clone()), detail: None };
    parts.table.save_tenant(&tenant, &entry(parts, Action::PutTenant, audit_target)).await?;
    Ok(())
}

fn entry(parts: &Parts, action: Action, audit_target: AuditTarget) -> Entry {
    let origin = Origin::default();
    Entry::new(&*parts.system, SEEDER.to_owned(), &origin, action, Outcome::Done, audit_target)
}

/// Registers this machine as a provider, so that it is listed. One that is there already stays.
async fn save_process_provider(parts: &Parts) -> anyhow::Result<()> {
    let provider = Provider {
        name: process_provider(),
        kind: ProviderKind::Process,
        url: None,
        account: None,
        ca_certificate: None,
        // Whoever may run commands here may run all: the machine is its owner's.
        sharing: Sharing::OpenToAll,
        revision: Revision::new(&*parts.system),
        credentials_version: "none".to_owned(),
        updated_at: parts.system.now(),
        updated_by: SEEDER.to_owned(),
    };
    parts.table.save_provider(&provider, None, None).await?;
    Ok(())
}

async fn import(gateway: &Gateway, key: &str, seed: &Seed) -> anyhow::Result<()> {
    let body = json!({ "jobs": seed.jobs }).to_string();
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("/v1/jobs/import?atomic=true&tenant={}", seed.tenant))
        .header(header::HOST, "localhost")
        .header(header::AUTHORIZATION, format!("Bearer {key}"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))?;
    let response = gateway.answer(request, IpAddr::V4(Ipv4Addr::LOCALHOST)).await;
    let status = response.status();
    let report: Value = read_json(response.into_body()).await?;
    ensure!(status.is_success() && report["summary"]["refused"] == 0, "the jobs were refused: {report}");
    Ok(())
}

async fn read_json(body: Body) -> anyhow::Result<Value> {
    Ok(serde_json::from_slice(&body.collect().await?.to_bytes())?)
}
