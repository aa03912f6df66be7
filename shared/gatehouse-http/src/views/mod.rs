//! What several functions show of one thing, as JSON: it looks the same wherever it is shown, and is one schema of the API
//! description.

mod infrastructure;
mod link;
mod operation;
mod reason;

pub use self::{
    infrastructure::InfrastructureView,
    link::LinkView,
    operation::{OperationView, PastOperationView},
    reason::ReasonView,
};
