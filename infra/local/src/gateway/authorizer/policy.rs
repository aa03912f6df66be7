//! IAM policies, as far as an authorizer's answer uses them.

use serde::Deserialize;

/// The one action that an API's policy is about.
const INVOKE: &str = "execute-api:Invoke";

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Policy {
    #[serde(rename = "Version")]
    _version: Version,
    #[serde(rename = "Id", default)]
    _id: Option<String>,
    statement: OneOrMany<Statement>,
}

/// Deliberately without `Condition`, `NotAction` and `NotResource`: they are not played, and a policy
/// that holds them must not be taken for one without.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Statement {
    #[serde(rename = "Sid", default)]
    _sid: Option<String>,
    effect: Effect,
    action: OneOrMany<String>,
    resource: OneOrMany<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
enum Effect {
    Allow,
    Deny,
}

#[derive(Clone, Copy, Debug, Deserialize)]
enum Version {
    #[serde(rename = "2012-10-17")]
    Current,
    #[serde(rename = "2008-10-17")]
    Old,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

/// What a policy says about one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A statement allows it and none denies it.
    Allowed,
    /// A statement denies it.
    Denied,
    /// No statement is about it.
    NotMentioned,
}

impl<T> OneOrMany<T> {
    fn as_slice(&self) -> &[T] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::Many(values) => values,
        }
    }
}

impl Policy {
    /// Judges a call of the method with this ARN; a denial wins over everything.
    pub fn judge(&self, method_arn: &str) -> Verdict {
        let about = self.statement.as_slice().iter().filter(|statement| statement.matches(method_arn));
        let effects: Vec<Effect> = about.map(|statement| statement.effect).collect();
        if effects.contains(&Effect::Deny) {
            Verdict::Denied
        } else if effects.contains(&Effect::Allow) {
            Verdict::Allowed
        } else {
            Verdict::NotMentioned
        }
    }
}

impl Statement {
    fn matches(&self, method_arn: &str) -> bool {
        let action = INVOKE.to_ascii_lowercase();
        self.action.as_slice().iter().any(|pattern| wildcard(&pattern.to_ascii_lowercase(), &action))
            && self.resource.as_slice().iter().any(|pattern| wildcard(pattern, method_arn))
    }
}

/// `*` stands for any text, slashes included, and `?` for one character.
fn wildcard(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Where to continue when the text after the last `*` does not fit: one more character goes to the `*`.
    let mut retry = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                retry = Some((p + 1, t));
                p += 1;
            }
            Some(&c) if c == '?' || c == text[t] => (p, t) = (p + 1, t + 1),
            _ => {
                let Some((after_star, taken)) = retry else { return false };
                retry = Some((after_star, taken + 1));
                (p, t) = (after_star, taken + 1);
            }
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const ARN: &str = "arn:aws:execute-api:eu-west-1:000000000000:local/dev/GET/v1/jobs/a";

    fn judge(statements: &Value) -> Verdict {
        let document = json!({"Version": "2012-10-17", "Statement": statements});
        serde_json::from_value::<Policy>(document).unwrap().judge(ARN)
    }

    fn statement(effect: &str, resource: impl Into<Value>) -> Value {
        json!({"Effect": effect, "Action": "execute-api:Invoke", "Resource": resource.into()})
    }

    #[test]
    fn wildcards_match_as_in_iam() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("*", "a/b", true),
            ("a", "a", true),
            ("a", "ab", false),
            ("a", "A", false),
            ("", "", true),
            ("", "a", false),
            ("a*", "a", true),
            ("a*c", "abbc", true),
            ("a*c", "abcb", false),
            ("*/GET/*", "arn/dev/GET/x/y", true),
            ("*/GET/*", "arn/dev/POST/x", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("a?", "a/", true),
            ("**", "x", true),
            ("*a*a*", "aa", true),
            ("*a*a*", "a", false),
            ("x/v1/jobs", "x/v1/jobs/1", false),
            ("x/v1/jobs*", "x/v1/jobs/1", true),
            ("é?", "éü", true),
        ] {
            assert_eq!(wildcard(pattern, text), expected, "{pattern:?} on {text:?}");
        }
    }

    #[test]
    fn a_denial_wins_and_silence_is_not_consent() {
        let allow = statement("Allow", "arn:aws:execute-api:*:*:local/dev/*/v1/*");
        let deny = statement("Deny", json!(["arn:*/nowhere", "arn:aws:execute-api:*/GET/v1/jobs/?"]));
        assert_eq!(judge(&json!([allow])), Verdict::Allowed);
        assert_eq!(judge(&json!([allow, deny])), Verdict::Denied);
        assert_eq!(judge(&json!([deny, allow])), Verdict::Denied);
        assert_eq!(judge(&statement("Allow", "arn:aws:execute-api:*/dev/POST/*")), Verdict::NotMentioned);
        assert_eq!(judge(&json!([])), Verdict::NotMentioned);
    }

    #[test]
    fn only_the_invoke_action_counts() {
        let with_action = |action: Value| json!({"Effect": "Allow", "Action": action, "Resource": "*"});
        for action in [json!("*"), json!("execute-api:*"), json!(["s3:Get", "Execute-Api:Invoke"])] {
            assert_eq!(judge(&with_action(action)), Verdict::Allowed);
        }
        assert_eq!(judge(&with_action(json!("execute-api:ManageConnections"))), Verdict::NotMentioned);
    }

    #[test]
    fn what_is_not_played_is_not_a_policy() {
        let statement = |extra: (&str, Value)| {
            let mut statement = statement("Allow", "*");
            statement[extra.0] = extra.1;
            json!({"Version": "2012-10-17", "Statement": [statement]})
        };
        for document in [
            json!({"Statement": []}),
            json!({"Version": "2020-01-01", "Statement": []}),
            json!({"Version": "2012-10-17"}),
            statement(("Condition", json!({}))),
            statement(("NotResource", json!("*"))),
            statement(("Effect", json!("allow"))),
            statement(("Resource", json!(1))),
            statement(("Action", Value::Null)),
        ] {
            assert!(serde_json::from_value::<Policy>(document.clone()).is_err(), "{document}");
        }
    }

    proptest! {
        #[test]
        fn a_pattern_made_from_a_text_matches_it(text in "[a-c/]{0,20}", cut in 0_usize..20) {
            let cut = cut.min(text.len());
            let starred = format!("{}*{}", &text[..cut], &text[cut..]);
            prop_assert!(wildcard(&starred, &text));
        }
    }
}
