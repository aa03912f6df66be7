//! The schemas of what requests may bring.

use std::collections::BTreeSet;

use utoipa::openapi::{
    OpenApi, RefOr, Schema,
    schema::{AdditionalProperties, ArrayItems},
};

use super::operations::operations;

/// Whether what a map holds is visited too, whatever its name there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum MapValues {
    Visited,
    PassedOver,
}

/// Changes each list and object that a body holds, at any depth: those of the operations themselves, and those of the
/// components that these refer to, once.
pub(super) fn visit(description: &mut OpenApi, map_values: MapValues, change: &impl Fn(&mut Schema)) {
    let mut walk = Walk { map_values, change, to_visit: Vec::new() };
    for operation in operations(description) {
        let Some(RefOr::T(body)) = &mut operation.request_body else { continue };
        for content in body.content.values_mut() {
            let RefOr::T(content) = content else { continue };
            content.schema.iter_mut().for_each(|schema| walk.descend(schema));
        }
    }
    let schemas = &mut description.components.get_or_insert_default().schemas;
    let mut visited = BTreeSet::new();
    while let Some(name) = walk.to_visit.pop() {
        if let Some(schema) = schemas.get_mut(&name)
            && visited.insert(name)
        {
            walk.descend(schema);
        }
    }
}

struct Walk<'a, C> {
    map_values: MapValues,
    change: &'a C,
    /// The names of components that something refers to.
    to_visit: Vec<String>,
}

impl<C: Fn(&mut Schema)> Walk<'_, C> {
    /// Changes what the schema holds, and then the schema itself.
    fn descend(&mut self, schema: &mut RefOr<Schema>) {
        let schema = match schema {
            RefOr::T(schema) => schema,
            RefOr::Ref(component) => {
                let name = component.ref_location.strip_prefix("#/components/schemas/");
                return self.to_visit.extend(name.map(str::to_owned));
            }
        };
        match schema {
            Schema::Array(list) => {
                if let ArrayItems::RefOrSchema(items) = &mut list.items {
                    self.descend(items);
                }
            }
            Schema::Object(object) => {
                if self.map_values == MapValues::Visited
                    && let Some(AdditionalProperties::RefOr(values)) =
                        object.additional_properties.as_deref_mut()
                {
                    self.descend(values);
                }
                object.properties.values_mut().for_each(|property| self.descend(property));
            }
            Schema::OneOf(one) => one.items.iter_mut().for_each(|item| self.descend(item)),
            Schema::AllOf(all) => all.items.iter_mut().for_each(|item| self.descend(item)),
            Schema::AnyOf(any) => any.items.iter_mut().for_each(|item| self.descend(item)),
            _ => {}
        }
        (self.change)(schema);
    }
}
