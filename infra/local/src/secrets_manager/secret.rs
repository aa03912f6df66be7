//! One secret: its versions and their staging labels.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

/// The label of the version that readers get.
pub const CURRENT: &str = "AWSCURRENT";

/// The label of the version that was current before.
pub const PREVIOUS: &str = "AWSPREVIOUS";

/// How many versions without a label are kept, for answering a repeated token.
const UNLABELLED_KEPT: usize = 10;

/// A value as the API carries it. Has no way to print itself.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SecretValue {
    /// `SecretString`.
    #[serde(rename = "SecretString")]
    Text(String),
    /// `SecretBinary`, in base64.
    #[serde(rename = "SecretBinary")]
    Binary(String),
}

/// A secret, as it is kept in the file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Secret {
    pub arn: String,
    pub description: Option<String>,
    /// Seconds since 1970, as in the API.
    pub created: f64,
    pub changed: f64,
    /// When it was, or will be, deleted.
    pub deletion: Option<Deletion>,
    pub versions: BTreeMap<String, Version>,
}

/// A deletion that can still be taken back.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Deletion {
    pub asked: f64,
    pub due: f64,
}

/// One version of a secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Version {
    #[serde(flatten)]
    pub value: SecretValue,
    pub stages: BTreeSet<String>,
    pub created: f64,
    /// Grows with every version, so that the oldest unlabelled ones can be found.
    pub number: u64,
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[redacted]")
    }
}

impl SecretValue {
    /// Bytes of the value, as the limit counts them.
    pub fn size(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(base64) => BASE64.decode_len(base64.len()).unwrap_or(base64.len()),
        }
    }
}

impl Secret {
    /// Adds a version and moves the labels to it. The version that was current becomes the previous one.
    pub fn add(&mut self, id: &str, value: SecretValue, stages: &BTreeSet<String>, now: f64) {
        let number = self.versions.values().map(|version| version.number + 1).max().unwrap_or_default();
        self.versions.insert(id.to_owned(), Version { value, stages: BTreeSet::new(), created: now, number });
        for stage in stages {
            self.label(id, stage);
        }
        self.changed = now;
        self.forget_old();
    }

    /// Finds the version with a label.
    pub fn labelled(&self, stage: &str) -> Option<&str> {
        let mut found = self.versions.iter().filter(|(_, version)| version.stages.contains(stage));
        found.next().map(|(id, _)| id.as_str())
    }

    fn label(&mut self, id: &str, stage: &str) {
        let before = self.labelled(stage).map(str::to_owned);
        self.unlabel(stage);
        if let Some(before) = before.filter(|before| stage == CURRENT && before != id) {
            self.label(&before, PREVIOUS);
        }
        if let Some(version) = self.versions.get_mut(id) {
            version.stages.insert(stage.to_owned());
        }
    }

    fn unlabel(&mut self, stage: &str) {
        self.versions.values_mut().for_each(|version| {
            version.stages.remove(stage);
        });
    }

    fn forget_old(&mut self) {
        let unlabelled = self.versions.iter().filter(|(_, version)| version.stages.is_empty());
        let mut unlabelled: Vec<_> = unlabelled.map(|(id, version)| (version.number, id.clone())).collect();
        unlabelled.sort_unstable_by(|left, right| right.cmp(left));
        for (_, id) in unlabelled.into_iter().skip(UNLABELLED_KEPT) {
            self.versions.remove(&id);
        }
    }
}
