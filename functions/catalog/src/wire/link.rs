//! Links, as JSON.

use utoipa::ToSchema;

/// A place on the web.
#[derive(Debug, ToSchema)]
#[schema(as = Link)]
#[expect(dead_code, reason = "only describes the domain's link")]
pub(crate) struct LinkView {
    /// What is there.
    name: String,
    /// Where.
    url: String,
}
