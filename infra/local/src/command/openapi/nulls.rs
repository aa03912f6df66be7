//! Members of bodies that may be left out may be null as well: the reader of bodies takes one as the other.

use utoipa::openapi::{
    OneOfBuilder, OpenApi, RefOr, Schema, Type,
    schema::{Object, ObjectBuilder, SchemaType},
};

use super::bodies::{self, MapValues};

/// Describes so each member that a request may bring and need not.
pub(super) fn allow(description: &mut OpenApi) {
    // Within a map, null is a value like others.
    bodies::visit(description, MapValues::PassedOver, &|schema| {
        if let Schema::Object(object) = schema {
            allow_in(object);
        }
    });
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
