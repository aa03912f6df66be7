//! How long the lists and maps in bodies may be.
//!
//! A function describes the bounds that its own rules set; what has none there is held to those that every body is
//! read with.

use gatehouse_http::extract::{MAX_ITEMS, MAX_MEMBERS};
use utoipa::openapi::{OpenApi, Schema, schema::AdditionalProperties};

use super::bodies::{self, MapValues};

/// Bounds each list and map that a request may bring.
pub(super) fn bound(description: &mut OpenApi) {
    bodies::visit(description, MapValues::Visited, &|schema| match schema {
        Schema::Array(list) => {
            list.max_items.get_or_insert(MAX_ITEMS);
        }
        Schema::Object(object) => {
            let values = object.additional_properties.as_deref();
            if values.is_some_and(|values| !matches!(values, AdditionalProperties::FreeForm(false))) {
                object.max_properties.get_or_insert(MAX_MEMBERS);
            }
        }
        _ => {}
    });
}
