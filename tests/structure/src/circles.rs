//! Finds circles between the modules of a crate.
//!
//! In every module the children (each with all that is below it) and the module's own code are the nodes of
//! a graph, and a use of what another node defines is an arrow. A re-export of what is below the module that
//! re-exports it is a facade and no arrow, and whoever uses it uses the module that defines it.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
    path::PathBuf,
};

use crate::{
    krate::{Krate, ModuleId},
    resolve::{Target, resolve, resolve_reexported},
};

/// Modules of which each uses the next, and the last uses the first.
#[derive(Debug)]
pub struct Circle {
    pub krate: String,
    /// The module whose children these are: `crate::operations`.
    pub within: String,
    pub arrows: Vec<Arrow>,
}

#[derive(Debug)]
pub struct Arrow {
    pub from: String,
    pub to: String,
    /// One use, and how many more there are.
    pub example: Use,
    pub more: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Use {
    pub file: PathBuf,
    pub line: usize,
    pub path: String,
}

impl fmt::Display for Circle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, in {}: ", self.krate, self.within)?;
        for arrow in &self.arrows {
            write!(f, "{} -> ", arrow.from)?;
        }
        writeln!(f, "{}", self.arrows[0].from)?;
        for Arrow { from, to, example, more } in &self.arrows {
            let Use { file, line, path } = example;
            write!(f, "    {from} -> {to}: {}:{line} {path}", file.display())?;
            writeln!(f, "{}", if *more > 0 { format!(" (and {more} more)") } else { String::new() })?;
        }
        Ok(())
    }
}

type Graph = BTreeMap<String, BTreeMap<String, BTreeSet<Use>>>;

/// For each arrow that is part of a circle the shortest such circle, each once.
pub fn circles(krate: &Krate) -> Vec<Circle> {
    let mut found = Vec::new();
    for (within, graph) in graphs(krate) {
        let mut seen = BTreeSet::new();
        for (from, arrows) in &graph {
            for to in arrows.keys() {
                let Some(back) = shortest_way(&graph, to, from) else { continue };
                if seen.insert(from_smallest(&back)) {
                    found.push(circle(krate, &within, &graph, &from_smallest(&back)));
                }
            }
        }
    }
    found.sort_by_key(|circle| (circle.within.clone(), circle.arrows.len()));
    found
}

/// The graph of each module, by its path.
fn graphs(krate: &Krate) -> BTreeMap<String, Graph> {
    let mut graphs: BTreeMap<String, Graph> = BTreeMap::new();
    for (user, definer, place) in uses(krate) {
        let (from, to) = (&krate.modules[user], &krate.modules[definer]);
        let shared = from.path.iter().zip(&to.path).take_while(|(one, other)| one == other).count();
        let above = &from.path[..shared];
        let owner = krate.modules.iter().find(|module| module.path == above).expect("a parent is a module");
        let node = |path: &[String]| path.get(shared).cloned().unwrap_or_else(|| owner.own_code());
        let within = ["crate"].into_iter().chain(above.iter().map(String::as_str)).collect::<Vec<_>>();
        graphs
            .entry(within.join("::"))
            .or_default()
            .entry(node(&from.path))
            .or_default()
            .entry(node(&to.path))
            .or_default()
            .insert(place);
    }
    graphs
}

/// Every use of what another module defines: who uses it, who defines it, and where.
fn uses(krate: &Krate) -> Vec<(ModuleId, ModuleId, Use)> {
    let mut uses = Vec::new();
    for (id, module) in krate.modules.iter().enumerate() {
        let place = |line: usize, path: String| Use { file: module.file.clone(), line, path };
        for import in module.imports.iter().chain(&module.inner_imports) {
            let Some(Target::Item(definer)) = resolve(krate, id, &import.path.segments) else { continue };
            let facade = import.public && krate.modules[definer].path.starts_with(&module.path);
            if definer != id && !facade {
                uses.push((id, definer, place(import.path.line, import.path.text())));
            }
        }
        for path in &module.paths {
            let target = match path.segments.as_slice() {
                [name] => resolve_reexported(krate, id, name),
                segments => resolve(krate, id, segments),
            };
            // Only serde's `with = "…"` names a module as a whole.
            if let Some(Target::Item(definer) | Target::Module(definer)) = target
                && definer != id
            {
                uses.push((id, definer, place(path.line, path.text())));
            }
        }
    }
    uses
}

/// The nodes from `from` to `to`, both among them.
fn shortest_way(graph: &Graph, from: &str, to: &str) -> Option<Vec<String>> {
    let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
    let mut next = VecDeque::from([from]);
    while let Some(node) = next.pop_front() {
        if node == to {
            let mut way = vec![node.to_owned()];
            let mut node = node;
            while node != from {
                node = came_from[node];
                way.push(node.to_owned());
            }
            way.reverse();
            return Some(way);
        }
        for after in graph.get(node).into_iter().flat_map(BTreeMap::keys) {
            if after != from && !came_from.contains_key(after.as_str()) {
                came_from.insert(after, node);
                next.push_back(after);
            }
        }
    }
    None
}

/// The same circle, begun at the node that is first in the alphabet.
fn from_smallest(circle: &[String]) -> Vec<String> {
    let mut circle = circle.to_vec();
    let smallest = (0..circle.len()).min_by_key(|&at| &circle[at]).unwrap_or_default();
    circle.rotate_left(smallest);
    circle
}

fn circle(krate: &Krate, within: &str, graph: &Graph, nodes: &[String]) -> Circle {
    let arrows = nodes.iter().zip(nodes.iter().cycle().skip(1)).map(|(from, to)| {
        let places = &graph[from][to];
        let example = places.first().expect("an arrow has a use").clone();
        Arrow { from: from.clone(), to: to.clone(), example, more: places.len() - 1 }
    });
    Circle { krate: krate.name.clone(), within: within.to_owned(), arrows: arrows.collect() }
}
