//! What a kind of CI system decides for itself.

use serde_json::Value;

use crate::{
    ci::{connection::Connection, delivery::Delivery},
    name::ProviderName,
    validation::FieldError,
};

/// The longest command with all its arguments, and the most that instance variables may measure as JSON, in
/// bytes. What is kept of a run holds them several times, and an item of the table at most 400 KB.
pub(super) const MAX_TARGET: usize = 32 * 1024;

/// The target of one kind of CI system. What has a default here differs in few kinds.
pub(super) trait Rules: Sized + PartialEq {
    /// The kind as text: in stored things, in the API, and as the name of a kind's first provider.
    const NAME: &'static str;

    /// What is wrong with the target; nothing when all is well. Pointers start at the reference itself.
    fn check(&self) -> Vec<FieldError>;

    /// What the CI system grants roles in, such as a team of Concourse; `None` where it has no such thing.
    fn scope(&self) -> Option<&str> {
        None
    }

    /// Why a parameter cannot be delivered so, if so. `delivery` has a name of acceptable length.
    fn refuse_delivery(delivery: &Delivery) -> Option<String>;

    /// What is wrong with the settings of a provider; nothing when all is well.
    fn check_connection(connection: &Connection<'_>) -> Vec<FieldError>;

    /// Sets an instance variable; dots in `name` reach into nested ones. Nothing where the kind has none:
    /// [`Rules::refuse_delivery`] has refused them then.
    fn set_instance_var(&mut self, _name: &str, _value: Value) {}

    /// Whether a build of `actual` is a run of a job that points at this target.
    fn covers(&self, actual: &Self) -> bool {
        self == actual
    }

    /// What shares its pins: whatever has resources that can be pinned, such as a pipeline of Concourse. `None` where
    /// there are no such things.
    fn pin_scope(&self) -> Option<String> {
        None
    }

    /// Under which name jobs are found that point at this target, whatever its instance variables; `None`
    /// where runs that Gatehouse did not start are never looked up. Without `#`, which separates the parts
    /// of a key.
    fn lookup_name(&self) -> Option<String> {
        None
    }

    /// The id of the run that the target's `build` at `provider` is.
    fn run_id(&self, _provider: &ProviderName, build: &str) -> String {
        build.to_owned()
    }

    /// The provider, the target and the build that such an id names, where it names them.
    fn of_run_id(_id: &str) -> Option<(ProviderName, Self, String)> {
        None
    }
}
