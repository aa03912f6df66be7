//! The operations, on secrets in memory.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    protocol::{
        CreateSecret, DeleteSecret, Deleted, DescribeSecret, Described, GetSecretValue, PutSecretValue, Read,
        Written, exists, invalid_request, not_found, value,
    },
    secret::{CURRENT, Deletion, Secret, SecretValue},
};
use crate::aws::json::Fault;

/// The largest value, in bytes.
const MAX_VALUE: usize = 65_536;

/// How long a deletion can be taken back, unless the request says.
const RECOVERY_DAYS: u32 = 30;

const SECONDS_PER_DAY: f64 = 86_400.0;

/// Every secret by name.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Secrets {
    secrets: BTreeMap<String, Secret>,
}

/// What an operation needs from outside.
#[derive(Clone, Debug)]
pub struct Moment {
    /// Seconds since 1970.
    pub now: f64,
    /// A random UUID, for a request that brings no token.
    pub token: String,
    /// Six random characters, for an ARN.
    pub suffix: String,
    /// What an ARN starts with, up to `secret:`.
    pub arn_prefix: String,
}

impl Secrets {
    /// Creates a secret. The same token with the same value does nothing the second time.
    pub fn create(&mut self, request: CreateSecret, moment: &Moment) -> Result<Written, Fault> {
        check_name(&request.name)?;
        let value = checked(value(request.secret_string, request.secret_binary)?)?;
        let token = request.client_request_token.unwrap_or_else(|| moment.token.clone());
        self.purge(moment.now);
        if let Some(known) = self.secrets.get(&request.name) {
            return created_before(known, &request.name, &token, value.as_ref());
        }
        let mut secret = Secret {
            arn: format!("{}{}-{}", moment.arn_prefix, request.name, moment.suffix),
            description: request.description,
            created: moment.now,
            changed: moment.now,
            deletion: None,
            versions: BTreeMap::new(),
        };
        let version_id = value.is_some().then(|| token.clone());
        if let Some(value) = value {
            secret.add(&token, value, &default_stages(), moment.now);
        }
        let arn = secret.arn.clone();
        self.secrets.insert(request.name.clone(), secret);
        Ok(Written { arn, name: request.name, version_id, version_stages: None })
    }

    /// Adds a version. The same token with the same value does nothing the second time.
    pub fn put(&mut self, request: PutSecretValue, moment: &Moment) -> Result<Written, Fault> {
        let value = checked(value(request.secret_string, request.secret_binary)?)?
            .ok_or_else(|| invalid_request("You must provide either SecretString or SecretBinary."))?;
        let token = request.client_request_token.unwrap_or_else(|| moment.token.clone());
        let stages = request.version_stages.unwrap_or_else(default_stages);
        let (name, secret) = self.find_mut(&request.secret_id, moment.now)?;
        match secret.versions.get(&token) {
            Some(known) if known.value == value => {}
            Some(_) => return Err(exists(token_in_use(&token, &name))),
            None => secret.add(&token, value, &stages, moment.now),
        }
        let stages = secret.versions.get(&token).map(|version| version.stages.clone());
        Ok(Written { arn: secret.arn.clone(), name, version_id: Some(token), version_stages: stages })
    }

    /// Reads a version: the current one, or the one that the request names.
    pub fn get(&mut self, request: &GetSecretValue, moment: &Moment) -> Result<Read, Fault> {
        let (name, secret) = self.find_mut(&request.secret_id, moment.now)?;
        let stage = request.version_stage.as_deref();
        let id = match (&request.version_id, stage) {
            (Some(id), _) => id.clone(),
            (None, stage) => labelled(secret, stage.unwrap_or(CURRENT))?,
        };
        let version = secret.versions.get(&id).ok_or_else(|| no_value(&format!("VersionId: {id}")))?;
        if stage.is_some_and(|stage| !version.stages.contains(stage)) {
            let message = "You provided a VersionStage that is not associated to the provided VersionId.";
            return Err(invalid_request(message));
        }
        Ok(Read {
            arn: secret.arn.clone(),
            name,
            version_id: id,
            value: version.value.clone(),
            version_stages: version.stages.clone(),
            created_date: version.created,
        })
    }

    /// Deletes a secret, at once or after its recovery window. Deleting at once what does not exist is no
    /// error.
    pub fn delete(&mut self, request: &DeleteSecret, moment: &Moment) -> Result<Deleted, Fault> {
        if request.force_delete_without_recovery {
            return Ok(self.delete_now(&request.secret_id, moment.now));
        }
        let days = request.recovery_window_in_days.unwrap_or(RECOVERY_DAYS);
        let (name, secret) = self.find_mut(&request.secret_id, moment.now)?;
        let due = moment.now + f64::from(days) * SECONDS_PER_DAY;
        secret.deletion = Some(Deletion { asked: moment.now, due });
        Ok(Deleted { arn: secret.arn.clone(), name, deletion_date: due })
    }

    /// Describes a secret, also one that waits for its deletion.
    pub fn describe(&mut self, request: &DescribeSecret, moment: &Moment) -> Result<Described, Fault> {
        self.purge(moment.now);
        let name = self.name_of(&request.secret_id).ok_or_else(not_found)?;
        let secret = self.secrets.get(&name).ok_or_else(not_found)?;
        let labelled = secret.versions.iter().filter(|(_, version)| !version.stages.is_empty());
        Ok(Described {
            arn: secret.arn.clone(),
            description: secret.description.clone(),
            created_date: secret.created,
            last_changed_date: secret.changed,
            deleted_date: secret.deletion.map(|deletion| deletion.asked),
            version_ids_to_stages: labelled
                .map(|(id, version)| (id.clone(), version.stages.clone()))
                .collect(),
            name,
        })
    }

    fn delete_now(&mut self, id: &str, now: f64) -> Deleted {
        let name = self.name_of(id).unwrap_or_else(|| id.to_owned());
        let arn = self.secrets.remove(&name).map_or_else(|| id.to_owned(), |secret| secret.arn);
        Deleted { arn, name, deletion_date: now }
    }

    fn find_mut(&mut self, id: &str, now: f64) -> Result<(String, &mut Secret), Fault> {
        self.purge(now);
        let name = self.name_of(id).ok_or_else(not_found)?;
        let secret = self.secrets.get_mut(&name).ok_or_else(not_found)?;
        if secret.deletion.is_some() {
            return Err(invalid_request(
                "You can't perform this operation on the secret because it was marked for deletion.",
            ));
        }
        Ok((name, secret))
    }

    /// A secret is named by its name, its ARN, or its ARN without the random end.
    fn name_of(&self, id: &str) -> Option<String> {
        if self.secrets.contains_key(id) {
            return Some(id.to_owned());
        }
        let named = |(_, secret): &(&String, &Secret)| {
            secret.arn == id || secret.arn.rsplit_once('-').is_some_and(|(partial, _)| partial == id)
        };
        self.secrets.iter().find(named).map(|(name, _)| name.clone())
    }

    fn purge(&mut self, now: f64) {
        self.secrets.retain(|_, secret| secret.deletion.is_none_or(|deletion| now < deletion.due));
    }
}

fn created_before(
    known: &Secret,
    name: &str,
    token: &str,
    value: Option<&SecretValue>,
) -> Result<Written, Fault> {
    if known.deletion.is_some() {
        return Err(invalid_request(
            "You can't create this secret because a secret with this name is already scheduled for deletion.",
        ));
    }
    let same = known.versions.get(token).is_some_and(|version| Some(&version.value) == value);
    if !same {
        let message = format!("The operation failed because the secret {name} already exists.");
        return Err(exists(message));
    }
    Ok(Written {
        arn: known.arn.clone(),
        name: name.to_owned(),
        version_id: Some(token.to_owned()),
        version_stages: None,
    })
}

fn labelled(secret: &Secret, stage: &str) -> Result<String, Fault> {
    secret.labelled(stage).map(str::to_owned).ok_or_else(|| no_value(&format!("staging label: {stage}")))
}

fn no_value(what: &str) -> Fault {
    let message = format!("Secrets Manager can't find the specified secret value for {what}");
    Fault::new("ResourceNotFoundException", message)
}

fn token_in_use(token: &str, name: &str) -> String {
    format!(
        "You can't use ClientRequestToken {token} because that value is already in use for a version of \
         secret {name}."
    )
}

fn default_stages() -> BTreeSet<String> {
    BTreeSet::from([CURRENT.to_owned()])
}

fn checked(value: Option<SecretValue>) -> Result<Option<SecretValue>, Fault> {
    match &value {
        Some(value) if value.size() > MAX_VALUE => {
            Err(Fault::validation(format!("The secret value is larger than {MAX_VALUE} bytes.")))
        }
        _ => Ok(value),
    }
}

fn check_name(name: &str) -> Result<(), Fault> {
    let fits = (1..=512).contains(&name.len());
    if fits && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/_+=.@-!".contains(&byte)) {
        return Ok(());
    }
    Err(Fault::validation(
        "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: \
         -/_+=.@!",
    ))
}
