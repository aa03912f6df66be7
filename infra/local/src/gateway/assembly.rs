//! Putting a gateway together from a template and the code of its functions.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use gatehouse_template::{RouteSettings, Routes, Template, TransferMode};

use super::{
    GatewayError,
    authorizer::Authorizer,
    event::ApiIdentity,
    invocations::Invocable,
    invoke::{DeployedFunction, LambdaFunction},
    limits::Limits,
    settings::GatewaySettings,
};

/// What a method leads to.
pub struct Target {
    /// The function that answers.
    pub function: DeployedFunction,
    /// Who decides; `None` lets anybody through.
    pub authorizer: Option<Arc<Authorizer>>,
    /// How the answer travels.
    pub transfer: TransferMode,
    /// How long the integration may take; for a stream, the whole body included.
    pub timeout: Duration,
}

/// The parts of a gateway that come from the template.
pub struct Assembly {
    /// The names that AWS would give.
    pub api: ApiIdentity,
    pub routes: Routes<Target>,
    pub authorizers: Vec<Arc<Authorizer>>,
    /// The functions that no route leads to.
    pub invocable: Invocable,
}

/// Puts the functions behind the template's routes.
pub fn assemble(
    template: &Template,
    functions: &BTreeMap<String, LambdaFunction>,
    settings: &GatewaySettings,
) -> Result<Assembly, GatewayError> {
    let api = ApiIdentity { stage: template.api.stage.clone(), ..settings.api.clone() };
    let deployed = deploy(template, functions, &api, settings)?;
    let authorizers = authorizers(template, &deployed)?;
    let routes = routes(template, &deployed, &authorizers, &settings.limits)?;
    let invocable = Invocable::of(template, &deployed);
    Ok(Assembly { api, routes, authorizers: authorizers.into_values().collect(), invocable })
}

type Deployed = BTreeMap<String, DeployedFunction>;

fn deploy(
    template: &Template,
    functions: &BTreeMap<String, LambdaFunction>,
    api: &ApiIdentity,
    settings: &GatewaySettings,
) -> Result<Deployed, GatewayError> {
    if let Some(name) = functions.keys().find(|name| template.function(name).is_none()) {
        return Err(GatewayError::UnknownFunction(name.clone()));
    }
    let known = template.functions.iter().filter_map(|function| {
        let code = functions.get(&function.name)?.clone();
        let arn = api.function_arn(&function.name);
        let deployed = DeployedFunction::new(code, function, arn, settings);
        Some((function.name.clone(), deployed))
    });
    Ok(known.collect())
}

fn find(deployed: &Deployed, name: &str) -> Result<DeployedFunction, GatewayError> {
    deployed.get(name).cloned().ok_or_else(|| GatewayError::MissingFunction(name.to_owned()))
}

fn authorizers(
    template: &Template,
    deployed: &Deployed,
) -> Result<BTreeMap<String, Arc<Authorizer>>, GatewayError> {
    let settings = template.api.authorizers.iter();
    settings
        .map(|(name, settings)| {
            let function = find(deployed, &settings.function)?;
            Ok((name.clone(), Arc::new(Authorizer::new(settings.clone(), function))))
        })
        .collect()
}

fn routes(
    template: &Template,
    deployed: &Deployed,
    authorizers: &BTreeMap<String, Arc<Authorizer>>,
    limits: &Limits,
) -> Result<Routes<Target>, GatewayError> {
    let mut routes = Routes::default();
    for (function, route) in template.routes() {
        let authorizer = template.api.authorizer_of(route).and_then(|name| authorizers.get(name));
        let target = Target {
            function: find(deployed, &function.name)?,
            authorizer: authorizer.cloned(),
            transfer: route.transfer,
            timeout: integration_timeout(route, limits),
        };
        routes.insert(&route.method, &route.path, target)?;
    }
    Ok(routes)
}

/// A buffered integration cannot wait longer than API Gateway's limit, whatever the route says.
fn integration_timeout(route: &RouteSettings, limits: &Limits) -> Duration {
    match (route.transfer, route.timeout) {
        (TransferMode::Buffered, Some(timeout)) => timeout.min(limits.integration),
        (TransferMode::Streaming, Some(timeout)) => timeout,
        (_, None) => limits.integration,
    }
}
