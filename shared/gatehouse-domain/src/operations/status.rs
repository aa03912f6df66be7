//! The words for how an operation stands.

use serde::{Deserialize, Serialize};

macro_rules! statuses {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// How an operation stands, in one word for callers.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum OperationStatus {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
        }

        impl OperationStatus {
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// `queued`, `planning`, …
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

statuses! {
    Queued = "queued",
    Planning = "planning",
    AwaitingApproval = "awaiting_approval",
    Applying = "applying",
    Deploying = "deploying",
    /// Somebody asked it to stop, and it has not yet.
    Cancelling = "cancelling",
    Succeeded = "succeeded",
    Failed = "failed",
    Cancelled = "cancelled",
    Rejected = "rejected",
    TimedOut = "timed_out",
}

impl OperationStatus {
    /// Those of operations that have no outcome yet.
    pub const OPEN: [Self; 6] = [
        Self::Queued,
        Self::Planning,
        Self::AwaitingApproval,
        Self::Applying,
        Self::Deploying,
        Self::Cancelling,
    ];
}
