//! Functions that run in this process, called as Lambda calls them: JSON in, JSON or a stream out.

mod code;
mod deployed;

pub use self::{
    code::{Invocation, LambdaFunction, StreamedAnswer},
    deployed::{CallError, DeployedFunction},
};

#[cfg(test)]
mod tests;
