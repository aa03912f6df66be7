//! Sealing: bytes are encrypted, and authenticated together with what they belong to, so that they open there and
//! nowhere else.
//!
//! Sealed bytes are a salt of 16 bytes, then AES-256-GCM's ciphertext with its tag. Each has a key of its own,
//! HMAC-SHA256 of the salt under the sealing key, so that no nonce is ever used twice and all may be zero. What is
//! sealed is kept for years: the form does not change.

use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    error::Unspecified,
    hmac,
};

/// How many random bytes sealed bytes begin with.
pub const SALT: usize = 16;

/// With what bytes are sealed.
pub struct SealingKey(hmac::Key);

/// The bytes were sealed with another key, for something else, or not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsealable;

impl SealingKey {
    /// Takes a secret that nobody guesses: at least 32 random bytes, or text that was made of as many.
    pub fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    fn of_salt(&self, salt: &[u8]) -> Result<LessSafeKey, Unspecified> {
        let key = hmac::sign(&self.0, salt);
        UnboundKey::new(&AES_256_GCM, key.as_ref()).map(LessSafeKey::new)
    }

    /// The bytes, sealed for what they belong to. A salt is random, and used once.
    ///
    /// # Errors
    ///
    /// When there are more bytes than AES-GCM takes, which is 64 GB.
    pub fn seal(&self, salt: [u8; SALT], bound_to: &str, bytes: &[u8]) -> Result<Vec<u8>, Unsealable> {
        let mut sealed = bytes.to_vec();
        let key = self.of_salt(&salt).map_err(|_| Unsealable)?;
        key.seal_in_place_append_tag(nonce(), Aad::from(bound_to), &mut sealed).map_err(|_| Unsealable)?;
        Ok([&salt[..], &sealed].concat())
    }

    /// A tag of a text (HMAC-SHA256, 32 bytes), for one purpose: the same for the same text, and not to be had by whoever has
    /// no key. The purpose is at least as long as a salt, so that no tag is the key of something sealed.
    pub fn tag(&self, purpose: &str, text: &str) -> Vec<u8> {
        hmac::sign(&self.0, [purpose.as_bytes(), &[0], text.as_bytes()].concat().as_slice()).as_ref().to_vec()
    }

    /// What was sealed; it is decrypted in its place.
    ///
    /// # Errors
    ///
    /// When it was not sealed with this key, for just that.
    pub fn open<'sealed>(
        &self,
        bound_to: &str,
        sealed: &'sealed mut [u8],
    ) -> Result<&'sealed [u8], Unsealable> {
        let (salt, sealed) = sealed.split_at_mut_checked(SALT).ok_or(Unsealable)?;
        let key = self.of_salt(salt).map_err(|_| Unsealable)?;
        key.open_in_place(nonce(), Aad::from(bound_to), sealed).map(|bytes| &*bytes).map_err(|_| Unsealable)
    }
}

fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    fn key() -> SealingKey {
        SealingKey::new(b"a key")
    }

    fn sealed() -> Vec<u8> {
        key().seal([1; SALT], "ada", b"12345678901234567890").unwrap()
    }

    #[test]
    fn the_form_is_what_other_programs_make_of_the_same() {
        // HMAC and AES-GCM by Python's `hmac` and `cryptography`.
        let theirs = "0101010101010101010101010101010152c2c6470fb0c21bfff377e953bc80d8\
                      0ffc7db1a09c4aa07e83f11240e909123cb88f18";
        assert_eq!(HEXLOWER.encode(&sealed()), theirs);
    }

    #[test]
    fn it_opens_with_its_key_for_what_it_belongs_to_and_not_otherwise() {
        assert_eq!(key().open("ada", &mut sealed()), Ok(&b"12345678901234567890"[..]));
        for other in ["eve", "adaa", ""] {
            assert_eq!(key().open(other, &mut sealed()), Err(Unsealable), "{other:?}");
        }
        assert_eq!(SealingKey::new(b"another key").open("ada", &mut sealed()), Err(Unsealable));
    }

    #[test]
    fn changed_or_cut_it_does_not_open_whichever_bit_it_is() {
        for bit in 0..sealed().len() * 8 {
            let mut forged = sealed();
            forged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(key().open("ada", &mut forged), Err(Unsealable), "bit {bit}");
        }
        for length in 0..sealed().len() {
            assert_eq!(key().open("ada", &mut sealed()[..length]), Err(Unsealable), "{length} bytes");
        }
    }

    #[test]
    fn the_same_sealed_with_another_salt_is_something_else() {
        let other = key().seal([2; SALT], "ada", b"12345678901234567890").unwrap();
        assert_ne!(sealed()[SALT..], other[SALT..]);
    }
}
