//! Ed25519 by `ring`, in the place of the crates that `jsonwebtoken` would bring.

use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, EncodingKey,
    crypto::{CryptoProvider, JwkUtils, JwtSigner, JwtVerifier},
    errors::{ErrorKind, Result},
};
use ring::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};
use signature::{Error, Signer, Verifier};

static PROVIDER: CryptoProvider =
    CryptoProvider { signer_factory, verifier_factory, jwk_utils: JwkUtils::new_unimplemented() };

/// Makes `jsonwebtoken` use this. Doing it again changes nothing.
pub(crate) fn install() {
    // Refused when it is installed already, which is as good.
    let _installed = PROVIDER.install_default();
}

struct Ed25519Signer(Ed25519KeyPair);

impl Signer<Vec<u8>> for Ed25519Signer {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, Error> {
        Ok(self.0.sign(message).as_ref().to_vec())
    }
}

impl JwtSigner for Ed25519Signer {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

struct Ed25519Verifier(UnparsedPublicKey<Vec<u8>>);

impl Verifier<Vec<u8>> for Ed25519Verifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), Error> {
        self.0.verify(message, signature).map_err(|_| Error::new())
    }
}

impl JwtVerifier for Ed25519Verifier {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the library wants a function like this")]
fn signer_factory(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    check(*algorithm, key.family())?;
    let pair = Ed25519KeyPair::from_pkcs8(key.inner()).map_err(|_| ErrorKind::InvalidEddsaKey)?;
    Ok(Box::new(Ed25519Signer(pair)))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the library wants a function like this")]
fn verifier_factory(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    check(*algorithm, key.family())?;
    Ok(Box::new(Ed25519Verifier(UnparsedPublicKey::new(&ED25519, key.as_bytes().to_vec()))))
}

/// One key, one algorithm (RFC 8725, 3.1).
fn check(algorithm: Algorithm, family: AlgorithmFamily) -> Result<()> {
    if algorithm == Algorithm::EdDSA && family == AlgorithmFamily::Ed {
        Ok(())
    } else {
        Err(ErrorKind::InvalidAlgorithm.into())
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::BASE64URL_NOPAD;

    use super::*;

    /// RFC 8037, appendix A.1, A.4 and A.5.
    const PUBLIC: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    const MESSAGE: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    const SIGNATURE: &str =
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

    fn public_key() -> DecodingKey {
        DecodingKey::from_ed_der(&BASE64URL_NOPAD.decode(PUBLIC.as_bytes()).unwrap())
    }

    #[test]
    fn the_example_of_the_rfc_verifies_and_nothing_near_it_does() {
        install();
        let verify = |message: &str| {
            jsonwebtoken::crypto::verify(SIGNATURE, message.as_bytes(), &public_key(), Algorithm::EdDSA)
        };
        assert!(verify(MESSAGE).unwrap());
        assert!(!verify(&MESSAGE.replace('R', "S")).unwrap());
    }

    #[test]
    fn a_key_has_one_algorithm() {
        let secret = DecodingKey::from_secret(public_key().as_bytes());
        assert!(verifier_factory(&Algorithm::HS256, &secret).is_err());
        assert!(verifier_factory(&Algorithm::EdDSA, &secret).is_err());
        assert!(verifier_factory(&Algorithm::HS256, &public_key()).is_err());
        assert!(signer_factory(&Algorithm::HS256, &EncodingKey::from_secret(&[1; 32])).is_err());
        assert!(signer_factory(&Algorithm::EdDSA, &EncodingKey::from_ed_der(&[1; 32])).is_err());
    }
}
