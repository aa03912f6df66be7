//! What Backstage calls entities: components, systems, APIs, resources and groups, as `catalog-info.yaml` files describe
//! them, and what they have to do with each other.
//!
//! Words, members and their meaning are those of Backstage's descriptor format
//! (<https://backstage.io/docs/features/software-catalog/descriptor-format>). What an entity says of another one is kept
//! whether that one is there or not.

mod entity;
mod list;
mod reference;
mod relation;
mod show;
mod written;

pub use self::{
    entity::{Entity, EntityDraft, EntityLink, EntitySpec, MAX_RELATIONS, Metadata, Profile},
    list::{EntityFilter, EntityQuery, ListEntities, list},
    reference::{EntityKind, EntityName, EntityRef, InvalidRef, Namespace, UnknownKind},
    relation::Relation,
    show::{FindEntity, FindRelated, MAX_RELATED, Related, Relationship, ShowEntityError, Shown, show},
    written::{WrittenEntity, WrittenMetadata, WrittenSpec},
};
