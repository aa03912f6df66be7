//! Secret inputs of modules, sealed for the environment that they are of.

use std::sync::Arc;

use async_trait::async_trait;
use data_encoding::{BASE64, HEXLOWER};
use gatehouse_domain::{
    catalog::{InputOwner, OpenInputs, SealError, SealInputs, SealedInput},
    clock::IdSource,
    idempotency::Fingerprint,
    json::Json,
    secret::{ReadSecret, SecretName},
};
use gatehouse_sealing::SealingKey;
use secrecy::{ExposeSecret, SecretString};

/// Seals inputs, and opens them. The key is the secret `input-key`.
pub struct InputSealer<S> {
    secrets: Arc<S>,
    ids: Arc<dyn IdSource>,
}

impl<S: ReadSecret> InputSealer<S> {
    /// Takes the sealing key from `secrets`, and chance from `ids`.
    pub fn new(secrets: Arc<S>, ids: Arc<dyn IdSource>) -> Self {
        Self { secrets, ids }
    }

    async fn secret(&self) -> Result<SecretString, SealError> {
        let read = self.secrets.read(&SecretName::input_key()).await;
        let secret = read.map_err(|error| SealError::Unavailable(Box::new(error)))?;
        secret.ok_or(SealError::Defect("there is no secret `input-key`"))
    }

    async fn key(&self) -> Result<SealingKey, SealError> {
        Ok(SealingKey::new(self.secret().await?.expose_secret().as_bytes()))
    }
}

fn bound_to(owner: InputOwner<'_>) -> String {
    let InputOwner { service, environment, input } = owner;
    format!("{service}/{environment}/{input}")
}

#[async_trait]
impl<S: ReadSecret> SealInputs for InputSealer<S> {
    async fn seal(&self, owner: InputOwner<'_>, value: &Json) -> Result<SealedInput, SealError> {
        let (key, text) = (self.key().await?, value.to_string());
        let sealed = key.seal(self.ids.random(), &bound_to(owner), text.as_bytes());
        let sealed = sealed.map_err(|_| SealError::Defect("it is too long"))?;
        Ok(SealedInput::unverified(BASE64.encode(&sealed)))
    }

    async fn blind(&self, fingerprint: &Fingerprint) -> Result<Fingerprint, SealError> {
        let tag = self.key().await?.tag("fingerprint of a request", fingerprint.as_str());
        Ok(Fingerprint::of(&[&HEXLOWER.encode(&tag)]))
    }
}

#[async_trait]
impl<S: ReadSecret> OpenInputs for InputSealer<S> {
    async fn open(&self, owner: InputOwner<'_>, sealed: &SealedInput) -> Result<Json, SealError> {
        let foreign = || SealError::Defect("it was sealed with another key, or for something else");
        let mut bytes = BASE64.decode(sealed.as_str().as_bytes()).map_err(|_| foreign())?;
        let key = self.key().await?;
        let text = key.open(&bound_to(owner), &mut bytes).map_err(|_| foreign())?;
        let text = std::str::from_utf8(text).map_err(|_| foreign())?;
        Json::parse(text).map_err(|_| foreign())
    }
}

#[cfg(test)]
mod tests {
    use gatehouse_domain::secret::SecretError;

    use super::*;

    /// A store with this key and nothing else.
    struct Key(Option<&'static str>);

    #[async_trait]
    impl ReadSecret for Key {
        async fn read(&self, name: &SecretName) -> Result<Option<SecretString>, SecretError> {
            assert_eq!(name.as_str(), "input-key");
            Ok(self.0.map(Into::into))
        }

        async fn read_fresh(&self, name: &SecretName) -> Result<Option<SecretString>, SecretError> {
            self.read(name).await
        }
    }

    /// Chance that is always the same.
    struct Same;

    impl IdSource for Same {
        fn random(&self) -> [u8; 16] {
            [1; 16]
        }
    }

    fn sealer(key: Option<&'static str>) -> InputSealer<Key> {
        InputSealer::new(Arc::new(Key(key)), Arc::new(Same))
    }

    const PLACES: [(&str, &str, &str); 4] = [
        ("svc_1", "dev", "key"),
        ("svc_1", "dev", "keys"),
        ("svc_1", "prod", "key"),
        ("svc_2", "dev", "key"),
    ];

    /// Runs `act` with one of the places as the owner.
    async fn at<T>(place: usize, act: impl AsyncFnOnce(InputOwner<'_>) -> T) -> T {
        let (service, environment, input) = PLACES[place];
        let (service, environment) = (service.parse().unwrap(), environment.parse().unwrap());
        act(InputOwner { service: &service, environment: &environment, input }).await
    }

    #[tokio::test]
    async fn a_value_opens_as_it_was_given_with_all_its_digits_where_it_belongs_and_not_elsewhere() {
        let key = sealer(Some("a key"));
        let value = Json::parse(r#"{"pin":12345678901234567890.10,"user":"canary"}"#).unwrap();
        let sealed = at(0, async |owner| key.seal(owner, &value).await.unwrap()).await;
        assert!(sealed.as_str().is_ascii() && !sealed.as_str().contains("canary"));
        assert_eq!(at(0, async |owner| key.open(owner, &sealed).await.unwrap()).await, value);
        for place in 1..PLACES.len() {
            let opened = at(place, async |owner| key.open(owner, &sealed).await).await;
            assert!(matches!(opened, Err(SealError::Defect(_))), "{place}: {opened:?}");
        }
        for broken in ["", "!", "AAAA"] {
            let broken = SealedInput::unverified(broken.to_owned());
            let opened = at(0, async |owner| key.open(owner, &broken).await).await;
            assert!(matches!(opened, Err(SealError::Defect(_))), "{broken:?}: {opened:?}");
        }
    }

    #[tokio::test]
    async fn without_the_key_nothing_is_sealed_or_opened() {
        let value = Json::from("canary");
        let sealed = at(0, async |owner| sealer(None).seal(owner, &value).await).await;
        assert!(matches!(sealed, Err(SealError::Defect("there is no secret `input-key`"))), "{sealed:?}");
        let sealed = at(0, async |owner| sealer(Some("a key")).seal(owner, &value).await.unwrap()).await;
        let opened = at(0, async |owner| sealer(Some("another")).open(owner, &sealed).await).await;
        assert!(matches!(opened, Err(SealError::Defect(_))), "{opened:?}");
    }

    #[tokio::test]
    async fn a_blind_fingerprint_is_the_same_for_the_same_request_and_needs_the_key() {
        let fingerprint = Fingerprint::of(&["canary"]);
        let blind = sealer(Some("a key")).blind(&fingerprint).await.unwrap();
        assert_eq!(blind, sealer(Some("a key")).blind(&fingerprint).await.unwrap());
        assert_ne!(blind, fingerprint);
        assert_ne!(blind, sealer(Some("another")).blind(&fingerprint).await.unwrap());
        assert_ne!(blind, sealer(Some("a key")).blind(&Fingerprint::of(&["canarz"])).await.unwrap());
    }
}
