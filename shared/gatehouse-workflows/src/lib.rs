//! Step Functions behind the ports of the domain.

mod step_functions;

pub use step_functions::{Answers, Executions, Machine, Machines};
