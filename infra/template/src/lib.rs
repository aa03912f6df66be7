//! `template.yaml`, as far as the local stack plays it: functions, their routes, the API, tables. And which
//! route answers a path.

mod api;
mod definition;
mod error;
mod function;
mod resolve;
mod routes;
mod shape;
mod table;
mod yaml;

use std::{
    collections::{BTreeMap, HashSet},
    path::Path,
};

pub use self::{
    api::{ApiSettings, AuthorizerSettings, GatewayResponseSettings},
    definition::{RouteSettings, TransferMode},
    error::TemplateError,
    function::{FunctionSettings, Setting},
    routes::{BadRoute, Match, Routes},
    table::{Attribute, IndexSettings, KeyPart, TableSettings},
};
use self::{definition::Operation, resolve::Resolver, shape::Resources};

/// A SAM template, read and resolved.
#[derive(Clone, Debug)]
pub struct Template {
    /// Every `AWS::Serverless::Function`, in order of logical id.
    pub functions: Vec<FunctionSettings>,
    /// The one `AWS::Serverless::Api`.
    pub api: ApiSettings,
    /// Every `AWS::DynamoDB::Table`, in order of logical id.
    pub tables: Vec<TableSettings>,
}

impl Template {
    /// Reads the template at `path`; `overrides` are parameter values, as in `sam deploy`.
    ///
    /// # Errors
    /// When the file cannot be read or holds what the local stack cannot play truthfully.
    pub fn load(path: &Path, overrides: &BTreeMap<String, String>) -> Result<Self, TemplateError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| TemplateError::Read { path: path.to_owned(), source })?;
        Self::parse(&text, overrides)
    }

    /// Reads a template from text.
    ///
    /// # Errors
    /// As [`Template::load`].
    pub fn parse(text: &str, overrides: &BTreeMap<String, String>) -> Result<Self, TemplateError> {
        let document = yaml::parse(text)?;
        let resources = Resources::new(&document, Resolver::new(&document, overrides));
        let mut functions = function::all(&resources)?;
        let written = api::only(&resources)?;
        let api = api::read(&written, &functions)?;
        for operation in definition::operations(&written)? {
            api.check(&operation)?;
            give(operation, &mut functions)?;
        }
        drop_hidden_routes(&mut functions);
        Ok(Self { functions, api, tables: table::all(&resources)? })
    }

    /// Looks a function up by its name (the last segment of `CodeUri`).
    pub fn function(&self, name: &str) -> Option<&FunctionSettings> {
        self.functions.iter().find(|function| function.name == name)
    }

    /// Lists every route with the function that answers it.
    pub fn routes(&self) -> impl Iterator<Item = (&FunctionSettings, &RouteSettings)> {
        self.functions.iter().flat_map(|function| function.routes.iter().map(move |route| (function, route)))
    }
}

/// The whole of a template as it is written, with the long names of the intrinsic functions (`{"Fn::If": […]}`): for who
/// looks at what [`Template`] does not play.
///
/// # Errors
/// When the text is not YAML, or holds something JSON cannot say.
pub fn document(text: &str) -> Result<serde_json::Value, TemplateError> {
    yaml::parse(text)
}

/// Gives a route to the function that answers it.
fn give(operation: Operation, functions: &mut [FunctionSettings]) -> Result<(), TemplateError> {
    let Operation { place, function, route } = operation;
    let Some(found) = functions.iter_mut().find(|one| one.logical_id == function) else {
        return Err(TemplateError::resource(place, format!("there is no function {function}")));
    };
    found.routes.push(route);
    Ok(())
}

/// A verb of its own goes before `ANY` at the same path.
fn drop_hidden_routes(functions: &mut [FunctionSettings]) {
    let routes = functions.iter().flat_map(|function| &function.routes);
    let own = routes.filter(|route| !route.any).map(|route| (route.path.clone(), route.method.clone()));
    let own: HashSet<_> = own.collect();
    for function in functions {
        function
            .routes
            .retain(|route| !route.any || !own.contains(&(route.path.clone(), route.method.clone())));
    }
}

#[cfg(test)]
mod tests;
