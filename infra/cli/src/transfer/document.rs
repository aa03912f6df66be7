//! The file.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use gatehouse_domain::json::{Json, Object};
use serde_json::json;

use super::kind::Kind;
use crate::failure::Failure;

/// The member that says that this is such a file, and of which version.
const MARK: &str = "gatehouse";

/// The version that is written, and the only one that is read.
const VERSION: u64 = 1;

/// What a file has. Entries are in the order of their names, so that two exports can be compared line by line.
#[derive(Default)]
pub(super) struct Document(BTreeMap<Kind, Vec<Json>>);

impl Document {
    pub(super) fn insert(&mut self, kind: Kind, mut entries: Vec<Json>) {
        entries.sort_by_cached_key(|entry| (kind.name_of(entry), entry.to_string()));
        // Keys and tokens that are made anew in one way are one.
        entries.dedup();
        self.0.insert(kind, entries);
    }

    pub(super) fn entries(&self, kind: Kind) -> &[Json] {
        self.0.get(&kind).map(Vec::as_slice).unwrap_or_default()
    }

    pub(super) fn text(&self) -> serde_json::Result<String> {
        let kinds = self.0.iter();
        let mut file: Object =
            kinds.map(|(kind, entries)| (kind.member().to_owned(), Json::Array(entries.clone()))).collect();
        file.insert(MARK.to_owned(), json!(VERSION).into());
        Ok(serde_json::to_string_pretty(&Json::Object(file))? + "\n")
    }

    /// Reads a file.
    ///
    /// # Errors
    ///
    /// When it is not what [`Document::text`] writes: what is not understood is not left out in silence.
    pub(super) fn parse(file: &[u8], path: &Path) -> Result<Self, Failure> {
        let said = |why: &str| Failure::Usage(format!("{} is no export: {why}", path.display()));
        let text = std::str::from_utf8(file).map_err(|error| said(&error.to_string()))?;
        let Json::Object(mut file) = Json::parse(text).map_err(|error| said(&error.to_string()))? else {
            return Err(said("it is no object"));
        };
        match file.remove(MARK) {
            None => return Err(said(&format!("it has no member `{MARK}`"))),
            Some(version) if version.as_u64() != Some(VERSION) => {
                return Err(said(&format!("it is of version {version}, and version {VERSION} is read")));
            }
            Some(_) => {}
        }
        let mut document = Self::default();
        for kind in Kind::ALL {
            let Some(entries) = file.remove(kind.member()) else { continue };
            let Json::Array(entries) = entries else {
                return Err(said(&format!("`{}` is no list", kind.member())));
            };
            check_names(kind, &entries).map_err(|why| said(&why))?;
            document.insert(kind, entries);
        }
        match file.keys().next() {
            None => Ok(document),
            Some(unknown) => Err(said(&format!("nothing is known of its member `{unknown}`"))),
        }
    }
}

/// Every entry has a name, and of what is imported no two have the same.
fn check_names(kind: Kind, entries: &[Json]) -> Result<(), String> {
    let mut names = BTreeSet::new();
    for (place, entry) in entries.iter().enumerate() {
        let name = kind.name_of(entry);
        if name.is_empty() {
            return Err(format!("/{}/{place} does not say its name", kind.member()));
        }
        let is_only_read = matches!(kind, Kind::ApiKeys | Kind::Tokens);
        if !is_only_read && !names.insert(name.clone()) {
            return Err(format!("the {} `{name}` is there twice", kind.word()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        let refused = Document::parse(text.as_bytes(), Path::new("a.json")).err().unwrap();
        refused.to_string()
    }

    #[test]
    fn what_was_written_is_read_again_and_stays_as_it_is() {
        let mut document = Document::default();
        let named = |name: &str| Json::from(json!({ "tenant": name, "display_name": name }));
        document.insert(Kind::Tenants, vec![named("beta"), named("acme")]);
        let inputs =
            Json::parse(r#"{"name":"m","inputs":{"n":{"default":12345678901234567890.0}}}"#).unwrap();
        document.insert(Kind::Modules, vec![inputs]);
        let text = document.text().unwrap();
        assert!(text.find("acme") < text.find("beta"), "{text}");
        assert!(text.contains("12345678901234567890.0"), "{text}");
        let read = Document::parse(text.as_bytes(), Path::new("a.json")).unwrap();
        assert_eq!(read.text().unwrap(), text);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for (text, why) in [
            ("[]", "it is no object"),
            ("{}", "it has no member `gatehouse`"),
            (r#"{"gatehouse":2}"#, "it is of version 2, and version 1 is read"),
            (r#"{"gatehouse":1,"tenants":{}}"#, "`tenants` is no list"),
            (r#"{"gatehouse":1,"tenants":[{}]}"#, "/tenants/0 does not say its name"),
            (r#"{"gatehouse":1,"tenants":[{"tenant":"a"},{"tenant":"a"}]}"#, "the tenant `a` is there twice"),
            (r#"{"gatehouse":1,"runs":[]}"#, "nothing is known of its member `runs`"),
        ] {
            assert_eq!(refusal(text), format!("a.json is no export: {why}"));
        }
    }
}
