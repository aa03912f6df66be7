//! The check of circles, on crates made up for it.

use std::{collections::BTreeMap, path::Path};

use gatehouse_structure::{circles::circles, krate::Krate};

fn circles_of(files: &[(&str, &str)]) -> Vec<String> {
    let files: BTreeMap<&str, &str> = files.iter().copied().collect();
    let read = |path: &Path| files.get(path.to_str()?).map(|text| (*text).to_owned());
    let krate =
        Krate::read("made-up", Path::new("src/lib.rs"), &read).unwrap_or_else(|error| panic!("{}", error.0));
    circles(&krate).iter().map(ToString::to_string).collect()
}

fn first_lines(circles: &[String]) -> Vec<&str> {
    circles.iter().filter_map(|circle| circle.lines().next()).collect()
}

const NONE: [&str; 0] = [];

#[test]
fn modules_that_use_each_other_are_a_circle_with_a_use_for_each_arrow() {
    let found = circles_of(&[
        ("src/lib.rs", "mod jobs;\nmod runs;\n"),
        ("src/jobs.rs", "use crate::runs::Run;\npub struct Job(Run);\n"),
        (
            "src/runs/mod.rs",
            "pub struct Run;\nfn of(job: &super::jobs::Job) {}\nfn to(_: crate::jobs::Job) {}\n",
        ),
    ]);
    assert_eq!(
        found,
        ["made-up, in crate: jobs -> runs -> jobs\n    \
          jobs -> runs: src/jobs.rs:1 crate::runs::Run\n    \
          runs -> jobs: src/runs/mod.rs:2 super::jobs::Job (and 1 more)\n"]
    );
}

#[test]
fn arrows_one_way_are_no_circle() {
    let found = circles_of(&[
        ("src/lib.rs", "mod jobs;\nmod runs;\n"),
        ("src/jobs.rs", "use crate::runs::Run;\npub struct Job(Run);\n"),
        ("src/runs.rs", "pub struct Run;\n"),
    ]);
    assert_eq!(found, NONE);
}

#[test]
fn a_longer_circle_is_found_once() {
    let found = circles_of(&[
        ("src/lib.rs", "mod a; mod b; mod c;"),
        ("src/a.rs", "pub struct A(crate::b::B);"),
        ("src/b.rs", "pub struct B(crate::c::C);"),
        ("src/c.rs", "pub struct C(Vec<crate::a::A>);"),
    ]);
    assert_eq!(first_lines(&found), ["made-up, in crate: a -> b -> c -> a"]);
}

#[test]
fn what_is_below_a_module_belongs_to_it() {
    let found = circles_of(&[
        ("src/lib.rs", "mod jobs; mod runs;"),
        ("src/jobs/mod.rs", "mod list;\npub struct Job;"),
        ("src/jobs/list.rs", "use crate::runs::id::RunId;"),
        ("src/runs/mod.rs", "pub mod id;\nmod find;"),
        ("src/runs/id.rs", "pub struct RunId;"),
        ("src/runs/find.rs", "use crate::jobs::Job;"),
    ]);
    assert_eq!(first_lines(&found), ["made-up, in crate: jobs -> runs -> jobs"]);
}

#[test]
fn a_facade_is_no_arrow_and_is_seen_through() {
    let found = circles_of(&[
        ("src/lib.rs", "mod operations;"),
        (
            "src/operations/mod.rs",
            "mod model;\nmod decide;\npub use self::{decide::decide, model::Operation};",
        ),
        ("src/operations/model.rs", "pub struct Operation;"),
        ("src/operations/decide.rs", "use super::Operation;\npub fn decide(_: &Operation) {}"),
    ]);
    assert_eq!(found, NONE);
}

#[test]
fn re_exports_of_siblings_are_seen_through() {
    let found = circles_of(&[
        ("src/lib.rs", "mod ground; mod facade; mod user;"),
        ("src/ground.rs", "pub struct Id(crate::user::User);"),
        ("src/facade.rs", "pub use crate::ground::*;\npub use crate::ground::Id as Name;"),
        ("src/user.rs", "use crate::facade::Name;\npub struct User;"),
    ]);
    assert_eq!(first_lines(&found), ["made-up, in crate: ground -> user -> ground"]);
}

#[test]
fn code_beside_a_facade_is_part_of_a_circle() {
    let found = circles_of(&[
        ("src/lib.rs", "mod operations;"),
        (
            "src/operations/mod.rs",
            "mod decide;\npub use self::decide::decide;\npub struct Operation;\nfn now() { decide(&Operation); }",
        ),
        ("src/operations/decide.rs", "use super::Operation;\npub fn decide(_: &Operation) {}"),
    ]);
    assert_eq!(first_lines(&found), ["made-up, in crate::operations: decide -> mod.rs -> decide"]);
}

#[test]
fn the_root_has_code_of_its_own_as_well() {
    let found = circles_of(&[
        ("src/lib.rs", "mod handler;\npub struct State;\npub fn routes() { handler::get; }"),
        ("src/handler.rs", "use crate::State;\npub fn get(_: State) {}"),
    ]);
    assert_eq!(first_lines(&found), ["made-up, in crate: handler -> lib.rs -> handler"]);
}

#[test]
fn paths_are_found_in_macros_attributes_and_inner_declarations() {
    for code in [
        "pub fn f() { println!(\"{}\", crate::b::NAME); }",
        "macro_rules! m { () => { $crate::b::NAME }; }",
        "#[derive(Serialize)] pub struct A { #[serde(with = \"crate::b::seconds\")] at: u64 }",
        "pub fn f() { use super::b::{NAME as N}; }",
        "use super::b;\npub fn f() { b::f() }",
        "use super::b as other;\npub fn f() { other::Kind::new::<u8>() }",
        "pub fn f(it: &impl super::b::Trait) {}",
        "use crate::b::*;\npub fn f() -> Option<Kind> { None }",
    ] {
        let found = circles_of(&[
            ("src/lib.rs", "mod a; mod b;"),
            ("src/a.rs", &format!("{code}\npub const A: u8 = 0;")),
            (
                "src/b.rs",
                "use crate::a::A;\npub const NAME: u8 = A;\npub mod seconds {}\npub trait Trait {}\npub struct Kind;\npub fn f() {}",
            ),
        ]);
        assert_eq!(first_lines(&found), ["made-up, in crate: a -> b -> a"], "{code}");
    }
}

#[test]
fn what_a_macro_writes_belongs_to_the_module_that_calls_it() {
    let found = circles_of(&[
        ("src/lib.rs", "mod name; mod user; pub use name::UserName;"),
        (
            "src/name.rs",
            "macro_rules! name { ($n:ident) => { pub struct $n(crate::user::User); } }\nname!(UserName);",
        ),
        ("src/user.rs", "use crate::UserName;\npub struct User;"),
    ]);
    assert_eq!(first_lines(&found), ["made-up, in crate: name -> user -> name"]);
}

#[test]
fn a_module_and_a_function_may_share_a_name() {
    let found = circles_of(&[
        ("src/lib.rs", "mod show; mod other; pub use self::show::show;"),
        ("src/show.rs", "pub fn show() {}\npub struct Shown;"),
        ("src/other.rs", "pub fn f() { crate::show(); crate::show::Shown; }"),
    ]);
    assert_eq!(found, NONE);
}

#[test]
fn tests_other_crates_and_visibility_are_no_arrows() {
    let found = circles_of(&[
        ("src/lib.rs", "mod a; mod b;\n#[cfg(test)]\nmod tests;\n#[cfg(test)]\nuse a::A;"),
        (
            "src/a.rs",
            "pub struct A { pub(in crate::b) kind: ::b::Kind, b: http::b::Kind }\n\
             impl A { #[cfg(test)] fn f() { crate::b::f(); } }\n\
             /// Like [`crate::b::f`].\npub fn f() { let b = 1; it.f(); }\n\
             #[cfg(test)]\nmod tests { use super::*; use crate::b::f; }",
        ),
        ("src/b.rs", "use crate::a::A;\npub struct Kind;\npub fn f() {}"),
    ]);
    assert_eq!(found, NONE);
}
