//! Finding out whether a token is one of ours.

use std::{collections::HashMap, time::Duration};

use data_encoding::BASE64URL_NOPAD;
use gatehouse_domain::{
    claims::{ServiceClaims, SessionClaims},
    id::{KeyId, SessionId},
    signing::{KeyRing, SigningKey},
};
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, errors::ErrorKind};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    crypto,
    wire::{ALGORITHM, Issuer, Kind, Object, SERVICE, ServiceMembers, SessionMembers},
};

/// The longest token that is looked at, in bytes: ours have some 500.
pub const MAX_LENGTH: usize = 4096;

/// How far the clocks of who signs and who verifies may be apart. It is granted to `iat`, and to the life
/// of sessions; never to `exp`.
pub const LEEWAY: Duration = Duration::from_secs(30);

/// The first second of the year 2100: no token of ours speaks of later times.
const END_OF_TIME: u64 = 4_102_444_800;

/// A token that is ours, was not changed, and has not expired. Whether it was revoked, its record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verified {
    Session(SessionClaims),
    Service(ServiceClaims),
}

/// Why a token is not accepted. Nothing of it is in the messages but the id of a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It has more than [`MAX_LENGTH`] bytes.
    #[error("the token is too long")]
    TooLong,
    /// It is not three parts of base64url.
    #[error("the token is not three parts of base64url")]
    Form,
    /// The header cannot be read, or has other members than `typ`, `alg` and `kid`.
    #[error("the token's header is not one of ours")]
    Header,
    /// The algorithm is another one.
    #[error("the token's algorithm is not ours")]
    Algorithm,
    /// It is of no kind that we make.
    #[error("the token is of no kind that we make")]
    Kind,
    /// It names a key that is not in the ring. The ring may be too old.
    #[error("the token names the key {}, which is not in the ring", .0.as_str())]
    UnknownKey(KeyId),
    /// The signature is not one of the key.
    #[error("the token's signature is wrong")]
    Signature,
    /// A claim is missing, unknown, repeated or not of its form.
    #[error("the token's claims are not those of its kind")]
    Claims,
    /// Somebody else made it.
    #[error("the token is of another issuer")]
    Issuer,
    /// It is for somebody else.
    #[error("the token is for another audience")]
    Audience,
    /// Its times cannot be: after 2099, ending before it begins, or too far apart.
    #[error("the token's times cannot be")]
    Times,
    #[error("the token was issued in the future")]
    TooEarly,
    /// Its time is over.
    #[error("the token has ended")]
    Ended,
}

/// Verifies tokens with the keys of a ring.
pub struct Verifier {
    issuer: Issuer,
    keys: HashMap<KeyId, DecodingKey>,
    validation: Validation,
}

/// A JOSE header (RFC 7515, 4) with the members that ours have. Any other one (`jku`, `jwk`, `x5u`, `x5c`,
/// `crit`, `b64`, `cty`, …) and any repeated one is refused, whatever it says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    typ: String,
    alg: String,
    kid: String,
}

impl Verifier {
    /// Verifies tokens of `issuer` with every key of `ring`. A key that cannot be parsed is left out.
    pub fn new(issuer: Issuer, ring: &KeyRing) -> Self {
        crypto::install();
        let keys = ring.keys.iter().filter_map(|key| Some((key.kid.clone(), decoding_key(key)?)));
        Self { issuer, keys: keys.collect(), validation: signature_only() }
    }

    /// Whether the ring had this key.
    pub fn knows(&self, kid: &KeyId) -> bool {
        self.keys.contains_key(kid)
    }

    /// Verifies a token as RFC 7515, 5.2 and RFC 7519, 7.2 say, within the bounds of RFC 8725, 3: one
    /// algorithm, keys of our own only, and rules for each kind that exclude the other.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Verified, Refusal> {
        let header = header(token)?;
        let kind = Kind::from_typ(&header.typ).ok_or(Refusal::Kind)?;
        let named = header.kid.parse::<KeyId>().map_err(|_| Refusal::Header)?;
        let Some(key) = self.keys.get(&named) else { return Err(Refusal::UnknownKey(named)) };
        match kind {
            Kind::Session => self.session(self.claims(token, key)?, now).map(Verified::Session),
            Kind::Service => self.service(self.claims(token, key)?, now).map(Verified::Service),
        }
    }

    /// The claims, which are read only after the signature was found to be right.
    fn claims<T: DeserializeOwned>(&self, token: &str, key: &DecodingKey) -> Result<T, Refusal> {
        match jsonwebtoken::decode::<Object<T>>(token, key, &self.validation) {
            Ok(data) => Ok(data.claims.0),
            Err(error) => Err(match error.kind() {
                ErrorKind::InvalidSignature => Refusal::Signature,
                ErrorKind::Base64(_) => Refusal::Form,
                _ => Refusal::Claims,
            }),
        }
    }

    fn session(&self, members: SessionMembers, now: Timestamp) -> Result<SessionClaims, Refusal> {
        self.check_parties(Kind::Session, &members.iss, &members.aud)?;
        let id = members.jti.parse::<SessionId>().map_err(|_| Refusal::Claims)?;
        let (issued_at, expires_at) =
            times(members.iat, members.exp, Kind::Session.longest_life() + LEEWAY, now)?;
        Ok(SessionClaims { id, user: members.sub, issued_at, expires_at })
    }

    fn service(&self, members: ServiceMembers, now: Timestamp) -> Result<ServiceClaims, Refusal> {
        self.check_parties(Kind::Service, &members.iss, &members.aud)?;
        if members.typ != SERVICE {
            return Err(Refusal::Claims);
        }
        let (issued_at, expires_at) = times(members.iat, members.exp, Kind::Service.longest_life(), now)?;
        let ServiceMembers { jti, project, service, .. } = members;
        Ok(ServiceClaims { jti, project, service, issued_at, expires_at })
    }

    /// RFC 8725, 3.8 and 3.9.
    fn check_parties(&self, kind: Kind, issuer: &str, audience: &str) -> Result<(), Refusal> {
        if issuer != self.issuer.as_str() {
            return Err(Refusal::Issuer);
        }
        if audience == kind.audience() { Ok(()) } else { Err(Refusal::Audience) }
    }
}

/// Reads the header of a token of the right form. Nothing is decoded before the form is right.
fn header(token: &str) -> Result<Header, Refusal> {
    if token.len() > MAX_LENGTH {
        return Err(Refusal::TooLong);
    }
    let mut parts = token.split('.');
    let [Some(header), Some(claims), Some(signature), None] = std::array::from_fn(|_| parts.next()) else {
        return Err(Refusal::Form);
    };
    if ![header, claims, signature].into_iter().all(is_base64url) {
        return Err(Refusal::Form);
    }
    let json = BASE64URL_NOPAD.decode(header.as_bytes()).map_err(|_| Refusal::Form)?;
    let Object(header): Object<Header> = serde_json::from_slice(&json).map_err(|_| Refusal::Header)?;
    if header.alg == ALGORITHM { Ok(header) } else { Err(Refusal::Algorithm) }
}

/// Whether a part is made of base64url (RFC 7515, 2), which has no padding.
fn is_base64url(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// When a token begins and ends (RFC 7519, 4.1.4 and 4.1.6), if those times can be and now lies between.
fn times(iat: u64, exp: u64, longest: Duration, now: Timestamp) -> Result<(Timestamp, Timestamp), Refusal> {
    let (issued_at, expires_at) = (time(iat)?, time(exp)?);
    if exp <= iat || exp - iat > longest.as_secs() {
        return Err(Refusal::Times);
    }
    if issued_at > now + LEEWAY {
        return Err(Refusal::TooEarly);
    }
    if expires_at <= now { Err(Refusal::Ended) } else { Ok((issued_at, expires_at)) }
}

fn time(seconds: u64) -> Result<Timestamp, Refusal> {
    let seconds = i64::try_from(seconds).ok().filter(|_| seconds < END_OF_TIME);
    seconds.and_then(|seconds| Timestamp::from_second(seconds).ok()).ok_or(Refusal::Times)
}

fn decoding_key(key: &SigningKey) -> Option<DecodingKey> {
    let bytes = BASE64URL_NOPAD.decode(key.public_key.as_bytes()).ok()?;
    (bytes.len() == 32).then(|| DecodingKey::from_ed_der(&bytes))
}

/// The library looks at the signature only: claims are checked here, with a time that is given.
fn signature_only() -> Validation {
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}
