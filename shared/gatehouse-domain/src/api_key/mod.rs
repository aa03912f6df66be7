//! API keys: `gh_`, 32 random characters and a checksum; kept only as a hash.

mod key;
mod manage;

pub use self::{
    key::{
        ApiKey, ApiKeyId, FindApiKey, InvalidApiKeyId, KeyHash, PresentedKey, RecordKeyUse, Revocation,
        authenticate, with_key,
    },
    manage::{KeyDraft, ListApiKeys, MintKeyError, RevokeKeyError, RevokedKey, SaveApiKey, mint, revoke},
};
