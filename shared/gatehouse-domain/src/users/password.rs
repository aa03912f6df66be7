//! Which passwords may be chosen (ASVS 5.0, 6.2; NIST SP 800-63B, 3.1.1): long enough, and not what is guessed
//! first. There are no rules about kinds of characters.

use secrecy::{ExposeSecret, SecretString};

use super::{HashPassword, MAX_PASSWORD, MIN_PASSWORD};
use crate::{name::UserName, validation::FieldError};

/// Why a password is soon guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weakness {
    /// It is on every list of leaked passwords, or is one of them with a few signs changed or added.
    Common,
    /// It is made of names, words or dates of which there are few.
    Words,
    /// A row of keys, a repetition, a sequence.
    Pattern,
}

/// Says how soon a password would be guessed.
pub trait JudgePassword: Send + Sync {
    /// What is wrong with a password that is found within the guesses that somebody online can make in years;
    /// `None` of any other. `about` are words that somebody who knows the user would try.
    fn weakness(&self, password: &SecretString, about: &[&str]) -> Option<Weakness>;
}

/// What the rules for passwords need: to judge them, and to keep them.
pub trait Passwords: HashPassword + JudgePassword {}

impl<P: HashPassword + JudgePassword> Passwords for P {}

/// What is wrong with this password for this user, if anything is.
pub fn check_password(
    judge: &(impl JudgePassword + ?Sized),
    pointer: &str,
    password: &SecretString,
    user: &UserName,
) -> Vec<FieldError> {
    let text = password.expose_secret();
    let detail = if text.chars().count() < MIN_PASSWORD {
        "must have at least 8 characters"
    } else if text.len() > MAX_PASSWORD {
        "must be at most 1,024 bytes"
    } else if is_made_of(text, user.as_str()) {
        "is made of your user name: that is one of the first that anybody would try"
    } else if is_made_of(text, "gatehouse") {
        "is made of the name of this system: that is one of the first that anybody would try"
    } else {
        match judge.weakness(password, &[user.as_str(), "gatehouse"]) {
            None => return Vec::new(),
            Some(Weakness::Common) => {
                "is one of the first that anybody would try: it is, or resembles, a common password"
            }
            Some(Weakness::Words) => {
                "is one of the first that anybody would try: take more words, or rarer ones"
            }
            Some(Weakness::Pattern) => {
                "is one of the first that anybody would try: it is a row of keys, a repetition or a date"
            }
        }
    };
    vec![FieldError::new(pointer, detail)]
}

/// Whether the password is the name, or a part of it, with less than a password around it: `John.Smith-2026` for
/// `john.smith@example.com`.
fn is_made_of(password: &str, name: &str) -> bool {
    let letters = |text: &str| -> String {
        text.chars().flat_map(char::to_lowercase).filter(|c| c.is_alphanumeric()).collect()
    };
    let password = letters(password);
    let local = name.split('@').next().unwrap_or(name);
    let backwards = |text: &str| text.chars().rev().collect::<String>();
    let names = [letters(name), letters(local)];
    names.iter().flat_map(|name| [name.clone(), backwards(name)]).any(|name| {
        let rest = password.chars().count().saturating_sub(name.chars().count());
        name.chars().count() >= 3 && password.contains(&name) && rest < MIN_PASSWORD
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Finds nothing weak but one password.
    struct Knows(&'static str, Weakness);

    impl JudgePassword for Knows {
        fn weakness(&self, password: &SecretString, _about: &[&str]) -> Option<Weakness> {
            (password.expose_secret() == self.0).then_some(self.1)
        }
    }

    fn refusal(password: &str, user: &str) -> Option<String> {
        let judge = Knows("letmein99", Weakness::Common);
        let errors = check_password(&judge, "/password", &password.into(), &user.parse().unwrap());
        errors.into_iter().next().map(|error| error.detail)
    }

    #[test]
    fn short_long_and_weak_passwords_are_refused_with_the_reason() {
        assert!(refusal("seven77", "ada").unwrap().contains("8 characters"));
        assert!(refusal(&"x".repeat(1025), "ada").unwrap().contains("1,024 bytes"));
        assert!(refusal("letmein99", "ada").unwrap().contains("common password"));
        assert_eq!(refusal("eight888", "ada"), None);
    }

    #[test]
    fn what_is_made_of_the_own_name_is_refused_however_it_is_written() {
        for (name, local) in
            [("johnsmith", "johnsmith"), ("john.smith@example.com", "john.smith"), ("ada", "ada")]
        {
            let title: String =
                local.split_inclusive('.').map(|part| part[..1].to_uppercase() + &part[1..]).collect();
            let backwards: String = local.chars().rev().collect();
            for made in [local, &title, &local.to_uppercase(), &backwards, &local.replace('.', "")] {
                for (before, behind) in
                    [("", "1"), ("", "-2026"), ("!!", "!!"), ("123456", ""), ("", "1234567")]
                {
                    let password = format!("{before}{made}{behind}");
                    if password.chars().count() < MIN_PASSWORD {
                        continue;
                    }
                    let refusal = refusal(&password, name).unwrap_or_else(|| panic!("{password} for {name}"));
                    assert!(refusal.contains("your user name"), "{password}: {refusal}");
                }
            }
        }
        assert!(refusal("Gatehouse-2026", "ada").unwrap().contains("this system"));
    }

    #[test]
    fn a_name_within_a_whole_password_is_fine() {
        for good in ["ada likes correct horses", "adamant resolve", "johnsmith walks the dog at nine"] {
            assert_eq!(
                refusal(good, if good.starts_with("john") { "johnsmith" } else { "ada" }),
                None,
                "{good}"
            );
        }
    }
}
