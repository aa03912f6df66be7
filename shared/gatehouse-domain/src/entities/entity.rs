//! An entity, and what it says of others.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{EntityKind, EntityName, EntityRef, Namespace, Relation};
use crate::{
    name::{TenantId, UserName},
    revision::Revision,
};

/// The most relations that an entity may say it has, members apart: each is an item of the transaction that writes it.
pub const MAX_RELATIONS: usize = 40;

/// What is said of every entity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// As it is written; names are compared whatever their case.
    pub name: EntityName,
    pub namespace: Namespace,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<EntityLink>,
}

/// A place on the web that belongs to an entity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntityLink {
    pub url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The key of an icon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icon: Option<String>,
    /// What sort of link.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
}

/// How a group presents itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Profile {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<String>,
}

/// What is said of an entity of its kind. What its kind does not have is empty: [`super::WrittenSpec`] sees to that.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EntitySpec {
    /// What sort of component, API, …: `service`, `openapi`.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// How far it is in its life, in any word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifecycle: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<EntityRef>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<EntityRef>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<EntityRef>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subcomponent_of: Option<EntityRef>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<EntityRef>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependency_of: Vec<EntityRef>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub provides_apis: Vec<EntityRef>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub consumes_apis: Vec<EntityRef>,
    /// An API's definition, in the format that its type says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Profile>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<EntityRef>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<EntityRef>,
    /// The users of Gatehouse who are in the group.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub members: BTreeSet<UserName>,
}

/// An entity, as a file describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntityDraft {
    pub kind: EntityKind,
    pub metadata: Metadata,
    pub spec: EntitySpec,
}

impl EntityDraft {
    pub fn reference(&self) -> EntityRef {
        EntityRef::new(self.kind, self.metadata.namespace.clone(), &self.metadata.name)
    }

    /// What it says it has to do with others.
    pub fn relations(&self) -> BTreeSet<(Relation, EntityRef)> {
        let spec = &self.spec;
        let single = [
            (Relation::OwnedBy, &spec.owner),
            (Relation::PartOf, &spec.system),
            (Relation::PartOf, &spec.domain),
            (Relation::PartOf, &spec.subcomponent_of),
            (Relation::ChildOf, &spec.parent),
        ];
        let several = [
            (Relation::DependsOn, &spec.depends_on),
            (Relation::DependencyOf, &spec.dependency_of),
            (Relation::ProvidesApi, &spec.provides_apis),
            (Relation::ConsumesApi, &spec.consumes_apis),
            (Relation::ParentOf, &spec.children),
        ];
        let mut relations = BTreeSet::new();
        for (relation, target) in single {
            relations.extend(target.iter().map(|target| (relation, target.clone())));
        }
        for (relation, targets) in several {
            relations.extend(targets.iter().map(|target| (relation, target.clone())));
        }
        relations.extend(spec.members.iter().map(|name| (Relation::HasMember, EntityRef::person(name))));
        relations
    }

    /// Those of its relations that the other side is to know of. People are no entities, and know of none.
    pub fn edges(&self) -> BTreeSet<(Relation, EntityRef)> {
        self.relations().into_iter().filter(|(_, target)| !target.is_person()).collect()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entity {
    /// The tenant that it belongs to; references stay within it.
    pub tenant: TenantId,
    #[serde(flatten)]
    pub draft: EntityDraft,
    /// Changes with every edit.
    pub revision: Revision,
    pub created_at: Timestamp,
    pub created_by: String,
    /// When it was last edited.
    pub updated_at: Timestamp,
    pub updated_by: String,
}

impl Entity {
    pub fn reference(&self) -> EntityRef {
        self.draft.reference()
    }

    /// Whether this hand is in the group: `user:ada`.
    pub fn has_member(&self, hand: &str) -> bool {
        let member = hand.strip_prefix("user:").and_then(|name| name.parse::<UserName>().ok());
        self.draft.kind == EntityKind::Group
            && member.is_some_and(|name| self.draft.spec.members.contains(&name))
    }
}
