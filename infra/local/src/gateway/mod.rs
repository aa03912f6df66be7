//! API Gateway, REST flavour, in front of functions that run in this process.
//!
//! [`gatehouse_template::Template`] says which routes exist, [`invoke::LambdaFunction`] is the code behind
//! them, [`Gateway`] joins the two and [`Gateway::serve`] puts a port in front.

mod assembly;
pub mod authorizer;
mod body;
pub mod event;
pub mod gateway_response;
mod invocations;
pub mod invoke;
pub mod limits;
mod media;
mod pipeline;
pub mod request;
mod response;
mod server;
mod settings;
mod visitors;

pub use self::{
    event::ApiIdentity,
    invoke::{Invocation, LambdaFunction},
    limits::Limits,
    pipeline::{AuthorizerCaches, Gateway},
    server::RunningGateway,
    settings::GatewaySettings,
    visitors::KnownToEverybody,
};

/// Why a gateway cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The template has a function whose code was not given.
    #[error("the template has a function {0}, but nothing here runs it")]
    MissingFunction(String),
    /// Code was given for a function that the template does not have.
    #[error("there is code for a function {0}, but the template has none of this name")]
    UnknownFunction(String),
    /// The template has a path that API Gateway would refuse.
    #[error(transparent)]
    BadRoute(#[from] gatehouse_template::BadRoute),
}

#[cfg(test)]
mod tests;
