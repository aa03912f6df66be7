//! The second factor: codes of one's own device (TOTP, RFC 6238), and recovery codes for when it is lost.
//!
//! A code is good once. Which one was used last is written in the transaction of what it was used for, under the
//! condition that no later one was.

use std::{collections::BTreeMap, fmt};

use async_trait::async_trait;
use data_encoding::{BASE32_NOPAD, HEXLOWER};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{clock::IdSource, name::UserName};

/// How many recovery codes there are.
pub const RECOVERY_CODES: usize = 10;

/// The longest code that is looked at, in bytes.
const MAX_CODE: usize = 64;

/// The secret of somebody's device, encrypted with a key that is not in the table.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SealedSecret(String);

impl SealedSecret {
    /// Takes text of the store, or of who seals, for a sealed secret.
    pub fn unverified(text: String) -> Self {
        Self(text)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SealedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealedSecret(..)")
    }
}

/// SHA-256 of a recovery code and whose it is, in hexadecimal digits. A code has 80 bits, so that a slow hash would add
/// nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecoveryCodeHash(String);

impl RecoveryCodeHash {
    fn of(user: &UserName, code: &str) -> Self {
        let digest = Sha256::digest(format!("gatehouse-recovery-code\0{user}\0{code}").as_bytes());
        Self(HEXLOWER.encode(&digest))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What is kept of somebody's second factor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecondFactor {
    pub secret: SealedSecret,
    /// The time step of the last code that was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_step: Option<u64>,
    /// The recovery codes that were not used, with when they were made.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub recovery_codes: BTreeMap<RecoveryCodeHash, Timestamp>,
}

/// A code that was right, and is not any more once this is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpentCode {
    /// That of a time step.
    Step(u64),
    Recovery(RecoveryCodeHash),
}

impl SpentCode {
    /// What the trail says of it.
    pub fn detail(&self) -> &'static str {
        match self {
            Self::Step(_) => "with a code",
            Self::Recovery(_) => "with a recovery code",
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("codes cannot be checked just now")]
pub struct CodesError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Makes the secrets of devices, and knows their codes.
#[async_trait]
pub trait OneTimeCodes: Send + Sync {
    /// A new secret of 160 bits: sealed for its user, and in base32, as programs take it.
    async fn new_secret(&self, user: &UserName) -> Result<(SealedSecret, SecretString), CodesError>;

    /// The time step whose code this is: that of `now`, or the one before or behind it.
    async fn step_of(
        &self,
        user: &UserName,
        secret: &SealedSecret,
        code: &SecretString,
        now: Timestamp,
    ) -> Result<Option<u64>, CodesError>;
}

impl SecondFactor {
    pub fn new(secret: SealedSecret) -> Self {
        Self { secret, last_step: None, recovery_codes: BTreeMap::new() }
    }

    /// What is spent where the code is right: of the device, and later than the last one, or a recovery code.
    pub async fn check(
        &self,
        codes: &dyn OneTimeCodes,
        user: &UserName,
        code: &SecretString,
        now: Timestamp,
    ) -> Result<Option<SpentCode>, CodesError> {
        let Some(code) = normalized(code) else { return Ok(None) };
        let hash = RecoveryCodeHash::of(user, code.expose_secret());
        if self.recovery_codes.contains_key(&hash) {
            return Ok(Some(SpentCode::Recovery(hash)));
        }
        let step = codes.step_of(user, &self.secret, &code, now).await?;
        Ok(step.filter(|step| self.last_step < Some(*step)).map(SpentCode::Step))
    }
}

/// The code without what people put between its letters; `None` of what is longer than any.
fn normalized(code: &SecretString) -> Option<SecretString> {
    let text = code.expose_secret();
    let letters = text.chars().filter(|sign| !matches!(sign, ' ' | '-'));
    (text.len() <= MAX_CODE).then(|| letters.flat_map(char::to_lowercase).collect::<String>().into())
}

/// New recovery codes, such as `abcd-efgh-ijkl-mnop`, and what is kept of them.
pub(super) fn recovery_codes(
    ids: &dyn IdSource,
    user: &UserName,
    now: Timestamp,
) -> (Vec<SecretString>, BTreeMap<RecoveryCodeHash, Timestamp>) {
    let code = || BASE32_NOPAD.encode(&Sha256::digest(ids.random())[..10]).to_lowercase();
    let codes: Vec<String> = (0..RECOVERY_CODES).map(|_| code()).collect();
    let kept = codes.iter().map(|code| (RecoveryCodeHash::of(user, code), now)).collect();
    let grouped = |code: String| {
        let (a, rest) = code.split_at(4);
        let (b, rest) = rest.split_at(4);
        let (c, d) = rest.split_at(4);
        format!("{a}-{b}-{c}-{d}").into()
    };
    (codes.into_iter().map(grouped).collect(), kept)
}

/// What programs that make codes take, as text or as an image: `otpauth://totp/…`.
pub(super) fn uri(user: &UserName, secret: &SecretString) -> SecretString {
    let secret = secret.expose_secret();
    format!(
        "otpauth://totp/Gatehouse:{user}?secret={secret}&issuer=Gatehouse&algorithm=SHA1&digits=6&period=30"
    )
    .into()
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::test_support::Hand;

    /// The code of a step is its number.
    struct Numbers;

    #[async_trait]
    impl OneTimeCodes for Numbers {
        async fn new_secret(&self, _: &UserName) -> Result<(SealedSecret, SecretString), CodesError> {
            Ok((SealedSecret::unverified("sealed".into()), "SECRET".into()))
        }

        async fn step_of(
            &self,
            _: &UserName,
            _: &SealedSecret,
            code: &SecretString,
            now: Timestamp,
        ) -> Result<Option<u64>, CodesError> {
            let current = u64::try_from(now.as_second()).unwrap() / 30;
            let step = code.expose_secret().parse().ok();
            Ok(step.filter(|step| current.abs_diff(*step) <= 1))
        }
    }

    fn ada() -> UserName {
        "ada".parse().unwrap()
    }

    fn check(factor: &SecondFactor, code: &str, second: i64) -> Option<SpentCode> {
        let now = Timestamp::from_second(second).unwrap();
        factor.check(&Numbers, &ada(), &code.into(), now).now_or_never().unwrap().unwrap()
    }

    /// The factor once the code is spent.
    fn spend(mut factor: SecondFactor, spent: &SpentCode) -> SecondFactor {
        match spent {
            SpentCode::Step(step) => factor.last_step = Some(*step),
            SpentCode::Recovery(hash) => drop(factor.recovery_codes.remove(hash)),
        }
        factor
    }

    #[test]
    fn a_code_is_good_once_and_none_before_it_is_any_more() {
        let mut factor = SecondFactor::new(SealedSecret::unverified("sealed".into()));
        for (code, second, good) in [
            ("100001", 3_000_000, true),
            ("100001", 3_000_001, false),
            ("100000", 3_000_001, false),
            ("99999", 3_000_001, false),
            ("100 002", 3_000_031, true),
            ("100003", 3_000_000, false),
            ("", 3_000_060, false),
            ("x", 3_000_060, false),
        ] {
            let spent = check(&factor, code, second);
            assert_eq!(spent.is_some(), good, "{code:?} at {second}");
            factor = spent.iter().fold(factor, spend);
        }
    }

    #[test]
    fn a_recovery_code_is_good_once_and_for_its_owner() {
        let now = Timestamp::from_second(0).unwrap();
        let (codes, kept) = recovery_codes(&Hand::default(), &ada(), now);
        assert_eq!((codes.len(), kept.len()), (RECOVERY_CODES, RECOVERY_CODES));
        let mut factor = SecondFactor::new(SealedSecret::unverified("sealed".into()));
        factor.recovery_codes = kept;
        for code in &codes {
            let code = code.expose_secret();
            assert_eq!(code.len(), 19, "{code}");
            let eve: UserName = "eve".parse().unwrap();
            let hers = factor.check(&Numbers, &eve, &code.into(), now).now_or_never().unwrap().unwrap();
            assert_eq!(hers, None);
            let spent = check(&factor, &code.to_uppercase().replace('-', " "), 0).expect("it is good");
            factor = spend(factor, &spent);
            assert_eq!(check(&factor, code, 0), None, "it is good twice");
        }
        assert!(factor.recovery_codes.is_empty());
        assert_eq!(check(&factor, &"a".repeat(65), 0), None);
    }

    #[test]
    fn no_secret_is_printed() {
        let (codes, _) = recovery_codes(&Hand::default(), &ada(), Timestamp::UNIX_EPOCH);
        let uri = uri(&ada(), &"JBSWY3DP".into());
        let printed = format!("{codes:?} {uri:?} {:?}", SealedSecret::unverified("sealed-text".into()));
        assert!(!printed.contains("JBSWY3DP") && !printed.contains("sealed-text"), "{printed}");
        assert!(codes.iter().all(|code| !printed.contains(code.expose_secret())));
        assert_eq!(
            uri.expose_secret(),
            "otpauth://totp/Gatehouse:ada?secret=JBSWY3DP&issuer=Gatehouse&algorithm=SHA1&digits=6&period=30"
        );
    }
}
