//! What a component's file says of the service of its name.
//!
//! A service has its owner, life, links and tags from the file of the component of its name, where there is one: written
//! into the service in the transaction that writes the component, so that lists and filters of services need no second
//! read. While it is described, an edit of the service leaves them as they are.

use crate::{
    catalog::{Described, Lifecycle, Link, Service, ServiceSpec},
    entities::{EntityDraft, EntityKind, EntityLink, EntityName, EntityRef, FindEntity, Namespace},
    name::{ServiceName, TenantId},
    store::StoreError,
};

/// The longest name of a link, in bytes.
const MAX_LINK_NAME: usize = 200;

/// The name of the service that an entity describes: a component in the default namespace, whose name can be one.
pub(super) fn service_name(draft: &EntityDraft) -> Option<ServiceName> {
    let speaks = draft.kind == EntityKind::Component && draft.metadata.namespace.is_default();
    let name = draft.metadata.name.as_str().to_ascii_lowercase();
    speaks.then(|| name.parse().ok()).flatten()
}

/// The service as the component describes it. A life in a word that services do not know leaves it theirs.
pub(super) fn describe(spec: ServiceSpec, draft: &EntityDraft) -> (ServiceSpec, Described) {
    let owner = draft.spec.owner.as_ref().map(EntityRef::short);
    let lifecycle = draft.spec.lifecycle.as_deref().and_then(|word| word.parse::<Lifecycle>().ok());
    let spec = ServiceSpec {
        owner: owner.unwrap_or(spec.owner),
        lifecycle: lifecycle.unwrap_or(spec.lifecycle),
        links: draft.metadata.links.iter().map(link).collect(),
        ..spec
    };
    (spec, Described { by: draft.reference(), tags: draft.metadata.tags.clone() })
}

fn link(link: &EntityLink) -> Link {
    let name = link.title.as_deref().unwrap_or(&link.url);
    Link { name: name[..name.floor_char_boundary(MAX_LINK_NAME)].to_owned(), url: link.url.clone() }
}

/// A new service of this name, as the tenant's component of the name describes it, if there is one.
pub(in crate::catalog) async fn describe_new<S>(
    store: &S,
    tenant: &TenantId,
    name: &ServiceName,
    spec: ServiceSpec,
) -> Result<(ServiceSpec, Option<Described>), StoreError>
where
    S: FindEntity,
{
    // What services are called, components can be called, but for a hyphen at the end.
    let Ok(name) = name.as_str().parse::<EntityName>() else { return Ok((spec, None)) };
    let component = EntityRef::new(EntityKind::Component, Namespace::default(), &name);
    Ok(match store.find_entity(tenant, &component).await? {
        None => (spec, None),
        Some(component) => {
            let (spec, described) = describe(spec, &component.draft);
            (spec, Some(described))
        }
    })
}

/// The service as an edit of its own leaves it: what its component says stays.
pub(in crate::catalog) fn keep_described(service: &Service, spec: ServiceSpec) -> ServiceSpec {
    if service.described.is_none() {
        return spec;
    }
    let ServiceSpec { owner, lifecycle, links, .. } = service.spec.clone();
    ServiceSpec { owner, lifecycle, links, ..spec }
}
