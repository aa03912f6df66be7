//! Reading outputs, as `terraform output -json` prints them.

use std::{cmp::Reverse, collections::BTreeMap};

use gatehouse_domain::json::{Json, Object};

use crate::mask::Mask;

/// Gatehouse takes outputs of so many bytes as JSON.
const LIMIT: usize = 32 * 1024;

/// Outputs as Gatehouse may see them.
pub(crate) struct Outputs {
    /// Of a sensitive one, and of one that is too large, only that it is there.
    pub(crate) shown: BTreeMap<String, Json>,
    /// The names of those that are too large.
    pub(crate) too_large: Vec<String>,
}

/// The outputs of a state. Where they measure too much together, the largest are left out until they do not.
pub(crate) fn outputs(printed: &Json, mask: &Mask) -> Outputs {
    let outputs = || printed.as_object().into_iter().flatten();
    let sensitive = |output: &Json| output["sensitive"] != Json::Bool(false);
    // All of them first: another output may repeat one, in a text that the module's author thinks harmless.
    outputs()
        .filter(|(_, output)| sensitive(output))
        .for_each(|(_, output)| mask.hide_value(&output["value"]));
    let shown = outputs().map(|(name, output)| {
        let shown = if sensitive(output) {
            member("sensitive", Json::Bool(true))
        } else {
            member("value", mask.value(output["value"].clone()))
        };
        (name.clone(), shown)
    });
    fit(shown.collect())
}

fn member(name: &str, value: Json) -> Json {
    Json::Object(Object::from([(name.to_owned(), value)]))
}

fn fit(mut shown: BTreeMap<String, Json>) -> Outputs {
    let mark = member("too_large", Json::Bool(true));
    let size = |value: &Json| value.to_string().len();
    let mut sizes: Vec<_> = shown.iter().map(|(name, value)| (size(value), name.clone())).collect();
    sizes.sort_by_key(|(size, name)| (Reverse(*size), name.clone()));
    let mut left = Json::Object(shown.clone()).to_string().len();
    let mut too_large = Vec::new();
    for (size_of_it, name) in sizes {
        if left <= LIMIT || size_of_it <= size(&mark) {
            break;
        }
        left -= size_of_it - size(&mark);
        shown.insert(name.clone(), mark.clone());
        too_large.push(name);
    }
    Outputs { shown, too_large }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_sensitive_output_is_named_and_not_shown() {
        let printed = json!({
            "url": { "sensitive": false, "type": "string", "value": "https://x" },
            "dsn": { "sensitive": false, "type": "string", "value": "db://u:pa55word@h" },
            "password": { "sensitive": true, "type": "string", "value": "pa55word" },
            "ports": { "sensitive": false, "type": ["list", "number"], "value": [1, 2] },
        });
        let shown = outputs(&printed.into(), &Mask::default()).shown;
        let expected = json!({
            "url": { "value": "https://x" },
            "dsn": { "value": "db://u:***@h" },
            "password": { "sensitive": true },
            "ports": { "value": [1, 2] },
        });
        assert_eq!(Json::Object(shown), expected.into());
    }

    #[test]
    fn numbers_are_told_as_terraform_prints_them() {
        let printed =
            r#"{"big":{"sensitive":false,"value":[123456789012345678901234567890,18446744073709551616]}}"#;
        let shown = outputs(&Json::parse(printed).unwrap(), &Mask::default()).shown;
        let expected = "[123456789012345678901234567890,18446744073709551616]";
        assert_eq!(shown["big"]["value"].to_string(), expected);
    }

    #[test]
    fn outputs_that_are_too_large_say_so_and_the_others_stay() {
        let printed = json!({
            "small": { "sensitive": false, "value": "here" },
            "large": { "sensitive": false, "value": "x".repeat(20_000) },
            "larger": { "sensitive": false, "value": "y".repeat(30_000) },
        });
        let outputs = outputs(&printed.into(), &Mask::default());
        assert_eq!(outputs.too_large, ["larger"]);
        assert_eq!(outputs.shown["larger"], json!({ "too_large": true }).into());
        assert_eq!(outputs.shown["small"], json!({ "value": "here" }).into());
        assert!(outputs.shown["large"]["value"].as_str().is_some());
        assert!(Json::Object(outputs.shown).to_string().len() <= LIMIT);
    }

    #[test]
    fn an_output_that_does_not_say_is_not_shown() {
        let shown = outputs(&json!({ "odd": { "value": "v" } }).into(), &Mask::default()).shown;
        assert_eq!(shown["odd"], json!({ "sensitive": true }).into());
        assert!(outputs(&json!({}).into(), &Mask::default()).shown.is_empty());
    }
}
