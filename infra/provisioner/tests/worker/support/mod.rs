//! What the tests of the worker share.

pub mod gatehouse;
pub mod place;
pub mod stand_in;
pub mod wait;
pub mod worker;

use serde_json::{Value, json};

/// The operation of every test.
pub const OPERATION: &str = "op_test";

/// The first secret that the worker has.
pub const CALLBACK_TOKEN: &str = "callback-token-1f2e3d4c";

/// The second.
pub const TASK_TOKEN: &str = "task-token-5a6b7c8d";

/// A work order for the example module.
pub fn order(kind: &str, phase: &str, inputs: &Value) -> Value {
    json!({
        "operation_id": OPERATION,
        "kind": kind,
        "phase": phase,
        "tenant": "acme",
        "service": "shop",
        "environment": "dev",
        "module": "example",
        "inputs": inputs,
        "heartbeat_seconds": 20,
    })
}
