//! Whether inputs are such as a module takes.

use super::Interface;
use crate::{
    json::{Json, Object},
    validation::{FieldError, pointer_token},
};

/// The variable in which Gatehouse tells a module everything of the place.
pub const OWN: &str = "gatehouse";

/// How deep the types of elements are looked at.
const DEEPEST: usize = 8;

/// What is wrong with these inputs, which are `at` a pointer: names that the module does not have, and values that are of
/// another type. Values are never shown.
pub(crate) fn check_given(interface: &Interface, at: &str, inputs: &Object) -> Vec<FieldError> {
    let error =
        |name: &String, detail: String| FieldError::new(format!("{at}/{}", pointer_token(name)), detail);
    let wrong = inputs.iter().filter_map(|(name, value)| {
        let Some(input) = interface.inputs.get(name) else {
            return Some(error(name, unknown(interface, name)));
        };
        let kind = input.kind.as_deref()?;
        (!fits(kind, value, DEEPEST)).then(|| error(name, format!("must be of the type {kind}")))
    });
    wrong.collect()
}

/// The inputs without which the module cannot be used, and that are not among the `given`.
pub(crate) fn check_missing(interface: &Interface, given: impl Fn(&str) -> bool) -> Vec<String> {
    let missing = interface.inputs.iter().filter(|(name, input)| input.required && !given(name));
    missing.map(|(name, _)| name.clone()).collect()
}

fn unknown(interface: &Interface, name: &str) -> String {
    if name == OWN {
        return "is Gatehouse's own".to_owned();
    }
    let known: Vec<_> = interface.inputs.keys().map(String::as_str).collect();
    match &known[..] {
        [] => "the module has no such input, nor any other".to_owned(),
        known => format!("the module has no such input; it has: {}", known.join(", ")),
    }
}

/// Whether Terraform would take the value for this type, as far as that is certain: it makes numbers, booleans and text
/// of each other, and what the members of objects are is its own business.
fn fits(kind: &str, value: &Json, deepest: usize) -> bool {
    let (outer, inner) = match kind.split_once('(') {
        Some((outer, inner)) => (outer, inner.strip_suffix(')')),
        None => (kind, None),
    };
    let elements_fit = |value: &Json| match inner {
        Some(inner) if deepest > 0 => fits(inner, value, deepest - 1),
        _ => true,
    };
    match (outer, value) {
        (_, Json::Null) => true,
        ("string", value) => !matches!(value, Json::Array(_) | Json::Object(_)),
        ("number", value) => match value {
            Json::Number(_) => true,
            Json::String(text) => text.parse::<f64>().is_ok(),
            _ => false,
        },
        ("bool", value) => match value {
            Json::Bool(_) => true,
            Json::String(text) => matches!(text.as_str(), "true" | "false"),
            _ => false,
        },
        ("list" | "set", Json::Array(values)) => values.iter().all(elements_fit),
        ("map", Json::Object(members)) => members.values().all(elements_fit),
        ("tuple", value) => matches!(value, Json::Array(_)),
        ("object", value) => matches!(value, Json::Object(_)),
        ("list" | "set" | "map", _) => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::modules::Input;

    fn interface(inputs: &[(&str, &str, bool)]) -> Interface {
        let inputs = inputs.iter().map(|(name, kind, required)| {
            let kind = (!kind.is_empty()).then(|| (*kind).to_owned());
            ((*name).to_owned(), Input { kind, required: *required, ..Input::default() })
        });
        Interface { inputs: inputs.collect(), ..Interface::default() }
    }

    #[test]
    fn a_value_fits_a_type_where_terraform_would_make_one_of_it() {
        let cases: [(&str, Value, bool); 31] = [
            ("string", json!("x"), true),
            ("string", json!(1.5), true),
            ("string", json!(true), true),
            ("string", json!(["x"]), false),
            ("string", json!({}), false),
            ("string", json!(null), true),
            ("number", json!(3), true),
            ("number", json!("3.5"), true),
            ("number", json!("three"), false),
            ("number", json!(true), false),
            ("number", json!(""), false),
            ("bool", json!(true), true),
            ("bool", json!("false"), true),
            ("bool", json!("yes"), false),
            ("bool", json!(1), false),
            ("list(string)", json!(["a", 1]), true),
            ("list(string)", json!(["a", []]), false),
            ("list(string)", json!("a"), false),
            ("set(number)", json!([1, "2"]), true),
            ("set(number)", json!([1, "b"]), false),
            ("map(bool)", json!({ "a": true }), true),
            ("map(bool)", json!({ "a": 3 }), false),
            ("map(bool)", json!([]), false),
            ("map(list(number))", json!({ "a": [1], "b": [] }), true),
            ("map(list(number))", json!({ "a": [1], "b": ["x"] }), false),
            ("object({name=string,size=optional(number,3)})", json!({ "anything": 1 }), true),
            ("object({name=string})", json!("x"), false),
            ("tuple([string,number])", json!([1]), true),
            ("tuple([string,number])", json!({}), false),
            ("any", json!([{}]), true),
            ("list", json!(["a", []]), true),
        ];
        for (kind, value, expected) in cases {
            assert_eq!(fits(kind, &value.clone().into(), DEEPEST), expected, "{kind}: {value}");
        }
    }

    #[test]
    fn a_type_that_is_deeper_than_anybody_writes_is_looked_at_only_so_far() {
        let kind = format!("{}string{}", "list(".repeat(5000), ")".repeat(5000));
        assert!(fits(&kind, &json!([]).into(), DEEPEST));
    }

    #[test]
    fn what_the_module_does_not_take_is_named_without_its_value() {
        let interface =
            interface(&[("name", "string", true), ("size", "number", false), ("tags", "", false)]);
        let given = |inputs: Value| {
            let inputs = crate::json::object(inputs.as_object().unwrap().clone());
            check_given(&interface, "/inputs", &inputs)
        };
        assert_eq!(given(json!({ "name": "x", "size": 3, "tags": [1] })), []);
        let expected = [
            FieldError::new("/inputs/a~1b", "the module has no such input; it has: name, size, tags"),
            FieldError::new("/inputs/gatehouse", "is Gatehouse's own"),
            FieldError::new("/inputs/size", "must be of the type number"),
        ];
        assert_eq!(given(json!({ "size": "s3cret", "a/b": 1, "gatehouse": {} })), expected);
    }

    #[test]
    fn a_required_input_is_missing_until_it_is_given() {
        let interface = interface(&[("name", "", true), ("key", "", true), ("size", "", false)]);
        assert_eq!(check_missing(&interface, |name| name == "key"), ["name"]);
        assert!(check_missing(&interface, |_| true).is_empty());
    }
}
