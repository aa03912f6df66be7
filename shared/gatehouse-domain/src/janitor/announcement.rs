//! What is announced.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    id::TokenId,
    name::{ProjectName, ServiceName, TenantId},
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
}

/// One thing that is announced; never a secret. `docs/EVENTS.md` describes it to its receivers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// `<subject>:<what>:<threshold>`: the same whenever this is published again.
    pub id: String,
    pub news: News,
    /// When that was found.
    pub found_at: Timestamp,
    /// The id of what it is about: of a token, an API key or a signing key.
    pub subject: String,
    /// The tenant that it belongs to, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    /// The project of a token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectName>,
    /// The service that calls with a token.
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
}

impl Announcement {
    /// What is announced of `subject`, with nothing else known.
    pub(super) fn new(news: News, subject: &str, threshold: &str, found_at: Timestamp) -> Self {
        let what = match news {
            News::TokenEnding | News::ApiKeyEnding => "ending",
            News::TokenEnded | News::ApiKeyEnded => "ended",
            News::TokenUnused => "unused",
            News::SigningKeyDue => "due",
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
        }
    }
}
