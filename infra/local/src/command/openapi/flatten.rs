//! Objects that have another one's members, written as one object.
//!
//! utoipa describes what serde flattens as `allOf` of both. Where one of them takes no other members, that describes
//! nothing that there is: no object has only the members of each.

use std::collections::BTreeMap;

use utoipa::openapi::{OpenApi, RefOr, Schema, schema::Object};

type Schemas = BTreeMap<String, RefOr<Schema>>;

/// Writes every `allOf` of objects among the components as one object.
pub(super) fn flatten(description: &mut OpenApi) {
    let schemas = &mut description.components.get_or_insert_default().schemas;
    let whole: Vec<_> = schemas
        .iter()
        .filter(|(_, schema)| matches!(schema, RefOr::T(Schema::AllOf(_))))
        .filter_map(|(name, schema)| Some((name.clone(), object(schema, schemas)?)))
        .collect();
    schemas.extend(whole.into_iter().map(|(name, object)| (name, RefOr::T(Schema::Object(object)))));
}

/// The one object that a schema describes; `None` for what is no object.
fn object(schema: &RefOr<Schema>, schemas: &Schemas) -> Option<Object> {
    match schema {
        RefOr::Ref(other) => {
            let name = other.ref_location.strip_prefix("#/components/schemas/")?;
            object(schemas.get(name)?, schemas)
        }
        RefOr::T(Schema::Object(object)) => Some(object.clone()),
        RefOr::T(Schema::AllOf(parts)) => {
            let mut objects = parts.items.iter().map(|part| object(part, schemas));
            let mut whole = objects.next()??;
            for part in objects {
                let part = part?;
                whole.properties.extend(part.properties);
                whole.required.extend(part.required);
                whole.additional_properties = whole.additional_properties.or(part.additional_properties);
            }
            whole.description.clone_from(&parts.description);
            Some(whole)
        }
        RefOr::T(_) => None,
    }
}
