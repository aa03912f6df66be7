//! Entities, in Backstage's form.

use gatehouse_domain::{
    catalog::Forgotten,
    entities::{Entity, EntitySpec, Metadata, Relationship, Shown},
};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// What Backstage calls this form.
const VERSION: &str = "backstage.io/v1alpha1";

/// An entity, as a catalog file has it, and what is known of its record.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Entity)]
pub(crate) struct EntityView {
    /// The tenant that it belongs to.
    tenant: String,
    /// What others name it by: `component:default/shop`.
    #[serde(rename = "ref")]
    #[schema(rename = "ref", example = "component:default/shop")]
    reference: String,
    #[serde(rename = "apiVersion")]
    #[schema(rename = "apiVersion", example = "backstage.io/v1alpha1")]
    api_version: &'static str,
    /// `Component`, `System`, `API`, `Resource` or `Group`.
    kind: &'static str,
    /// As in the file.
    #[schema(value_type = Object)]
    metadata: Metadata,
    /// As in the file, with references in full.
    #[schema(value_type = Object)]
    spec: EntitySpec,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    created_by: String,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    updated_by: String,
}

impl From<Entity> for EntityView {
    /// Without the definition of an API, which may be long.
    fn from(entity: Entity) -> Self {
        let spec = EntitySpec { definition: None, ..entity.draft.spec.clone() };
        Self { spec, ..Self::whole(entity) }
    }
}

impl EntityView {
    fn whole(entity: Entity) -> Self {
        Self {
            reference: entity.reference().to_string(),
            tenant: entity.tenant.to_string(),
            api_version: VERSION,
            kind: entity.draft.kind.as_written(),
            metadata: entity.draft.metadata,
            spec: entity.draft.spec,
            created_at: entity.created_at,
            created_by: entity.created_by,
            updated_at: entity.updated_at,
            updated_by: entity.updated_by,
        }
    }
}

/// What an entity has to do with another one.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EntityRelation)]
pub(crate) struct RelationView {
    /// Backstage's word for it: `ownedBy`, `ownerOf`, `partOf`, `hasPart`, `dependsOn`, `dependencyOf`, `providesApi`,
    /// `apiProvidedBy`, `consumesApi`, `apiConsumedBy`, `childOf`, `parentOf`, `hasMember`.
    #[serde(rename = "type")]
    #[schema(rename = "type", example = "ownedBy")]
    relation: &'static str,
    #[serde(rename = "targetRef")]
    #[schema(rename = "targetRef", example = "group:default/platform")]
    target: String,
    /// `true`: the other one is not there. Left out of people, who are no entities.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    missing: bool,
}

impl From<Relationship> for RelationView {
    fn from(relationship: Relationship) -> Self {
        let Relationship { relation, target, missing } = relationship;
        Self { relation: relation.as_str(), target: target.to_string(), missing }
    }
}

/// One entity.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EntityAnswer {
    entity: EntityView,
    /// What it has to do with others, whichever of the two says so.
    relations: Vec<RelationView>,
    /// `true`: others say more of it than the 500 relations of theirs that are shown. The list, filtered by `owner` or
    /// `system`, has all that it owns, or that are part of it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    more_relations: bool,
}

impl From<Shown> for EntityAnswer {
    fn from(shown: Shown) -> Self {
        Self {
            entity: EntityView::whole(shown.entity),
            relations: shown.relations.into_iter().map(Into::into).collect(),
            more_relations: shown.more,
        }
    }
}

/// A page of entities.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EntitiesAnswer {
    pub(crate) entities: Vec<EntityView>,
    /// Where the next page starts; left out on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_cursor: Option<String>,
}

/// An entity was deleted.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeletedEntity)]
pub(crate) struct ForgottenAnswer {
    /// What others name it by.
    deleted: String,
    /// The id of the service that it described, which keeps what it had of it, but for the tags.
    #[serde(skip_serializing_if = "Option::is_none")]
    service_id: Option<String>,
}

impl From<Forgotten> for ForgottenAnswer {
    fn from(forgotten: Forgotten) -> Self {
        Self {
            deleted: forgotten.entity.reference().to_string(),
            service_id: forgotten.service.map(|service| service.id.to_string()),
        }
    }
}
