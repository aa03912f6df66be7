//! YAML with the short tags of templates, read into JSON with the long names.
//!
//! `!Ref X` becomes `{"Ref": "X"}` and `!GetAtt A.B` becomes `{"Fn::GetAtt": ["A", "B"]}`, so that
//! everything after this file sees one spelling of each intrinsic function.

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value};

use super::error::TemplateError;

/// Reads the first document of `text`.
///
/// # Errors
/// When the text is not YAML, or holds something JSON cannot say.
pub fn parse(text: &str) -> Result<Value, TemplateError> {
    let documents = Yaml::load_from_str(text).map_err(|error| TemplateError::Yaml(error.to_string()))?;
    let document = documents.first().ok_or_else(|| TemplateError::Yaml("the document is empty".into()))?;
    to_json(document)
}

fn to_json(node: &Yaml<'_>) -> Result<Value, TemplateError> {
    match node {
        Yaml::Value(scalar) => Ok(scalar_to_json(scalar)),
        Yaml::Representation(text, ..) => Ok(Value::String(text.to_string())),
        Yaml::Sequence(items) => items.iter().map(to_json).collect::<Result<_, _>>().map(Value::Array),
        Yaml::Mapping(entries) => {
            entries.iter().map(entry_to_json).collect::<Result<Map<_, _>, _>>().map(Value::Object)
        }
        Yaml::Tagged(tag, inner) if tag.handle == "!" => Ok(intrinsic(&tag.suffix, to_json(inner)?)),
        Yaml::Tagged(_, inner) => to_json(inner),
        Yaml::Alias(_) | Yaml::BadValue => Err(TemplateError::Yaml("a value that cannot be read".into())),
    }
}

fn entry_to_json((key, value): (&Yaml<'_>, &Yaml<'_>)) -> Result<(String, Value), TemplateError> {
    let key = match to_json(key)? {
        Value::String(text) => text,
        // As text, each level within such a key would double the one before.
        Value::Array(_) | Value::Object(_) => {
            return Err(TemplateError::Yaml("a key that is a list or a mapping".into()));
        }
        other => other.to_string(),
    };
    Ok((key, to_json(value)?))
}

fn scalar_to_json(scalar: &Scalar<'_>) -> Value {
    match scalar {
        Scalar::Null => Value::Null,
        Scalar::Boolean(value) => Value::Bool(*value),
        Scalar::Integer(value) => Value::from(*value),
        Scalar::FloatingPoint(value) => Value::from(value.into_inner()),
        Scalar::String(text) => Value::String(text.to_string()),
    }
}

fn intrinsic(name: &str, argument: Value) -> Value {
    let argument = match (name, argument) {
        ("GetAtt", Value::String(path)) => split_attribute(&path),
        (_, argument) => argument,
    };
    let name = match name {
        "Ref" | "Condition" => name.to_owned(),
        _ => format!("Fn::{name}"),
    };
    Value::Object(Map::from_iter([(name, argument)]))
}

fn split_attribute(path: &str) -> Value {
    let (resource, attribute) = path.split_once('.').unwrap_or((path, ""));
    Value::from(vec![resource, attribute])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn short_tags_become_long_names() {
        let text = "a: !Ref Table\nb: !GetAtt Auth.Arn\nc: !If [On, !Sub '${A}-x', !Ref AWS::NoValue]\nd: !Condition On";
        let expected = json!({
            "a": {"Ref": "Table"},
            "b": {"Fn::GetAtt": ["Auth", "Arn"]},
            "c": {"Fn::If": ["On", {"Fn::Sub": "${A}-x"}, {"Ref": "AWS::NoValue"}]},
            "d": {"Condition": "On"},
        });
        assert_eq!(parse(text).unwrap(), expected);
    }

    #[test]
    fn aliases_stand_for_what_they_name() {
        let parsed = parse("a: &one { b: !Ref X }\nc: *one\nd: { e: *one }").unwrap();
        let one = json!({ "b": { "Ref": "X" } });
        assert_eq!(parsed, json!({ "a": one, "c": one, "d": { "e": one } }));
    }

    #[test]
    fn scalars_keep_their_types() {
        let parsed = parse("n: 30\ns: '30'\nb: true\nf: 1.5\nz: ~\nt: |\n  x\n").unwrap();
        assert_eq!(parsed, json!({"n": 30, "s": "30", "b": true, "f": 1.5, "z": null, "t": "x\n"}));
    }

    #[test]
    fn keys_with_parts_are_an_error_however_deep() {
        for depth in [1, 2, 40] {
            let text = format!("a: {}x{}", "{".repeat(depth + 1), "}".repeat(depth + 1));
            let error = parse(&text).unwrap_err().to_string();
            assert!(error.contains("a key that is a list or a mapping"), "{error}");
        }
        assert_eq!(parse("1: x\ntrue: y").unwrap(), json!({ "1": "x", "true": "y" }));
    }

    #[test]
    fn broken_yaml_is_an_error() {
        assert!(parse("a: [1").is_err());
        assert!(parse("").is_err());
    }
}
