//! How soon a password would be guessed, by zxcvbn: lists of leaked passwords, names and words, with what people do
//! to them.

use gatehouse_domain::users::Weakness;
use zxcvbn::{feedback::Warning, zxcvbn};

/// How many guesses a password must take. Of one account, less than 2,000 can be made in a day.
const GUESSES: u64 = 1_000_000;

/// How much of a password is looked at, in characters: what is longer is not weak, and takes long.
const LOOKED_AT: usize = 64;

/// What is wrong with `password`, if it is found within [`GUESSES`].
pub(crate) fn weakness(password: &str, about: &[&str]) -> Option<Weakness> {
    let looked_at: String = password.chars().take(LOOKED_AT).collect();
    // A capital hides a row of letters from it, and from nobody who guesses.
    let forms = [looked_at.to_lowercase(), looked_at].map(|form| zxcvbn(&form, about));
    let entropy = forms.iter().min_by_key(|entropy| entropy.guesses())?;
    if entropy.guesses() >= GUESSES {
        return None;
    }
    Some(match entropy.feedback().and_then(zxcvbn::feedback::Feedback::warning) {
        Some(
            Warning::StraightRowsOfKeysAreEasyToGuess
            | Warning::ShortKeyboardPatternsAreEasyToGuess
            | Warning::RepeatsLikeAaaAreEasyToGuess
            | Warning::RepeatsLikeAbcAbcAreOnlySlightlyHarderToGuess
            | Warning::SequencesLikeAbcAreEasyToGuess
            | Warning::RecentYearsAreEasyToGuess
            | Warning::DatesAreOftenEasyToGuess,
        ) => Weakness::Pattern,
        Some(
            Warning::ThisIsATop10Password
            | Warning::ThisIsATop100Password
            | Warning::ThisIsACommonPassword
            | Warning::ThisIsSimilarToACommonlyUsedPassword,
        ) => Weakness::Common,
        // Names and words, which it does not always warn of.
        Some(_) | None => Weakness::Words,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the top of lists of leaked passwords, all of which fit the other rules.
    const LEAKED: &[&str] = &[
        "password",
        "12345678",
        "123456789",
        "1234567890",
        "qwertyuiop",
        "iloveyou",
        "princess",
        "sunshine",
        "football",
        "baseball",
        "superman",
        "trustno1",
        "starwars",
        "whatever",
        "jennifer",
        "michelle",
        "corvette",
        "mercedes",
        "computer",
        "internet",
        "samantha",
        "liverpool",
        "butterfly",
        "chocolate",
        "babygirl",
        "password1",
        "q1w2e3r4",
        "1q2w3e4r",
        "1qaz2wsx",
        "zaq12wsx",
        "asdfghjkl",
        "zxcvbnm1",
        "11111111",
        "00000000",
        "87654321",
        "abcd1234",
        "abc12345",
        "aaaaaaaa",
        "changeme",
        "welcome1",
        "letmein1",
        "admin123",
        "charlie1",
        "midnight",
        "blink182",
        "metallica",
        "elizabeth",
        "chelsea1",
        "jordan23",
        "basketball",
        "ferrari1",
        "nicholas",
        "victoria",
    ];

    /// What people do to a word that is not taken.
    fn changed(word: &str) -> Vec<String> {
        let (first, rest) = word.split_at(1);
        let leet: String = word
            .chars()
            .map(|c| match c {
                'a' => '@',
                'o' => '0',
                'e' => '3',
                c => c,
            })
            .collect();
        let title = first.to_uppercase() + rest;
        let ended = [word, &title]
            .into_iter()
            .flat_map(|form| ["", "1", "!", "12", "99"].map(|end| format!("{form}{end}")));
        // Between digits, a digit in place of a letter is none of a word.
        let leet = word.chars().all(char::is_alphabetic).then_some(leet);
        ended.chain(leet).collect()
    }

    #[test]
    fn leaked_passwords_and_what_people_make_of_them_are_weak() {
        for password in LEAKED.iter().flat_map(|word| changed(word)) {
            assert!(weakness(&password, &[]).is_some(), "{password}");
        }
    }

    #[test]
    fn the_passwords_of_the_findings_are_weak_and_what_is_said_of_them_fits() {
        assert_eq!(weakness("P@ssw0rd1", &[]), Some(Weakness::Common));
        assert_eq!(weakness("qwerty12", &[]), Some(Weakness::Common));
        assert_eq!(weakness("summer2026", &[]), Some(Weakness::Common));
        assert!(weakness("johnsmith1", &["johnsmith"]).is_some());
        assert_eq!(weakness("asdfghjkl;", &[]), Some(Weakness::Pattern));
        assert_eq!(weakness("abcabcabcabc", &[]), Some(Weakness::Pattern));
        assert_eq!(weakness("adalovelace", &["ada"]), Some(Weakness::Words));
        for season in ["spring", "summer", "autumn", "winter"] {
            for year in 2000..2030 {
                assert!(weakness(&format!("{season}{year}"), &[]).is_some(), "{season}{year}");
            }
        }
    }

    #[test]
    fn passphrases_and_random_ones_are_fine() {
        for good in [
            "correct horse battery",
            "blue skies only",
            "green fields only",
            "Öl äußerst übel1",
            "ñandú éxito",
            "kT9#mvQ2",
            "a5fj3kd8",
            "mein Hund frisst gerne Schuhe",
            "顧客の信頼を大切にする",
        ] {
            assert_eq!(weakness(good, &["ada"]), None, "{good}");
        }
        assert_eq!(weakness(&"so many words in one long sentence ".repeat(29), &["ada"]), None);
    }
}
