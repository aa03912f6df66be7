//! How long the lists and maps in bodies may be.
//!
//! A function describes the bounds that its own rules set; what has none there is held to those that every body is
//! read with.

use std::collections::BTreeSet;

use gatehouse_http::extract::{MAX_ITEMS, MAX_MEMBERS};
use utoipa::openapi::{
    OpenApi, Ref, RefOr, Schema,
    schema::{AdditionalProperties, ArrayItems},
};

use super::operations::operations;

/// Bounds each list and map that a request may bring.
pub(super) fn bound(description: &mut OpenApi) {
    let mut to_visit = Vec::new();
    for operation in operations(description) {
        let Some(RefOr::T(body)) = &mut operation.request_body else { continue };
        for content in body.content.values_mut() {
            let RefOr::T(content) = content else { continue };
            content.schema.iter_mut().for_each(|schema| visit(schema, &mut to_visit));
        }
    }
    let schemas = &mut description.components.get_or_insert_default().schemas;
    let mut visited = BTreeSet::new();
    while let Some(name) = to_visit.pop() {
        if let Some(schema) = schemas.get_mut(&name)
            && visited.insert(name)
        {
            visit(schema, &mut to_visit);
        }
    }
}

/// Bounds what the schema holds, and adds the names of the components that it refers to.
fn visit(schema: &mut RefOr<Schema>, components: &mut Vec<String>) {
    match schema {
        RefOr::Ref(component) => components.extend(name(component)),
        RefOr::T(Schema::Array(list)) => {
            list.max_items.get_or_insert(MAX_ITEMS);
            if let ArrayItems::RefOrSchema(items) = &mut list.items {
                visit(items, components);
            }
        }
        RefOr::T(Schema::Object(object)) => {
            if let Some(values) = &mut object.additional_properties
                && !matches!(**values, AdditionalProperties::FreeForm(false))
            {
                object.max_properties.get_or_insert(MAX_MEMBERS);
                if let AdditionalProperties::RefOr(values) = &mut **values {
                    visit(values, components);
                }
            }
            object.properties.values_mut().for_each(|property| visit(property, components));
        }
        RefOr::T(Schema::OneOf(one)) => one.items.iter_mut().for_each(|item| visit(item, components)),
        RefOr::T(Schema::AllOf(all)) => all.items.iter_mut().for_each(|item| visit(item, components)),
        RefOr::T(Schema::AnyOf(any)) => any.items.iter_mut().for_each(|item| visit(item, components)),
        RefOr::T(_) => {}
    }
}

fn name(component: &Ref) -> Option<String> {
    component.ref_location.strip_prefix("#/components/schemas/").map(str::to_owned)
}
