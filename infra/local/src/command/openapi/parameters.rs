use utoipa::openapi::{
    OpenApi, RefOr, Schema, Type,
    schema::{Object, SchemaType},
};

use super::operations::operations;

/// Describes no parameter as null, as utoipa does with each that may be left out: no URL and no header can say that.
pub(super) fn never_null(description: &mut OpenApi) {
    for parameter in operations(description).filter_map(|operation| operation.parameters.as_mut()).flatten() {
        let RefOr::T(parameter) = parameter else { continue };
        if let Some(RefOr::T(Schema::Object(object))) = &mut parameter.schema {
            drop_null(object);
        }
    }
}

fn drop_null(object: &mut Object) {
    if let SchemaType::Array(types) = &mut object.schema_type {
        types.retain(|it| *it != Type::Null);
        if let [only] = &types[..] {
            object.schema_type = SchemaType::Type(only.clone());
        }
    }
}
