//! Links, as JSON.

use utoipa::ToSchema;

/// A place on the web.
// Only describes the domain's link, which is written as it is.
#[derive(Debug, ToSchema)]
#[schema(as = Link)]
pub struct LinkView {
    /// What is there.
    pub name: String,
    /// Where.
    pub url: String,
}
