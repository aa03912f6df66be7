//! The template, read once per test binary.

use std::{collections::BTreeMap, sync::LazyLock};

use gatehouse_template::{Routes, Template};

static TEMPLATE: LazyLock<Template> = LazyLock::new(|| {
    let text = include_str!("../../../../template.yaml");
    Template::parse(text, &BTreeMap::new()).expect("template.yaml can be read")
});

/// Every route of the API, whichever function answers it.
static ROUTES: LazyLock<Routes<()>> = LazyLock::new(|| {
    let mut routes = Routes::default();
    for (_function, route) in template().routes() {
        routes.insert(&route.method, &route.path, ()).expect("API Gateway takes the route");
    }
    routes
});

pub(super) fn template() -> &'static Template {
    &TEMPLATE
}

pub(super) fn routes() -> &'static Routes<()> {
    &ROUTES
}
