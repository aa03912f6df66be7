//! The commands that state machines send to functions: reading them, answering in words that they catch, and the
//! line that each leaves in the log.

mod failure;

use gatehouse_domain::id::OperationId;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use self::failure::CommandFailed;

/// The commands of a function.
pub trait Command: DeserializeOwned {
    /// Whose commands these are, for messages: `the deployer`.
    const FUNCTION: &'static str;

    /// The command as the state machine writes it.
    fn name(&self) -> &'static str;

    fn operation(&self) -> &OperationId;
}

/// Takes an event for a command, and logs where it is none.
///
/// # Errors
///
/// When it is no command of this function; the message repeats no text of a field.
pub fn read<C: Command>(event: Value) -> Result<C, CommandFailed> {
    let parsed = if event.is_object() {
        serde_json::from_value(event).map_err(|error| error.to_string())
    } else {
        // Serde would take a bare string for a command without fields.
        Err("it must be a JSON object".to_owned())
    };
    parsed.map_err(|reason| {
        let failed = CommandFailed::invalid(C::FUNCTION, &reason);
        failed.log("none", "none");
        failed
    })
}

/// Logs what came of a command, and passes it on.
///
/// # Errors
///
/// Those of `outcome`.
pub fn logged<C: Command, A>(command: &C, outcome: Result<A, CommandFailed>) -> Result<A, CommandFailed> {
    let (name, operation) = (command.name(), command.operation());
    match &outcome {
        Ok(_) => {
            tracing::info!(command = name, operation_id = %operation, "obeyed {name} for operation {operation}");
        }
        Err(failed) => failed.log(name, operation.as_str()),
    }
    outcome
}
