//! Service tokens: JSON web tokens with which the services of a project call, each with a record that
//! says whether it is still valid.

mod authenticate;
mod list;
mod mint;
mod revoke;
mod rotate;
mod show;
mod token;

pub use self::{
    authenticate::{RecordUse, Use, authenticate, with_token},
    list::{ListTokens, StateFilter, TokenFilter, TokenQuery, list},
    mint::{Draft, MintError, Minted, SaveToken, mint},
    revoke::{RevokeTokenError, Revoked, revoke},
    rotate::{RotateTokenError, Rotation, rotate},
    show::{ShowTokenError, show},
    token::{
        DEFAULT_DAYS, FindToken, KEPT_AFTER_END, MAX_DAYS, Replaces, ServiceToken, TokenState, TokenStatus,
        USE_INTERVAL,
    },
};
