//! Bodies as people and programs write them: members that are null are as if they were not there, and words of the
//! systems before Gatehouse become today's.
//!
//! Both happen here, between the text and the types, so that the types, the API's description and the rules know today's
//! words only. A member is one of a type with fields: what a map holds under a name of the caller's own, such as an input
//! of a module, stays as it is, null or not.

use std::fmt;

use gatehouse_domain::text::quoted;
use serde::{
    Deserializer,
    de::{
        DeserializeSeed, Error as _, IntoDeserializer, MapAccess, Visitor,
        value::{MapAccessDeserializer, SeqDeserializer, StringDeserializer},
    },
    forward_to_deserialize_any,
};
use serde_json::{Error, value::RawValue};

/// As `serde_json` asks for the text of a value.
const RAW: &str = "$serde_json::private::RawValue";

/// What else a type of a body may be written with.
#[derive(Debug, Clone, Copy)]
pub struct Words {
    /// The type's name, as serde has it.
    pub of: &'static str,
    /// Members by their old names, each with today's.
    pub renamed: &'static [(&'static str, &'static str)],
    /// Members by their old names that are refused, each with a sentence that says what is written today.
    pub gone: &'static [(&'static str, &'static str)],
    /// Old members that say nothing today, and are passed over.
    pub ignored: &'static [&'static str],
    /// The member that a text stands for, where one may be written in place of the object.
    pub text: Option<&'static str>,
    /// Members in which null says something.
    pub nullable: &'static [&'static str],
}

impl Words {
    /// No others than the type's own.
    pub const fn of(of: &'static str) -> Self {
        Self { of, renamed: &[], gone: &[], ignored: &[], text: None, nullable: &[] }
    }
}

/// A body that may be written with words of the systems before.
pub trait OldWords {
    /// Those of its types that have such words.
    const WORDS: &'static [Words];
}

/// A piece of JSON that is to be read as a type.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Written<'de> {
    text: &'de str,
    words: &'static [Words],
}

impl<'de> Written<'de> {
    pub(crate) fn new(text: &'de RawValue, words: &'static [Words]) -> Self {
        Self { text: text.get(), words }
    }

    fn json(self) -> serde_json::Deserializer<serde_json::de::StrRead<'de>> {
        serde_json::Deserializer::from_str(self.text)
    }

    fn begins_with(self, byte: u8) -> bool {
        self.text.as_bytes().first() == Some(&byte)
    }

    fn is_null(self) -> bool {
        self.text == "null"
    }

    /// The members of an object, in their order.
    fn members(self) -> Result<Vec<Member<'de>>, Error> {
        let Listed(members) = serde_json::from_str(self.text)?;
        let member = |(name, text)| Member { name, refused: None, value: Self::new(text, self.words) };
        Ok(members.into_iter().map(member).collect())
    }

    /// The members of an object that is read as the type of this name: those that say something, in today's words.
    fn members_of(self, name: &str) -> Result<Vec<Member<'de>>, Error> {
        let words = self.words.iter().find(|words| words.of == name).copied().unwrap_or(Words::of(""));
        if let Some(member) = words.text
            && self.begins_with(b'"')
        {
            return Ok(vec![Member { name: member.to_owned(), refused: None, value: self }]);
        }
        let mut members = self.members()?;
        members.retain(|member| !member.value.is_null() || words.nullable.contains(&&*member.name));
        members.retain(|member| !words.ignored.contains(&&*member.name));
        let names: Vec<_> = members.iter().map(|member| member.name.clone()).collect();
        for member in &mut members {
            if let Some((old, new)) = words.renamed.iter().find(|(old, _)| *old == member.name) {
                if names.iter().any(|name| name == new) {
                    member.refused = Some(format!("`{old}` is `{new}` today: send one of the two, not both"));
                } else {
                    (*new).clone_into(&mut member.name);
                }
            }
            if let Some((_, detail)) = words.gone.iter().find(|(old, _)| *old == member.name) {
                member.refused = Some((*detail).to_owned());
            }
        }
        Ok(members)
    }
}

/// A member of an object.
struct Member<'de> {
    name: String,
    /// Why it is refused, if it is.
    refused: Option<String>,
    value: Written<'de>,
}

/// The members of an object as they stand in the text.
struct Listed<'de>(Vec<(String, &'de RawValue)>);

impl<'de> serde::Deserialize<'de> for Listed<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Listed<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Listed(members))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

/// Members on their way into a type.
struct Members<'de> {
    members: std::vec::IntoIter<Member<'de>>,
    value: Option<Written<'de>>,
}

impl<'de> Members<'de> {
    fn new(members: Vec<Member<'de>>) -> Self {
        Self { members: members.into_iter(), value: None }
    }
}

impl<'de> MapAccess<'de> for Members<'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some(Member { name, refused, value }) = self.members.next() else { return Ok(None) };
        self.value = Some(value);
        seed.deserialize(Name { name, refused }).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let value =
            self.value.take().ok_or_else(|| Error::custom("a value was asked for before its name"))?;
        seed.deserialize(value)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.members.len())
    }
}

/// The name of a member. One that is refused fails when it was read, so that the error is the member's.
struct Name {
    name: String,
    refused: Option<String>,
}

impl<'de> Deserializer<'de> for Name {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let read = visitor.visit_string(self.name);
        match self.refused {
            Some(detail) => Err(Error::custom(detail)),
            None => read,
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let text: StringDeserializer<Error> = self.name.into_deserializer();
        text.deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        seq tuple tuple_struct map struct identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de, Error> for Written<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// What needs nothing of the above is `serde_json`'s.
macro_rules! as_json {
    ($($read:ident)*) => {
        $(
            fn $read<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
                self.json().$read(visitor)
            }
        )*
    };
}

impl<'de> Deserializer<'de> for Written<'de> {
    type Error = Error;

    as_json! {
        deserialize_any deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_i128 deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64 deserialize_char deserialize_str deserialize_string deserialize_bytes
        deserialize_byte_buf deserialize_unit deserialize_identifier deserialize_ignored_any
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.json().deserialize_unit_struct(name, visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        if name == RAW {
            return self.json().deserialize_newtype_struct(name, visitor);
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if !self.begins_with(b'[') {
            return self.json().deserialize_seq(visitor);
        }
        let items: Vec<&'de RawValue> = serde_json::from_str(self.text)?;
        let words = self.words;
        visitor.visit_seq(SeqDeserializer::new(items.into_iter().map(|item| Self::new(item, words))))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        self.json().deserialize_tuple(len, visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.json().deserialize_tuple_struct(name, len, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if !self.begins_with(b'{') {
            return self.json().deserialize_map(visitor);
        }
        visitor.visit_map(Members::new(self.members()?))
    }

    /// Only of an object: by itself serde takes a list of the members' values as well.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_map(Members::new(self.members_of(name)?))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        if !self.begins_with(b'{') {
            return self.json().deserialize_enum(name, variants, visitor);
        }
        let members = self.members_of(name)?;
        if members.len() != 1 {
            return Err(Error::custom(format!("must have one of {} and nothing else", quoted(variants))));
        }
        MapAccessDeserializer::new(Members::new(members)).deserialize_enum(name, variants, visitor)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use gatehouse_domain::json::{Json, Object};
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Target {
        Job(String),
        Webhook(String),
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Place {
        name: String,
        #[serde(default)]
        inputs: Object,
        #[serde(default)]
        tags: Vec<String>,
        target: Option<Target>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Whole {
        #[serde(default = "ten")]
        size: u8,
        #[serde(default)]
        places: Vec<Place>,
        #[serde(default)]
        by_name: BTreeMap<String, Place>,
        #[serde(default, deserialize_with = "said")]
        kept: Kept,
    }

    fn ten() -> u8 {
        10
    }

    #[derive(Debug, Default, PartialEq)]
    enum Kept {
        #[default]
        Unsaid,
        Said(Option<u8>),
    }

    fn said<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Kept, D::Error> {
        Option::deserialize(deserializer).map(Kept::Said)
    }

    const WORDS: &[Words] = &[
        Words {
            renamed: &[("length", "size")],
            gone: &[("colour", "say nothing of colours")],
            ignored: &["comment"],
            nullable: &["kept"],
            ..Words::of("Whole")
        },
        Words { text: Some("name"), renamed: &[("parameters", "inputs")], ..Words::of("Place") },
    ];

    fn read(text: &str) -> Result<Whole, String> {
        let raw: &RawValue = serde_json::from_str(text).unwrap();
        let read = serde_path_to_error::deserialize(Written::new(raw, WORDS));
        read.map_err(|error| format!("{}: {}", error.path(), error.inner()))
    }

    fn place(name: &str) -> Place {
        Place { name: name.to_owned(), inputs: Object::new(), tags: Vec::new(), target: None }
    }

    fn empty() -> Whole {
        Whole { size: 10, places: Vec::new(), by_name: BTreeMap::new(), kept: Kept::Unsaid }
    }

    #[test]
    fn null_is_as_if_absent_in_what_has_fields_and_itself_elsewhere() {
        assert_eq!(read(r#"{"size": null, "places": null, "by_name": null}"#), Ok(empty()));
        let text = r#"{"places": [{"name": "a", "tags": null, "inputs": {"x": null}, "target": {"job": "j", "webhook": null}}],
            "by_name": {"b": {"name": "b", "inputs": null}}, "kept": null}"#;
        let a = Place {
            inputs: [("x".to_owned(), Json::Null)].into(),
            target: Some(Target::Job("j".to_owned())),
            ..place("a")
        };
        let by_name = [("b".to_owned(), place("b"))].into();
        assert_eq!(read(text), Ok(Whole { places: vec![a], by_name, kept: Kept::Said(None), ..empty() }));
    }

    #[test]
    fn old_words_are_todays_or_refused_with_todays() {
        let written = read(
            r#"{"length": 3, "comment": [], "places": ["a", {"name": "b", "parameters": {"n": 1e400}}]}"#,
        );
        let written = written.unwrap();
        assert_eq!((written.size, &written.places[0]), (3, &place("a")));
        assert_eq!(serde_json::to_string(&written.places[1].inputs).unwrap(), r#"{"n":1e400}"#);
        let cases = [
            (
                r#"{"length": 3, "size": 4}"#,
                "length: `length` is `size` today: send one of the two, not both",
            ),
            (
                r#"{"places": [{"name": "a", "parameters": {}, "inputs": {}}]}"#,
                "places[0].parameters: `parameters` is `inputs` today: send one of the two, not both",
            ),
            (r#"{"colour": "red"}"#, "colour: say nothing of colours"),
        ];
        for (text, detail) in cases {
            assert_eq!(read(text), Err(detail.to_owned()), "{text}");
        }
        // Null says nothing, so it contradicts nothing.
        assert_eq!(read(r#"{"length": null, "size": 4, "colour": null}"#).unwrap().size, 4);
    }

    #[test]
    fn what_is_no_such_type_is_refused_where_it_stands() {
        let cases = [
            ("[]", ".: invalid type: sequence, expected an object at line 1 column 0"),
            (r#""a""#, ".: invalid type: string \"a\", expected an object at line 1 column 3"),
            (
                r#"{"places": [[]]}"#,
                "places[0]: invalid type: sequence, expected an object at line 1 column 0",
            ),
            (r#"{"places": [{}]}"#, "places[0]: missing field `name`"),
            (r#"{"places": [{"name": null}]}"#, "places[0]: missing field `name`"),
            (r#"{"size": 300}"#, "size: invalid value: integer `300`, expected u8 at line 1 column 3"),
            (
                r#"{"places": [{"name": "a", "target": {"job": "j", "webhook": "w"}}]}"#,
                "places[0].target: must have one of `job`, `webhook` and nothing else",
            ),
            (
                r#"{"places": [{"name": "a", "target": {"job": null}}]}"#,
                "places[0].target: must have one of `job`, `webhook` and nothing else",
            ),
        ];
        for (text, detail) in cases {
            assert_eq!(read(text), Err(detail.to_owned()), "{text}");
        }
    }
}
