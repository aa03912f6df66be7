//! YAML whose numbers keep their digits.
//!
//! The reader of YAML makes numbers of 64 bits of them. It says as well where each stands in the text, so the digits are
//! taken from there; what JSON has another spelling for, such as `0x10`, is written in that.

use std::{collections::BTreeMap, fmt};

use gatehouse_domain::json::Json;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::{NonFiniteFloatPolicy, Spanned, options};

/// Reads the one document of a text.
///
/// # Errors
///
/// When it is no YAML, or has something that JSON has not: a number without end, or one that is none. In words for people.
pub(crate) fn parse(text: &str) -> Result<Json, String> {
    // A number beyond 64 bits comes as infinity, and is not.
    let options = options! { non_finite_float_policy: NonFiniteFloatPolicy::PassThrough };
    let node: Spanned<Node> =
        serde_saphyr::from_str_with_options(text, options).map_err(|error| error.to_string())?;
    json(text, node)
}

/// A value as the reader gives it.
enum Node {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    /// A number that JSON has not, or not within 64 bits.
    Unbounded,
    String(String),
    Array(Vec<Spanned<Self>>),
    Object(BTreeMap<String, Spanned<Self>>),
}

fn json(text: &str, Spanned { value, defined, .. }: Spanned<Node>) -> Result<Json, String> {
    let written = || {
        let (offset, length) = (defined.span().byte_offset()?, defined.span().byte_len()?);
        let offset = usize::try_from(offset).ok()?;
        text.get(offset..offset.checked_add(usize::try_from(length).ok()?)?)
    };
    Ok(match value {
        Node::Null => Json::Null,
        Node::Bool(value) => Json::Bool(value),
        Node::Number(number) => match written().and_then(in_json) {
            Some(written) if means(&written, &number) => written,
            _ => serde_json::Value::Number(number).into(),
        },
        Node::Unbounded => written().and_then(in_json).ok_or_else(|| {
            let (line, written) = (defined.line(), written().unwrap_or("this"));
            format!("line {line}: {written} is a number that JSON has none for; between quotes it is a text")
        })?,
        Node::String(value) => Json::String(value),
        Node::Array(items) => {
            Json::Array(items.into_iter().map(|item| json(text, item)).collect::<Result<_, _>>()?)
        }
        Node::Object(members) => {
            let members = members.into_iter().map(|(name, value)| Ok((name, json(text, value)?)));
            Json::Object(members.collect::<Result<_, String>>()?)
        }
    })
}

/// A decimal number of YAML as JSON writes it: without a plus or zeros before it, and with a digit on both sides of the
/// point.
fn in_json(written: &str) -> Option<Json> {
    let (sign, rest) = match written.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", written.strip_prefix('+').unwrap_or(written)),
    };
    let (mantissa, exponent) = rest.split_at(rest.find(['e', 'E']).unwrap_or(rest.len()));
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    if whole.is_empty() && fraction.is_none_or(str::is_empty) {
        return None;
    }
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        whole => whole,
    };
    let fraction = match fraction {
        Some("") => ".0".to_owned(),
        Some(digits) => format!(".{digits}"),
        None => String::new(),
    };
    let number = Json::parse(&format!("{sign}{whole}{fraction}{exponent}")).ok()?;
    matches!(number, Json::Number(_)).then_some(number)
}

/// Whether what is written is the number that was read, as far as 64 bits tell.
fn means(written: &Json, read: &serde_json::Number) -> bool {
    let written = written.to_string();
    written == read.to_string() || written.parse::<f64>().is_ok_and(|value| Some(value) == read.as_f64())
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(serde_json::Number::from_f64(value).map_or(Node::Unbounded, Node::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut all = Vec::new();
        while let Some(item) = items.next_element()? {
            all.push(item);
        }
        Ok(Node::Array(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Node, A::Error> {
        let mut all = BTreeMap::new();
        while let Some((name, value)) = members.next_entry()? {
            all.insert(name, value);
        }
        Ok(Node::Object(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn reads(yaml: &str, json: &str) {
        assert_eq!(parse(yaml).map(|value| value.to_string()), Ok(json.to_owned()), "{yaml}");
    }

    #[test]
    fn numbers_keep_their_digits_wherever_they_stand() {
        for number in [
            "12345678901234567890123",
            "-12345678901234567890123",
            "18446744073709551616",
            "0.1000000000000000055511151231257827",
            "1e400",
            "-1E+400",
            "1e-400",
            "1",
            "1.0",
            "1.50",
            "-0",
            "1e0",
        ] {
            reads(number, number);
            reads(&format!("grüße: {number} # the size\n"), &format!(r#"{{"grüße":{number}}}"#));
            reads(
                &format!("- {number}\n- [ {number}, {{a: {number}}} ]"),
                &format!(r#"[{number},[{number},{{"a":{number}}}]]"#),
            );
            reads(&format!("a: &n {number}\nb: *n\n"), &format!(r#"{{"a":{number},"b":{number}}}"#));
            reads(
                &format!("a: &m {{n: {number}}}\nb:\n  <<: *m\n  k: 1\n"),
                &format!(r#"{{"a":{{"n":{number}}},"b":{{"k":1,"n":{number}}}}}"#),
            );
            reads(
                &format!("\u{feff}a: {number}\r\nb: {number}\r\n"),
                &format!(r#"{{"a":{number},"b":{number}}}"#),
            );
        }
    }

    #[test]
    fn what_json_writes_otherwise_is_written_so() {
        for (yaml, json) in [
            ("+12345678901234567890123", "12345678901234567890123"),
            (".5000000000000000000001", "0.5000000000000000000001"),
            ("-.5", "-0.5"),
            ("12345678901234567890123.", "12345678901234567890123.0"),
            ("0x10", "16"),
            ("0o17", "15"),
        ] {
            reads(yaml, json);
        }
    }

    #[test]
    fn what_is_no_number_is_none() {
        for (yaml, json) in [
            ("'12345678901234567890123'", r#""12345678901234567890123""#),
            ("\"1.0\"", r#""1.0""#),
            ("!!str 1.0", r#""1.0""#),
            ("1.2.3", r#""1.2.3""#),
            ("1e", r#""1e""#),
            ("~", "null"),
            ("true", "true"),
            ("- a\n-\n- |\n  1\n", r#"["a",null,"1\n"]"#),
            ("1: one", r#"{"1":"one"}"#),
        ] {
            reads(yaml, json);
        }
    }

    #[test]
    fn what_json_has_no_number_for_is_refused() {
        for yaml in ["n: .inf", "n: -.inf", "n: .nan"] {
            let refused = parse(&format!("a: 1\n{yaml}")).unwrap_err();
            let says = format!("line 2: {} is a number that JSON has none for", &yaml[3..]);
            assert!(refused.starts_with(&says), "{refused}");
        }
    }

    #[test]
    fn a_key_twice_is_refused() {
        assert!(parse("a: 1\na: 1").is_err());
    }
}
