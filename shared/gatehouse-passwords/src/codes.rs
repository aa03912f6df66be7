//! Codes of a second factor: TOTP (RFC 6238) with SHA-1, six digits and thirty seconds, which is what every program
//! makes; and the sealing of their secrets. ADR 18 says why they are in the table, and sealed.

use std::sync::Arc;

use async_trait::async_trait;
use data_encoding::{BASE32_NOPAD, BASE64};
use gatehouse_domain::{
    clock::IdSource,
    name::UserName,
    secret::{ReadSecret, SecretName},
    users::{CodesError, OneTimeCodes, SealedSecret},
};
use gatehouse_sealing::SealingKey;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use totp_rs::{Algorithm, Builder, Secret};

/// How long a code is shown, in seconds.
const STEP: u64 = 30;

/// The length of a secret, in bytes (RFC 4226, section 4).
const SECRET: usize = 20;

/// Why codes cannot be checked: a defect of the installation, and never of what a caller sent.
#[derive(Debug, thiserror::Error)]
enum Defect {
    #[error("there is no secret `second-factor-key`")]
    NoKey,
    #[error("a sealed secret was sealed with another key, or for somebody else")]
    Unsealable,
    #[error("the secret is none of a device")]
    Unusable,
}

impl From<Defect> for CodesError {
    fn from(defect: Defect) -> Self {
        Self(Box::new(defect))
    }
}

/// Makes secrets, and knows their codes. The key that seals them is the secret `second-factor-key`.
pub struct Totp<S> {
    secrets: Arc<S>,
    ids: Arc<dyn IdSource>,
}

impl<S: ReadSecret> Totp<S> {
    /// Takes the sealing key from `secrets`, and chance from `ids`.
    pub fn new(secrets: Arc<S>, ids: Arc<dyn IdSource>) -> Self {
        Self { secrets, ids }
    }

    async fn key(&self) -> Result<SealingKey, CodesError> {
        let name = SecretName::second_factor_key();
        let secret = self.secrets.read(&name).await.map_err(|error| CodesError(Box::new(error)))?;
        let secret = secret.ok_or(Defect::NoKey)?;
        Ok(SealingKey::new(secret.expose_secret().as_bytes()))
    }

    async fn open(&self, user: &UserName, sealed: &SealedSecret) -> Result<[u8; SECRET], CodesError> {
        let mut bytes = BASE64.decode(sealed.as_str().as_bytes()).map_err(|_| Defect::Unsealable)?;
        let key = self.key().await?;
        let secret = key.open(user.as_str(), &mut bytes).map_err(|_| Defect::Unsealable)?;
        Ok(<[u8; SECRET]>::try_from(secret).map_err(|_| Defect::Unusable)?)
    }
}

#[async_trait]
impl<S: ReadSecret> OneTimeCodes for Totp<S> {
    async fn new_secret(&self, user: &UserName) -> Result<(SealedSecret, SecretString), CodesError> {
        let random = [self.ids.random(), self.ids.random()].concat();
        let secret = &random[..SECRET];
        let text = SecretString::from(BASE32_NOPAD.encode(secret));
        let key = self.key().await?;
        let sealed = key.seal(self.ids.random(), user.as_str(), secret).map_err(|_| Defect::Unusable)?;
        let sealed = BASE64.encode(&sealed);
        Ok((SealedSecret::unverified(sealed), text))
    }

    async fn step_of(
        &self,
        user: &UserName,
        secret: &SealedSecret,
        code: &SecretString,
        now: Timestamp,
    ) -> Result<Option<u64>, CodesError> {
        let secret = self.open(user, secret).await?;
        let totp = Builder::new()
            .with_algorithm(Algorithm::SHA1)
            .with_digits(6)
            .with_skew(1)
            .with_step_duration(STEP)
            .with_secret(Secret::new_stack(secret))
            .build()
            .map_err(|_| Defect::Unusable)?;
        let Ok(second) = u64::try_from(now.as_second()) else { return Ok(None) };
        Ok(totp.check(code.expose_secret(), second))
    }
}

#[cfg(test)]
mod tests {
    use gatehouse_domain::secret::SecretError;

    use super::*;

    /// A store with this sealing key and nothing else.
    struct Key(Option<&'static str>);

    #[async_trait]
    impl ReadSecret for Key {
        async fn read(&self, name: &SecretName) -> Result<Option<SecretString>, SecretError> {
            assert_eq!(name.as_str(), "second-factor-key");
            Ok(self.0.map(Into::into))
        }

        async fn read_fresh(&self, name: &SecretName) -> Result<Option<SecretString>, SecretError> {
            self.read(name).await
        }
    }

    /// Chance that is the secret of RFC 6238, appendix B, at first.
    struct Rfc;

    impl IdSource for Rfc {
        fn random(&self) -> [u8; 16] {
            *b"1234567890123456"
        }
    }

    fn totp(key: Option<&'static str>) -> Totp<Key> {
        Totp::new(Arc::new(Key(key)), Arc::new(Rfc))
    }

    fn ada() -> UserName {
        "ada".parse().unwrap()
    }

    async fn seal(totp: &Totp<Key>, secret: &[u8; SECRET]) -> SealedSecret {
        let sealed = totp.key().await.unwrap().seal([1; 16], "ada", secret).unwrap();
        SealedSecret::unverified(BASE64.encode(&sealed))
    }

    #[tokio::test]
    async fn the_codes_are_those_of_the_rfc() {
        let totp = totp(Some("a key"));
        let secret = seal(&totp, b"12345678901234567890").await;
        // RFC 6238, appendix B: the last six of eight digits.
        for (second, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            let step = |at: i64| {
                let (totp, secret) = (&totp, &secret);
                async move {
                    let now = Timestamp::from_second(at).unwrap();
                    totp.step_of(&ada(), secret, &code.into(), now).await.unwrap()
                }
            };
            let own = u64::try_from(second).unwrap() / 30;
            for at in [second - 30, second, second + 30] {
                assert_eq!(step(at).await, Some(own), "{code} at {at}");
            }
            for at in [second + 60, second + 90] {
                assert_eq!(step(at).await, None, "{code} at {at}");
            }
        }
        let now = Timestamp::from_second(59).unwrap();
        for wrong in ["287083", "28708", "2870820", "+87082", "", "２８７０８２"] {
            assert_eq!(totp.step_of(&ada(), &secret, &wrong.into(), now).await.unwrap(), None, "{wrong:?}");
        }
    }

    #[tokio::test]
    async fn a_secret_is_opened_for_its_user_with_its_key_and_not_otherwise() {
        let (own, now) = (totp(Some("a key")), Timestamp::from_second(59).unwrap());
        let (sealed, text) = own.new_secret(&ada()).await.unwrap();
        assert_eq!(BASE32_NOPAD.decode(text.expose_secret().as_bytes()).unwrap().len(), SECRET);
        let code = SecretString::from("000000");
        own.step_of(&ada(), &sealed, &code, now).await.expect("it is opened");
        let eve = "eve".parse().unwrap();
        assert!(own.step_of(&eve, &sealed, &code, now).await.is_err(), "it is opened for somebody else");
        for key in [Some("another key"), None] {
            assert!(
                totp(key).step_of(&ada(), &sealed, &code, now).await.is_err(),
                "it is opened with {key:?}"
            );
        }
        let mut bytes = BASE64.decode(sealed.as_str().as_bytes()).unwrap();
        for place in 0..bytes.len() {
            bytes[place] ^= 1;
            let changed = SealedSecret::unverified(BASE64.encode(&bytes));
            assert!(own.step_of(&ada(), &changed, &code, now).await.is_err(), "byte {place}");
            bytes[place] ^= 1;
        }
        for broken in ["", "x", "AAAA"] {
            let broken = SealedSecret::unverified(broken.into());
            assert!(own.step_of(&ada(), &broken, &code, now).await.is_err());
        }
    }
}
