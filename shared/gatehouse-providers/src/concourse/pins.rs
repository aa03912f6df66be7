//! Versions of resources, and pinning them.

use std::collections::{BTreeMap, BTreeSet};

use gatehouse_domain::ci::{
    BuildId, CiError, ConcourseTarget, Pinned, ResourceVersion, Taken, Target, VersionFields,
};
use serde_json::json;

use super::{
    client::{Client, Limits},
    error::{About, Call, Effect},
    path, status, wire,
};

/// A resource of the pipeline that a target is in.
struct Resource<'a> {
    target: &'a ConcourseTarget,
    name: &'a str,
}

impl<'a> Resource<'a> {
    fn of(target: &'a Target, name: &'a str, operation: &'static str) -> Result<Self, CiError> {
        Ok(Self { target: path::pipeline_job(target, operation)?, name })
    }

    fn call(&self, operation: &'static str, effect: Effect) -> Call<'a> {
        Call { operation, about: About::Resource(self.target, self.name), effect }
    }

    fn path(&self, rest: &str, query: &str) -> String {
        path::resource(self.target, self.name, rest, query)
    }
}

/// Under which names the job takes the resource: a step may call it otherwise.
pub(super) async fn inputs_of(
    client: &Client,
    target: &Target,
    resource: &str,
) -> Result<BTreeSet<String>, CiError> {
    let operation = "look at the job's inputs";
    let target = path::pipeline_job(target, operation)?;
    let call = Call { operation, about: About::Job(target), effect: Effect::Reads };
    let job: wire::Job = client.get(&call, &path::job(target), Limits::default()).await?;
    let inputs = job.inputs.into_iter().filter(|input| input.resource == resource);
    Ok(inputs.map(|input| input.name).collect())
}

/// The newest version that has these fields and is not disabled.
pub(super) async fn find_version(
    client: &Client,
    target: &Target,
    resource: &str,
    fields: &VersionFields,
) -> Result<Option<ResourceVersion>, CiError> {
    let operation = "look for a version";
    let resource = Resource::of(target, resource, operation)?;
    let filters =
        fields.iter().map(|(name, value)| format!("filter={}", path::escape(&format!("{name}:{value}"))));
    let query = filters.chain(["limit=100".to_owned()]).collect::<Vec<_>>().join("&");
    let call = resource.call(operation, Effect::Reads);
    let path = resource.path("/versions", &query);
    let versions: Vec<wire::Version> = client.get(&call, &path, Limits::list()).await?;
    // A server that knows no filters gives all versions.
    let is_wanted = |version: &wire::Version| {
        version.enabled && fields.iter().all(|(name, value)| version.fields.get(name) == Some(value))
    };
    let found = versions.into_iter().find(is_wanted);
    Ok(found.map(|version| ResourceVersion { id: version.id.to_string(), fields: version.fields }))
}

/// Begins a check. What it finds shows among the versions; that it has failed shows nowhere there.
pub(super) async fn look_for(
    client: &Client,
    target: &Target,
    resource: &str,
    fields: &VersionFields,
) -> Result<(), CiError> {
    let operation = "check the resource";
    let resource = Resource::of(target, resource, operation)?;
    let call = resource.call(operation, Effect::Changes);
    client.post_json(&call, &resource.path("/check", ""), &json!({ "from": fields })).await
}

pub(super) async fn pinned(client: &Client, target: &Target, resource: &str) -> Result<Pinned, CiError> {
    let operation = "look what is pinned";
    let resource = Resource::of(target, resource, operation)?;
    let call = resource.call(operation, Effect::Reads);
    let shown: wire::Resource = client.get(&call, &resource.path("", ""), Limits::default()).await?;
    Ok(match shown.pinned_version {
        _ if shown.pinned_in_config => Pinned::InConfiguration,
        fields if fields.is_empty() => Pinned::Nothing,
        fields => Pinned::To { fields, comment: shown.pin_comment },
    })
}

pub(super) async fn pin(
    client: &Client,
    target: &Target,
    resource: &str,
    version: &ResourceVersion,
) -> Result<(), CiError> {
    let operation = "pin a version";
    let resource = Resource::of(target, resource, operation)?;
    let call = resource.call(operation, Effect::Changes);
    let path = resource.path(&format!("/versions/{}/pin", path::escape(&version.id)), "");
    client.put(&call, &path).await
}

pub(super) async fn comment(
    client: &Client,
    target: &Target,
    resource: &str,
    comment: &str,
) -> Result<(), CiError> {
    let operation = "comment a pin";
    let resource = Resource::of(target, resource, operation)?;
    let call = resource.call(operation, Effect::Changes);
    client.put_json(&call, &resource.path("/pin_comment", ""), &json!({ "pin_comment": comment })).await
}

pub(super) async fn unpin(client: &Client, target: &Target, resource: &str) -> Result<(), CiError> {
    let operation = "unpin a version";
    let resource = Resource::of(target, resource, operation)?;
    let call = resource.call(operation, Effect::Changes);
    client.put(&call, &resource.path("/unpin", "")).await
}

/// What a build took. All its inputs come at once, when it begins.
pub(super) async fn taken(client: &Client, target: &Target, build: &BuildId) -> Result<Taken, CiError> {
    let operation = "look at the build's inputs";
    let target = path::pipeline_job(target, operation)?;
    let number = path::build_number(build, operation)?;
    let call = Call { operation, about: About::Build(target, build), effect: Effect::Reads };
    let path = format!("/api/v1/builds/{number}");
    // First how it stands: what ends after this look has its inputs in the next one.
    let shown: wire::Build = client.get(&call, &path, Limits::default()).await?;
    let resources: wire::BuildResources =
        client.get(&call, &format!("{path}/resources"), Limits::default()).await?;
    let versions: BTreeMap<_, _> =
        resources.inputs.into_iter().map(|input| (input.name, input.version)).collect();
    Ok(match versions.is_empty() {
        false => Taken::Versions(versions),
        true if status::common(&shown.status).is_terminal() => Taken::Nothing,
        true => Taken::NotYet,
    })
}
