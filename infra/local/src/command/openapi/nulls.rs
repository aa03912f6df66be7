//! Members of bodies that may be left out may be null as well: the reader of bodies takes one as the other.

use std::collections::BTreeSet;

use utoipa::openapi::{
    OneOfBuilder, OpenApi, RefOr, Schema, Type,
    schema::{ArrayItems, Object, ObjectBuilder, SchemaType},
};

use super::operations::operations;

/// Describes so each member that a request may bring and need not.
pub(super) fn allow(description: &mut OpenApi) {
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

fn visit(schema: &mut RefOr<Schema>, components: &mut Vec<String>) {
    match schema {
        RefOr::Ref(component) => {
            components
                .extend(component.ref_location.strip_prefix("#/components/schemas/").map(str::to_owned));
        }
        RefOr::T(Schema::Array(list)) => {
            if let ArrayItems::RefOrSchema(items) = &mut list.items {
                visit(items, components);
            }
        }
        RefOr::T(Schema::Object(object)) => {
            object.properties.values_mut().for_each(|property| visit(property, components));
            allow_in(object);
        }
        RefOr::T(Schema::OneOf(one)) => one.items.iter_mut().for_each(|item| visit(item, components)),
        RefOr::T(Schema::AllOf(all)) => all.items.iter_mut().for_each(|item| visit(item, components)),
        RefOr::T(Schema::AnyOf(any)) => any.items.iter_mut().for_each(|item| visit(item, components)),
        RefOr::T(_) => {}
    }
}

fn allow_in(object: &mut Object) {
    for (name, property) in &mut object.properties {
        if object.required.contains(name) {
            continue;
        }
        match property {
            RefOr::T(Schema::Object(object)) => {
                add_null(&mut object.schema_type);
                if let Some(values) = &mut object.enum_values
                    && !values.contains(&serde_json::Value::Null)
                {
                    values.push(serde_json::Value::Null);
                }
            }
            RefOr::T(Schema::Array(list)) => add_null(&mut list.schema_type),
            RefOr::Ref(_) => {
                let null = ObjectBuilder::new().schema_type(SchemaType::Type(Type::Null));
                let either = OneOfBuilder::new().item(null).item(property.clone());
                *property = RefOr::T(Schema::OneOf(either.build()));
            }
            RefOr::T(_) => {}
        }
    }
}

fn add_null(schema_type: &mut SchemaType) {
    match schema_type {
        SchemaType::Type(Type::Null) | SchemaType::AnyValue => {}
        SchemaType::Type(only) => *schema_type = SchemaType::Array(vec![only.clone(), Type::Null]),
        SchemaType::Array(types) => {
            if !types.contains(&Type::Null) {
                types.push(Type::Null);
            }
        }
    }
}
