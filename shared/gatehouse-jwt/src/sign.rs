//! Making keys, and signing with them.

use data_encoding::{BASE64, BASE64URL_NOPAD};
use gatehouse_domain::{
    claims::{ServiceClaims, SessionClaims},
    id::KeyId,
};
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use ring::{
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair as _},
};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use serde::Serialize;

use crate::{
    crypto,
    thumbprint::thumbprint,
    wire::{Issuer, Kind, SERVICE, ServiceMembers, SessionMembers},
};

/// A key pair with which nothing can be signed. Why is not said: the reason would be in a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signing key is not usable")]
pub struct UnusableKey;

/// A key pair that was just made.
#[derive(Debug)]
pub struct Made {
    pub kid: KeyId,
    /// The public half: 32 bytes, base64url without padding, as in a JWK's `x` (RFC 8037, 2).
    pub public_key: String,
    /// The private half: PKCS#8 version 2 (RFC 5958), base64.
    pub private_key: SecretString,
}

/// A key pair that signs.
pub struct KeyPair {
    kid: KeyId,
    key: EncodingKey,
}

impl std::fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyPair({}, ..)", self.kid.as_str())
    }
}

impl KeyPair {
    /// Makes a pair from the system's random source.
    pub fn generate() -> Result<Made, UnusableKey> {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| UnusableKey)?;
        let public_key = public_key(document.as_ref())?;
        Ok(Made {
            kid: thumbprint(&public_key),
            public_key: BASE64URL_NOPAD.encode(&public_key),
            private_key: BASE64.encode(document.as_ref()).into(),
        })
    }

    /// Reads the private half that [`KeyPair::generate`] made, and makes sure that it is the one of `kid`.
    pub fn from_secret(kid: &KeyId, private_key: &SecretString) -> Result<Self, UnusableKey> {
        let document = BASE64.decode(private_key.expose_secret().as_bytes()).map_err(|_| UnusableKey)?;
        let document = SecretSlice::from(document);
        if thumbprint(&public_key(document.expose_secret())?) != *kid {
            return Err(UnusableKey);
        }
        crypto::install();
        Ok(Self { kid: kid.clone(), key: EncodingKey::from_ed_der(document.expose_secret()) })
    }

    pub fn kid(&self) -> &KeyId {
        &self.kid
    }

    /// Signs a session: a JWS in compact serialization (RFC 7515, 7.1) of JWT claims (RFC 7519, 4).
    pub fn sign_session(&self, issuer: &Issuer, claims: &SessionClaims) -> Result<SecretString, UnusableKey> {
        let members = SessionMembers {
            iss: issuer.as_str().to_owned(),
            aud: Kind::Session.audience().to_owned(),
            sub: claims.user.clone(),
            jti: claims.id.as_str().to_owned(),
            iat: seconds(claims.issued_at)?,
            exp: seconds(claims.expires_at)?,
        };
        self.sign(Kind::Session, &members)
    }

    /// Signs a service token: a JWS in compact serialization (RFC 7515, 7.1) of JWT claims (RFC 7519, 4).
    pub fn sign_service_token(
        &self,
        issuer: &Issuer,
        claims: &ServiceClaims,
    ) -> Result<SecretString, UnusableKey> {
        let members = ServiceMembers {
            iss: issuer.as_str().to_owned(),
            aud: Kind::Service.audience().to_owned(),
            jti: claims.jti.clone(),
            project: claims.project.clone(),
            service: claims.service.clone(),
            iat: seconds(claims.issued_at)?,
            exp: seconds(claims.expires_at)?,
            typ: SERVICE.to_owned(),
        };
        self.sign(Kind::Service, &members)
    }

    fn sign(&self, kind: Kind, members: &impl Serialize) -> Result<SecretString, UnusableKey> {
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(kind.typ().to_owned());
        header.kid = Some(self.kid.as_str().to_owned());
        let token = jsonwebtoken::encode(&header, members, &self.key).map_err(|_| UnusableKey)?;
        Ok(token.into())
    }
}

fn public_key(document: &[u8]) -> Result<[u8; 32], UnusableKey> {
    let pair = Ed25519KeyPair::from_pkcs8(document).map_err(|_| UnusableKey)?;
    pair.public_key().as_ref().try_into().map_err(|_| UnusableKey)
}

/// A time as tokens say it (RFC 7519, 2, `NumericDate`).
fn seconds(time: Timestamp) -> Result<u64, UnusableKey> {
    u64::try_from(time.as_second()).map_err(|_| UnusableKey)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_that_was_made_can_be_read_again() {
        let made = KeyPair::generate().unwrap();
        assert_eq!(KeyPair::from_secret(&made.kid, &made.private_key).unwrap().kid(), &made.kid);
    }

    #[test]
    fn a_secret_of_another_key_is_refused() {
        let (one, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        assert_eq!(KeyPair::from_secret(&one.kid, &other.private_key).unwrap_err(), UnusableKey);
        for bad in ["", "?", "AAAA", "{}"] {
            assert!(KeyPair::from_secret(&one.kid, &bad.into()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn debug_output_shows_no_private_key() {
        let made = KeyPair::generate().unwrap();
        let pair = KeyPair::from_secret(&made.kid, &made.private_key).unwrap();
        let shown = format!("{made:?} {pair:?}");
        assert!(shown.contains(made.kid.as_str()) && !shown.contains(made.private_key.expose_secret()));
    }
}
