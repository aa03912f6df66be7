//! JSON whose numbers stay as they were written: inputs and outputs of modules pass through here, and `serde_json`'s own
//! value would make `123456789012345678901234567890` a number of 17 digits.
//!
//! The feature `arbitrary_precision` of `serde_json` would do as much, and change every other JSON of the build: tagged and
//! flattened types do not read numbers any more then, those of Lambda's events among them.

use std::{collections::BTreeMap, fmt, ops::Index};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::Error as _,
    ser::{self, SerializeMap},
};
use serde_json::{Value, value::RawValue};

/// How deep values may be within each other: as `serde_json` has it.
const DEEPEST: usize = 128;

/// A value. It is read and written by `serde_json` alone, and not below `flatten`, `untagged` or `tag`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Json {
    #[default]
    Null,
    Bool(bool),
    Number(Number),
    String(String),
    Array(Vec<Self>),
    Object(Object),
}

/// Members by name.
pub type Object = BTreeMap<String, Json>;

/// A number as it was written: `1`, `1.0` and `1e0` differ.
#[derive(Clone, PartialEq, Eq)]
pub struct Number(Box<str>);

impl Number {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Json {
    /// Reads a text.
    ///
    /// # Errors
    ///
    /// When it is no JSON, or deeper than 128 values.
    pub fn parse(text: &str) -> serde_json::Result<Self> {
        parse(serde_json::from_str(text)?, DEEPEST)
    }

    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// A whole number that fits; `1.0` and `1e0` are not written as one.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Number(number) => number.as_str().parse().ok(),
            _ => None,
        }
    }

    /// A whole number that fits; `1.0` and `1e0` are not written as one.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Number(number) => number.as_str().parse().ok(),
            _ => None,
        }
    }

    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    pub fn as_array(&self) -> Option<&[Self]> {
        match self {
            Self::Array(values) => Some(values),
            _ => None,
        }
    }

    pub fn as_object(&self) -> Option<&Object> {
        match self {
            Self::Object(members) => Some(members),
            _ => None,
        }
    }

    /// The value at a JSON pointer (RFC 6901).
    pub fn pointer(&self, pointer: &str) -> Option<&Self> {
        if pointer.is_empty() {
            return Some(self);
        }
        let tokens = pointer.strip_prefix('/')?.split('/');
        tokens.map(|token| token.replace("~1", "/").replace("~0", "~")).try_fold(self, |value, token| {
            match value {
                Self::Object(members) => members.get(&token),
                Self::Array(values) => values.get(token.parse::<usize>().ok()?),
                _ => None,
            }
        })
    }
}

fn parse(raw: &RawValue, deepest: usize) -> serde_json::Result<Json> {
    let text = raw.get();
    let deeper =
        || deepest.checked_sub(1).ok_or_else(|| serde_json::Error::custom("its values are too deep"));
    Ok(match text.as_bytes().first() {
        Some(b'{') => {
            let members: BTreeMap<String, &RawValue> = serde_json::from_str(text)?;
            let deepest = deeper()?;
            let members = members.into_iter().map(|(name, value)| Ok((name, parse(value, deepest)?)));
            Json::Object(members.collect::<serde_json::Result<_>>()?)
        }
        Some(b'[') => {
            let values: Vec<&RawValue> = serde_json::from_str(text)?;
            let deepest = deeper()?;
            let values = values.into_iter().map(|value| parse(value, deepest));
            Json::Array(values.collect::<serde_json::Result<_>>()?)
        }
        Some(b'"') => Json::String(serde_json::from_str(text)?),
        Some(b't' | b'f') => Json::Bool(serde_json::from_str(text)?),
        Some(b'n') => Json::Null,
        _ => Json::Number(Number(text.into())),
    })
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        parse(&raw, DEEPEST).map_err(D::Error::custom)
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(Number(text)) => {
                let raw = RawValue::from_string(text.clone().into_string()).map_err(ser::Error::custom)?;
                raw.serialize(serializer)
            }
            Self::String(text) => serializer.serialize_str(text),
            Self::Array(values) => serializer.collect_seq(values),
            Self::Object(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for (name, value) in members {
                    map.serialize_entry(name, value)?;
                }
                map.end()
            }
        }
    }
}

impl fmt::Display for Json {
    /// As compact JSON.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

impl From<Value> for Json {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(value),
            Value::Number(number) => Self::Number(Number(number.to_string().into())),
            Value::String(text) => Self::String(text),
            Value::Array(values) => Self::Array(values.into_iter().map(Self::from).collect()),
            Value::Object(members) => Self::Object(object(members)),
        }
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

/// The same members.
pub fn object(members: serde_json::Map<String, Value>) -> Object {
    members.into_iter().map(|(name, value)| (name, value.into())).collect()
}

/// What is not there is null.
impl Index<&str> for Json {
    type Output = Self;

    fn index(&self, name: &str) -> &Self {
        self.as_object().and_then(|members| members.get(name)).unwrap_or(&Self::Null)
    }
}

/// What is not there is null.
impl Index<usize> for Json {
    type Output = Self;

    fn index(&self, place: usize) -> &Self {
        self.as_array().and_then(|values| values.get(place)).unwrap_or(&Self::Null)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_come_back_as_they_were_written() {
        for number in [
            "0",
            "-0",
            "1.0",
            "1.50",
            "1e2",
            "1E+400",
            "18446744073709551616",
            "123456789012345678901234567890",
            "0.1234567890123456789012345678901234567890",
        ] {
            let text = format!(r#"{{"a":[{number},{{"b":{number}}}],"c":{number}}}"#);
            assert_eq!(Json::parse(&text).unwrap().to_string(), text);
            let read: BTreeMap<String, Json> = serde_json::from_str(&text).unwrap();
            assert_eq!(serde_json::to_string(&read).unwrap(), text);
        }
    }

    #[test]
    fn everything_else_is_as_with_serde_json() {
        let text = r#" { "z" : [ true, false, null, "\u00e4\n" ], "a" : {}, "m": [] } "#;
        let expected: Value = serde_json::from_str(text).unwrap();
        assert_eq!(Json::parse(text).unwrap(), Json::from(expected.clone()));
        assert_eq!(Json::parse(text).unwrap().to_string(), expected.to_string());
        for bad in ["", "{", "[1,]", "01", "1.", "nul", "\"\u{1}\"", r#""\ud800""#, r#"{"a":tru}"#, "1 2"] {
            assert!(Json::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn values_are_not_deeper_than_128() {
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        assert!(Json::parse(&nested(128)).is_ok());
        assert!(Json::parse(&nested(129)).is_err());
        assert!(serde_json::from_str::<Json>(&nested(100_000)).is_err());
    }

    #[test]
    fn a_pointer_leads_into_values() {
        let text = r#"{"a/b":{"~":[1,{"n":18446744073709551616}]},"":0}"#;
        let json = Json::parse(text).unwrap();
        let at = |pointer| json.pointer(pointer).map(ToString::to_string);
        assert_eq!(at(""), Some(json.to_string()));
        assert_eq!(at("/"), Some("0".to_owned()));
        assert_eq!(at("/a~1b/~0/1/n"), Some("18446744073709551616".to_owned()));
        for nowhere in ["a", "/a", "/a~1b/~0/2", "/a~1b/~0/x", "/a~1b/~0/0/y"] {
            assert_eq!(at(nowhere), None, "{nowhere}");
        }
    }

    #[test]
    fn whole_numbers_are_read_where_they_fit() {
        let json = |text| Json::parse(text).unwrap();
        assert_eq!((json("7").as_u64(), json("7").as_i64()), (Some(7), Some(7)));
        assert_eq!((json("-7").as_u64(), json("-7").as_i64()), (None, Some(-7)));
        assert_eq!(json("18446744073709551615").as_u64(), Some(u64::MAX));
        for other in ["18446744073709551616", "1.0", "1e0", "\"7\"", "null"] {
            assert_eq!((json(other).as_u64(), json(other).as_i64()), (None, None), "{other}");
        }
    }

    #[test]
    fn what_is_not_there_is_null() {
        let json = Json::from(json!({ "a": ["x"] }));
        assert_eq!(json["a"][0].as_str(), Some("x"));
        assert_eq!((&json["b"]["c"], &json["a"][1]), (&Json::Null, &Json::Null));
    }
}
