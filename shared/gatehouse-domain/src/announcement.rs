//! What is announced, to whoever listens on the bus.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    id::{ServiceId, TokenId},
    name::{EnvironmentName, ProjectName, ServiceName, TenantId},
};

macro_rules! news {
    ($($(#[$doc:meta])* $name:ident = $title:literal,)*) => {
        /// What happened, or is about to.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        pub enum News {
            $($(#[$doc])* #[serde(rename = $title)] $name,)*
        }

        impl News {
            /// Everything that is announced.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// `Service Token Ending`, …: what receivers choose events by.
            pub fn title(self) -> &'static str {
                match self {
                    $(Self::$name => $title,)*
                }
            }
        }
    };
}

news! {
    /// A service token ends soon.
    TokenEnding = "Service Token Ending",
    /// A service token has ended.
    TokenEnded = "Service Token Ended",
    /// A service token was not used for a while.
    TokenUnused = "Service Token Unused",
    /// An API key ends soon.
    ApiKeyEnding = "API Key Ending",
    /// An API key has ended.
    ApiKeyEnded = "API Key Ended",
    /// A signing key is old enough to be followed by another one.
    SigningKeyDue = "Signing Key Due",
    /// An operation waits for somebody's approval.
    OperationAwaitingApproval = "Operation Awaiting Approval",
    /// An operation failed, or was not answered in time.
    OperationFailed = "Operation Failed",
    /// What exists is not what was provisioned.
    DriftFound = "Drift Found",
    /// An environment is deprovisioned soon, since its time to live ends.
    EnvironmentEnding = "Environment Ending",
    /// The time to live of an environment has ended.
    EnvironmentEnded = "Environment Ended",
}

/// One thing that is announced; never a secret. `docs/EVENTS.md` describes it to its receivers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// `<subject>:<what>:<threshold>`: the same whenever this is published again.
    pub id: String,
    pub news: News,
    /// When that was found.
    pub found_at: Timestamp,
    /// The id of what it is about: of a token, an API key, a signing key or an operation; of an environment
    /// `<service id>/<environment>`.
    pub subject: String,
    /// The tenant that it belongs to, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    /// The project of a token or a service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectName>,
    /// The service that calls with a token, or whose operation or environment it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceName>,
    /// What an API key is for, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// When the subject ends or ended; when the rotation became due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When the subject was last used, if ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
    /// The threshold in days: within how many it ends, or for how many it was not used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<u16>,
    /// The token that replaces this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_by: Option<TokenId>,
    /// The id of that service in the catalog.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_id: Option<ServiceId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentName>,
    /// `provision`, `deprovision`, `drift` or `deploy`, of an operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// How an operation stands, in one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Who asked for an operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_by: Option<String>,
    /// The threshold in hours: within how many an environment ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hours: Option<u16>,
}

impl Announcement {
    /// What is announced of `subject`, with nothing else known.
    pub(crate) fn new(news: News, subject: &str, threshold: &str, found_at: Timestamp) -> Self {
        let what = match news {
            News::TokenEnding | News::ApiKeyEnding | News::EnvironmentEnding => "ending",
            News::TokenEnded | News::ApiKeyEnded | News::EnvironmentEnded => "ended",
            News::TokenUnused => "unused",
            News::SigningKeyDue => "due",
            News::OperationAwaitingApproval => "approval",
            News::OperationFailed => "failed",
            News::DriftFound => "drift",
        };
        Self {
            id: format!("{subject}:{what}:{threshold}"),
            news,
            found_at,
            subject: subject.to_owned(),
            tenant: None,
            project: None,
            service: None,
            name: None,
            expires_at: None,
            last_used_at: None,
            days: None,
            replaced_by: None,
            service_id: None,
            environment: None,
            kind: None,
            status: None,
            requested_by: None,
            hours: None,
        }
    }
}
