//! Follows a path to the module that defines what it names, through imports and re-exports.

use crate::krate::{Krate, ModuleId};

/// What a path leads to in its crate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    Module(ModuleId),
    /// An item of this module.
    Item(ModuleId),
}

/// Re-exports of re-exports end before this, unless a name stands for itself: `use http;`.
const MAX_DEPTH: usize = 32;

/// Where `segments`, as written in module `from`, lead; nothing where they leave the crate or name what is
/// local to a function.
pub fn resolve(krate: &Krate, from: ModuleId, segments: &[String]) -> Option<Target> {
    path(krate, from, segments, MAX_DEPTH)
}

/// Where a name leads that other modules can see in module `from`, or that a glob brings there.
pub fn resolve_reexported(krate: &Krate, from: ModuleId, name: &str) -> Option<Target> {
    let module = &krate.modules[from];
    if module.items.contains(name) {
        return None;
    }
    let declared = module.imports.iter().find(|import| import.name.as_deref() == Some(name));
    match declared {
        Some(import) if import.public => resolve(krate, from, &import.path.segments),
        Some(_) => None,
        None => through_globs(krate, from, name, MAX_DEPTH),
    }
}

fn path(krate: &Krate, from: ModuleId, segments: &[String], depth: usize) -> Option<Target> {
    let depth = depth.checked_sub(1)?;
    let (first, mut rest) = segments.split_first()?;
    let mut target = match first.as_str() {
        "crate" => Target::Module(0),
        "self" => Target::Module(from),
        "super" => Target::Module(krate.modules[from].parent?),
        name => name_in(krate, from, name, rest.is_empty(), depth)?,
    };
    while let Some((next, after)) = rest.split_first() {
        let Target::Module(module) = target else { return Some(target) };
        rest = after;
        target = match next.as_str() {
            "super" => Target::Module(krate.modules[module].parent?),
            "self" => target,
            // What no item declares here, a macro has written.
            name if !known(krate, module, name) => Target::Item(module),
            name => name_in(krate, module, name, rest.is_empty(), depth)?,
        };
    }
    Some(target)
}

fn known(krate: &Krate, module: ModuleId, name: &str) -> bool {
    let module = &krate.modules[module];
    module.items.contains(name)
        || module.children.contains_key(name)
        || module.imports.iter().any(|import| import.glob || import.name.as_deref() == Some(name))
}

/// A module and a function may share a name: at a path's end it is the function, before it the module.
fn name_in(krate: &Krate, from: ModuleId, name: &str, last: bool, depth: usize) -> Option<Target> {
    let module = &krate.modules[from];
    let child = module.children.get(name).map(|&child| Target::Module(child));
    if let (Some(child), false) = (child, last) {
        return Some(child);
    }
    if module.items.contains(name) {
        return Some(Target::Item(from));
    }
    let imported = module
        .imports
        .iter()
        .filter(|import| import.name.as_deref() == Some(name))
        .find_map(|import| path(krate, from, &import.path.segments, depth));
    match imported {
        Some(Target::Module(_)) | None => child.or(imported),
        item => item,
    }
    .or_else(|| through_globs(krate, from, name, depth))
}

fn through_globs(krate: &Krate, from: ModuleId, name: &str, depth: usize) -> Option<Target> {
    let depth = depth.checked_sub(1)?;
    krate.modules[from].imports.iter().filter(|import| import.glob).find_map(|import| {
        match path(krate, from, &import.path.segments, depth)? {
            Target::Module(module) if known(krate, module, name) => name_in(krate, module, name, true, depth),
            _ => None,
        }
    })
}
