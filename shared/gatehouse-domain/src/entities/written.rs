//! An entity as a file has it, and what of that is refused or not kept.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    EntityDraft, EntityKind, EntityLink, EntityRef, EntitySpec, MAX_RELATIONS, Metadata, Namespace, Profile,
};
use crate::{
    name::UserName,
    validation::{FieldError, check_url, pointer_token},
};

/// The longest text on one line: title, type, key of a label, in bytes.
const MAX_LINE: usize = 200;

/// The longest description and value of an annotation, in bytes.
const MAX_TEXT: usize = 4000;

/// The most labels, and as many annotations.
const MAX_LABELS: usize = 100;

const MAX_TAGS: usize = 50;

const MAX_TAG: usize = 63;

const MAX_LINKS: usize = 20;

const MAX_MEMBERS: usize = 200;

/// The longest definition of an API, in bytes: an entity is one item of the table, which takes 400 KB.
const MAX_DEFINITION: usize = 128 * 1024;

/// How much an entity may measure without its definition, in bytes.
const MAX_ENTITY: usize = 64 * 1024;

/// What Backstage puts in place of a text that is read from somewhere else.
const PLACEHOLDERS: [&str; 3] = ["$text", "$json", "$yaml"];

#[derive(Debug, Clone)]
pub struct WrittenEntity {
    pub kind: EntityKind,
    pub metadata: WrittenMetadata,
    pub spec: WrittenSpec,
    /// What else is written.
    pub rest: Map<String, Value>,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub struct WrittenMetadata {
    pub name: Option<String>,
    pub namespace: Option<String>,
    pub title: Option<String>,
    pub description: Option<String>,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    #[serde(default)]
    pub tags: Vec<String>,
    #[serde(default)]
    pub links: Vec<EntityLink>,
    /// What else is written.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WrittenSpec {
    #[serde(rename = "type")]
    pub category: Option<String>,
    pub lifecycle: Option<String>,
    pub owner: Option<String>,
    pub system: Option<String>,
    pub domain: Option<String>,
    pub subcomponent_of: Option<String>,
    pub depends_on: Option<Vec<String>>,
    pub dependency_of: Option<Vec<String>>,
    pub provides_apis: Option<Vec<String>>,
    pub consumes_apis: Option<Vec<String>>,
    pub definition: Option<Value>,
    pub profile: Option<Profile>,
    pub parent: Option<String>,
    pub children: Option<Vec<String>>,
    pub members: Option<Vec<String>>,
    /// What else is written.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// Whether an entity has a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    Must,
    May,
    /// Its kind has none of this name.
    Never,
}

fn need(kind: EntityKind, member: &str) -> Need {
    let (must, may): (&[&str], &[&str]) = match kind {
        EntityKind::Component => (
            &["type", "lifecycle", "owner"],
            &["system", "subcomponentOf", "dependsOn", "dependencyOf", "providesApis", "consumesApis"],
        ),
        EntityKind::System => (&["owner"], &["type", "domain"]),
        EntityKind::Api => (&["type", "lifecycle", "owner", "definition"], &["system"]),
        EntityKind::Resource => (&["type", "owner"], &["system", "dependsOn", "dependencyOf"]),
        EntityKind::Group => (&["type"], &["profile", "parent", "children", "members"]),
    };
    match (must.contains(&member), may.contains(&member)) {
        (true, _) => Need::Must,
        (false, true) => Need::May,
        (false, false) => Need::Never,
    }
}

impl WrittenEntity {
    /// The entity, and JSON pointers to what is written and not kept.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it.
    pub fn read(self) -> Result<(EntityDraft, Vec<String>), Vec<FieldError>> {
        let Self { kind, metadata, spec, rest } = self;
        let mut reader =
            Reader { kind, namespace: Namespace::default(), errors: Vec::new(), ignored: Vec::new() };
        reader.ignore("", &rest);
        let metadata = reader.metadata(metadata);
        let spec = reader.spec(spec);
        let Some(draft) = metadata.map(|metadata| EntityDraft { kind, metadata, spec }) else {
            return Err(reader.errors);
        };
        reader.measure(&draft);
        if reader.errors.is_empty() { Ok((draft, reader.ignored)) } else { Err(reader.errors) }
    }
}

/// Reads one entity, and notes what is wrong with it and what is not kept.
struct Reader {
    kind: EntityKind,
    /// The entity's own, in which references are that name none.
    namespace: Namespace,
    errors: Vec<FieldError>,
    ignored: Vec<String>,
}

impl Reader {
    fn refuse(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        self.errors.push(FieldError::new(pointer, detail));
    }

    fn ignore(&mut self, at: &str, rest: &Map<String, Value>) {
        self.ignored.extend(rest.keys().map(|name| format!("{at}/{}", pointer_token(name))));
    }

    /// `None` where it has no name to go by, which is an error.
    fn metadata(&mut self, written: WrittenMetadata) -> Option<Metadata> {
        let WrittenMetadata { name, namespace, title, description, labels, annotations, tags, links, rest } =
            written;
        self.ignore("/metadata", &rest);
        match namespace.as_deref().map(str::parse).transpose() {
            Ok(namespace) => self.namespace = namespace.unwrap_or_default(),
            Err(error) => self.refuse("/metadata/namespace", format!("{error}")),
        }
        if let Some(title) = &title {
            self.line("/metadata/title", title);
        }
        if let Some(description) = &description {
            self.text("/metadata/description", description);
        }
        self.pairs("/metadata/labels", &labels, MAX_LINE);
        self.pairs("/metadata/annotations", &annotations, MAX_TEXT);
        self.tags(&tags);
        self.links(&links);
        let name = match name.as_deref().map(str::parse) {
            None => {
                self.refuse("/metadata/name", "is required");
                None
            }
            Some(Err(error)) => {
                self.refuse("/metadata/name", format!("{error}"));
                None
            }
            Some(Ok(name)) => Some(name),
        };
        let namespace = self.namespace.clone();
        Some(Metadata { name: name?, namespace, title, description, labels, annotations, tags, links })
    }

    fn line(&mut self, pointer: &str, text: &str) {
        if text.trim().is_empty() || text.len() > MAX_LINE || text.chars().any(char::is_control) {
            self.refuse(pointer, "must be 1 to 200 bytes of text on one line");
        }
    }

    fn text(&mut self, pointer: &str, text: &str) {
        if text.len() > MAX_TEXT {
            self.refuse(pointer, "must be at most 4,000 bytes");
        }
    }

    fn pairs(&mut self, pointer: &str, pairs: &BTreeMap<String, String>, longest: usize) {
        if pairs.len() > MAX_LABELS {
            self.refuse(pointer, "must be at most 100");
        }
        let bad_key = |key: &&String| {
            let allowed =
                |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/');
            key.is_empty() || key.len() > MAX_LINE || !key.bytes().all(allowed)
        };
        if let Some(key) = pairs.keys().find(bad_key) {
            let key: String = key.chars().take(MAX_LINE).collect();
            self.refuse(
                pointer,
                format!("`{key}` must be `[<domain>/]<name>` of A-Z, a-z, 0-9, '-', '_' and '.'"),
            );
        }
        if let Some((key, _)) = pairs.iter().find(|(_, value)| value.len() > longest) {
            self.refuse(
                format!("{pointer}/{}", pointer_token(key)),
                format!("must be at most {longest} bytes"),
            );
        }
    }

    fn tags(&mut self, tags: &[String]) {
        if tags.len() > MAX_TAGS {
            self.refuse("/metadata/tags", "must be at most 50 tags");
        }
        let letter = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'+' | b'#' | b':')
        };
        for (place, tag) in tags.iter().enumerate() {
            let valid = tag.len() <= MAX_TAG
                && tag.split('-').all(|part| !part.is_empty() && part.bytes().all(letter));
            if !valid {
                let detail =
                    "must be 1 to 63 characters of a-z, 0-9, '+', '#' and ':', in parts separated by '-'";
                self.refuse(format!("/metadata/tags/{place}"), detail);
            }
        }
    }

    fn links(&mut self, links: &[EntityLink]) {
        if links.len() > MAX_LINKS {
            self.refuse("/metadata/links", "must be at most 20 links");
        }
        for (place, link) in links.iter().enumerate() {
            let at = format!("/metadata/links/{place}");
            if let Err(detail) = check_url(&link.url) {
                self.refuse(format!("{at}/url"), detail);
            }
            for (member, text) in [("title", &link.title), ("icon", &link.icon), ("type", &link.category)] {
                if let Some(text) = text {
                    self.line(&format!("{at}/{member}"), text);
                }
            }
        }
    }

    fn spec(&mut self, written: WrittenSpec) -> EntitySpec {
        self.ignore("/spec", &written.rest);
        EntitySpec {
            category: self.word("type", written.category),
            lifecycle: self.word("lifecycle", written.lifecycle),
            owner: self.reference("owner", written.owner, Some("group")),
            system: self.reference("system", written.system, Some("system")),
            domain: self.reference("domain", written.domain, Some("domain")),
            subcomponent_of: self.reference("subcomponentOf", written.subcomponent_of, Some("component")),
            // Of which kind something is that is depended on has to be said.
            depends_on: self.references("dependsOn", written.depends_on, None),
            dependency_of: self.references("dependencyOf", written.dependency_of, None),
            provides_apis: self.references("providesApis", written.provides_apis, Some("api")),
            consumes_apis: self.references("consumesApis", written.consumes_apis, Some("api")),
            definition: self.definition(written.definition),
            profile: self.profile(written.profile),
            parent: self.reference("parent", written.parent, Some("group")),
            children: self.references("children", written.children, Some("group")),
            members: self.members(written.members).into_iter().collect(),
        }
    }

    /// What is written of a member, where the kind has it.
    fn take<T>(&mut self, member: &str, written: Option<T>) -> Option<T> {
        match (need(self.kind, member), written) {
            (Need::Must, None) => self.refuse(format!("/spec/{member}"), "is required"),
            (Need::Never, Some(_)) => self.ignored.push(format!("/spec/{member}")),
            (Need::Must | Need::May, Some(written)) => return Some(written),
            (Need::May | Need::Never, None) => {}
        }
        None
    }

    fn word(&mut self, member: &str, written: Option<String>) -> Option<String> {
        let word = self.take(member, written)?;
        self.line(&format!("/spec/{member}"), &word);
        Some(word)
    }

    fn reference(&mut self, member: &str, written: Option<String>, kind: Option<&str>) -> Option<EntityRef> {
        let written = self.take(member, written)?;
        self.parse(format!("/spec/{member}"), &written, kind)
    }

    fn references(
        &mut self,
        member: &str,
        written: Option<Vec<String>>,
        kind: Option<&str>,
    ) -> Vec<EntityRef> {
        let written = self.take(member, written).unwrap_or_default();
        let at = |place| format!("/spec/{member}/{place}");
        let read = written.iter().enumerate().filter_map(|(place, text)| self.parse(at(place), text, kind));
        read.collect()
    }

    fn parse(&mut self, pointer: String, text: &str, kind: Option<&str>) -> Option<EntityRef> {
        match EntityRef::parse(text, kind, &self.namespace) {
            Ok(reference) => Some(reference),
            Err(error) => {
                self.refuse(pointer, error.to_string());
                None
            }
        }
    }

    fn definition(&mut self, written: Option<Value>) -> Option<String> {
        let pointer = "/spec/definition";
        match self.take("definition", written)? {
            Value::String(text) if text.len() <= MAX_DEFINITION => return Some(text),
            Value::String(_) => self.refuse(pointer, "must be at most 128 KiB"),
            Value::Object(members) if PLACEHOLDERS.iter().any(|name| members.contains_key(*name)) => {
                self.refuse(pointer, "names another file, which is not read here: put its text in its place");
            }
            _ => self.refuse(pointer, "must be a text"),
        }
        None
    }

    fn profile(&mut self, written: Option<Profile>) -> Option<Profile> {
        let profile = self.take("profile", written)?;
        for (member, text) in [("displayName", &profile.display_name), ("email", &profile.email)] {
            if let Some(text) = text {
                self.line(&format!("/spec/profile/{member}"), text);
            }
        }
        if let Some(Err(detail)) = profile.picture.as_deref().map(check_url) {
            self.refuse("/spec/profile/picture", detail);
        }
        Some(profile)
    }

    /// Members are users of Gatehouse, written as references to people.
    fn members(&mut self, written: Option<Vec<String>>) -> Vec<UserName> {
        let written = self.take("members", written).unwrap_or_default();
        if written.len() > MAX_MEMBERS {
            self.refuse("/spec/members", "must be at most 200 users");
        }
        let mut members = Vec::new();
        for (place, text) in written.iter().enumerate() {
            let pointer = format!("/spec/members/{place}");
            let Some(reference) = self.parse(pointer.clone(), text, Some("user")) else { continue };
            match reference.name().parse() {
                Ok(name) if reference.is_person() => members.push(name),
                _ => self.refuse(pointer, "must be a user of Gatehouse: `ada`, `user:ada`"),
            }
        }
        members
    }

    /// What is wrong with it as a whole.
    fn measure(&mut self, draft: &EntityDraft) {
        if draft.edges().len() > MAX_RELATIONS {
            self.refuse("/spec", format!("must name at most {MAX_RELATIONS} other entities"));
        }
        let spec = EntitySpec { definition: None, ..draft.spec.clone() };
        let size = serde_json::to_string(&(&draft.metadata, spec)).map_or(usize::MAX, |text| text.len());
        if size > MAX_ENTITY {
            self.refuse("", "must be at most 64 KiB without its definition");
        }
    }
}
