//! Comparing a work order's inputs with what the module declares, before Terraform runs.

use gatehouse_domain::json::Object;
use gatehouse_modules::{OWN, Variables};

/// Why the inputs do not fit the module. Values are never shown.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// The input is not the caller's to give.
    #[error("the input `gatehouse` is Gatehouse's own")]
    Reserved,
    /// Inputs that nothing would read.
    #[error("the module `{module}` has no input {}; it has: {}", quoted(unknown), quoted(known))]
    Unknown {
        module: String,
        unknown: Vec<String>,
        /// What the module takes.
        known: Vec<String>,
    },
    /// Inputs without which nothing works.
    #[error("the module `{module}` needs the input {}", quoted(missing))]
    Missing { module: String, missing: Vec<String> },
}

/// Checks that every input is one of the module's, and that none is missing but what Gatehouse tells by itself.
pub(crate) fn check(
    module: &str,
    variables: &Variables,
    told: &Object,
    inputs: &Object,
) -> Result<(), InputError> {
    let module = module.to_owned();
    if inputs.contains_key(OWN) {
        return Err(InputError::Reserved);
    }
    let theirs = || variables.iter().filter(|(name, _)| *name != OWN);
    let unknown: Vec<_> = inputs.keys().filter(|name| !variables.contains_key(*name)).cloned().collect();
    if !unknown.is_empty() {
        let known = theirs().map(|(name, _)| name.clone()).collect();
        return Err(InputError::Unknown { module, unknown, known });
    }
    let given = |name: &String| inputs.contains_key(name) || told.contains_key(name);
    let missing = theirs().filter(|(name, variable)| variable.default.is_none() && !given(name));
    let missing: Vec<_> = missing.map(|(name, _)| name.clone()).collect();
    if missing.is_empty() { Ok(()) } else { Err(InputError::Missing { module, missing }) }
}

fn quoted(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        names => names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
    }
}

#[cfg(test)]
mod tests {
    use gatehouse_domain::json::object;
    use gatehouse_modules::Variable;
    use serde_json::{Value, json};

    use super::*;

    fn checked(declared: &[(&str, bool)], inputs: &Value) -> Result<(), String> {
        let variables = declared.iter().map(|(name, optional)| {
            let default = optional.then(|| json!(0).into());
            ((*name).to_owned(), Variable { default, ..Variable::default() })
        });
        let told = object(json!({ "tags": {} }).as_object().unwrap().clone());
        let inputs = object(inputs.as_object().unwrap().clone());
        check("bucket", &variables.collect(), &told, &inputs).map_err(|error| error.to_string())
    }

    #[test]
    fn inputs_that_fit_are_taken() {
        let declared = [("gatehouse", false), ("name", false), ("size", true), ("tags", false)];
        assert_eq!(checked(&declared, &json!({ "name": "x" })), Ok(()));
        assert_eq!(checked(&declared, &json!({ "name": "x", "tags": {} })), Ok(()));
        assert_eq!(checked(&declared, &json!({ "name": null, "size": 3 })), Ok(()));
    }

    #[test]
    fn inputs_that_do_not_fit_are_named_without_their_values() {
        let declared = [("gatehouse", false), ("name", false), ("size", true)];
        let error = |inputs: Value| checked(&declared, &inputs).unwrap_err();
        assert_eq!(
            error(json!({ "name": "x", "nmae": "s3cret", "colour": 1 })),
            "the module `bucket` has no input `colour`, `nmae`; it has: `name`, `size`"
        );
        assert_eq!(error(json!({})), "the module `bucket` needs the input `name`");
        assert_eq!(error(json!({ "gatehouse": {} })), "the input `gatehouse` is Gatehouse's own");
        assert_eq!(
            checked(&[("gatehouse", false)], &json!({ "x": 1 })).unwrap_err(),
            "the module `bucket` has no input `x`; it has: none"
        );
    }
}
