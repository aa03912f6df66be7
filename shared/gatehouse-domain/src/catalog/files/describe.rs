//! What a component's file says of the service of its name.
//!
//! A service has its owner, life, links and tags from the file of the component of its name, where there is one: written
//! into the service in the transaction that writes the component, so that lists and filters of services need no second
//! read. While it is described, an edit of the service leaves them as they are.

use crate::{
    catalog::{Described, Lifecycle, Link, Service, ServiceSpec},
    entities::{EntityDraft, EntityKind, EntityLink, EntityName, EntityRef, FindEntity, Namespace},
    name::{ServiceName, TenantId},
    revision::Revision,
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

/// How the component of a service's name stood when it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenComponent {
    pub reference: EntityRef,
    /// Which edit of it was read; `None` where there was none.
    pub revision: Option<Revision>,
}

/// A new service as its component describes it.
pub(in crate::catalog) struct DescribedAnew {
    pub(in crate::catalog) spec: ServiceSpec,
    pub(in crate::catalog) described: Option<Described>,
    /// What has to stand still when the service is written; `None` where no component can be called so.
    pub(in crate::catalog) component: Option<SeenComponent>,
}

/// A new service of this name, as the tenant's component of the name describes it, if there is one.
pub(in crate::catalog) async fn describe_new<S>(
    store: &S,
    tenant: &TenantId,
    name: &ServiceName,
    spec: ServiceSpec,
) -> Result<DescribedAnew, StoreError>
where
    S: FindEntity,
{
    // What services are called, components can be called, but for a hyphen at the end.
    let Ok(name) = name.as_str().parse::<EntityName>() else {
        return Ok(DescribedAnew { spec, described: None, component: None });
    };
    let reference = EntityRef::new(EntityKind::Component, Namespace::default(), &name);
    Ok(match store.find_entity(tenant, &reference).await? {
        None => {
            let component = Some(SeenComponent { reference, revision: None });
            DescribedAnew { spec, described: None, component }
        }
        Some(found) => {
            let (spec, described) = describe(spec, &found.draft);
            let component = Some(SeenComponent { reference, revision: Some(found.revision) });
            DescribedAnew { spec, described: Some(described), component }
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
