//! Reading outputs, as `terraform output -json` prints them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::mask::Mask;

/// The outputs as Gatehouse may see them: of a sensitive one, only that it is there.
pub(crate) fn outputs(printed: &Value, mask: &Mask) -> BTreeMap<String, Value> {
    let outputs = || printed.as_object().into_iter().flatten();
    let sensitive = |output: &Value| output["sensitive"] != json!(false);
    // All of them first: another output may repeat one, in a text that the module's author thinks harmless.
    outputs()
        .filter(|(_, output)| sensitive(output))
        .for_each(|(_, output)| mask.hide_value(&output["value"]));
    let shown = outputs().map(|(name, output)| {
        let shown = if sensitive(output) {
            json!({ "sensitive": true })
        } else {
            json!({ "value": mask.value(output["value"].clone()) })
        };
        (name.clone(), shown)
    });
    shown.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sensitive_output_is_named_and_not_shown() {
        let printed = json!({
            "url": { "sensitive": false, "type": "string", "value": "https://x" },
            "dsn": { "sensitive": false, "type": "string", "value": "db://u:pa55word@h" },
            "password": { "sensitive": true, "type": "string", "value": "pa55word" },
            "ports": { "sensitive": false, "type": ["list", "number"], "value": [1, 2] },
        });
        let shown = outputs(&printed, &Mask::default());
        let expected = json!({
            "url": { "value": "https://x" },
            "dsn": { "value": "db://u:***@h" },
            "password": { "sensitive": true },
            "ports": { "value": [1, 2] },
        });
        assert_eq!(serde_json::to_value(shown).unwrap(), expected);
    }

    #[test]
    fn an_output_that_does_not_say_is_not_shown() {
        let shown = outputs(&json!({ "odd": { "value": "v" } }), &Mask::default());
        assert_eq!(shown["odd"], json!({ "sensitive": true }));
        assert!(outputs(&json!({}), &Mask::default()).is_empty());
    }
}
