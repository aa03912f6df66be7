//! Which variables of a module Gatehouse fills by itself.

use gatehouse_domain::modules::OWN;

/// Single parts of it, and the types that they fit.
const PARTS: [(&str, &[&str]); 4] = [
    ("tenant", &["string"]),
    ("service", &["string"]),
    ("environment", &["string"]),
    ("tags", &["map(string)", "map(any)"]),
];

/// Whether Gatehouse fills the variable of this name and type, where nobody gives an input for it. Of another type it
/// means something else.
pub fn tells(name: &str, kind: Option<&str>) -> bool {
    let part = PARTS.iter().find(|(part, _)| *part == name);
    name == OWN
        || part.is_some_and(|(_, kinds)| kind.is_none_or(|kind| kind == "any" || kinds.contains(&kind)))
}
