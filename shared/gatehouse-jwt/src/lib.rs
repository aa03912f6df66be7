//! JSON web tokens of Gatehouse: signing and verifying, Ed25519 only.
//!
//! There are two kinds, sessions of people and tokens of services, which never pass for each other: each
//! has a header `typ`, an audience and claims of its own (RFC 8725, 3.11 and 3.12). Both are signed with
//! one algorithm, `EdDSA` (RFC 8037), by a key that Gatehouse made; nothing that a token says about keys
//! is believed, except which one of ours it names.

mod crypto;
mod jwks;
mod sign;
mod signer;
mod thumbprint;
mod verify;
mod wire;

pub use self::{
    jwks::{Jwk, JwkSet},
    sign::{KeyPair, Made, UnusableKey},
    signer::{SecretKeyPairs, Signer},
    thumbprint::thumbprint,
    verify::{LEEWAY, MAX_LENGTH, Refusal, Verified, Verifier},
    wire::Issuer,
};
