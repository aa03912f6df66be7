//! `docs/LIMITS.md` says what the code says, and `docs/PERFORMANCE.md` what the template says of memory.

use std::collections::BTreeSet;

use crate::{read, template};

const PAGE: &str = "docs/LIMITS.md";

/// A constant of the code, as the page names it.
struct Constant {
    file: String,
    name: String,
    value: String,
}

/// The rows that name a constant: ``| what | `file` `NAME` | `value` | …``.
fn constants() -> Vec<Constant> {
    let page = read(PAGE);
    let rows = page.lines().filter_map(|line| {
        let cells: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let (constant, value) = (cells.get(1)?, cells.get(2)?);
        let (file, name) = constant.strip_prefix('`')?.strip_suffix('`')?.split_once("` `")?;
        let value = value.strip_prefix('`')?.strip_suffix('`')?;
        Some(Constant { file: file.to_owned(), name: name.to_owned(), value: value.to_owned() })
    });
    rows.collect()
}

/// What the source of a constant says that it is, each time that the file has one of this name.
fn written(source: &str, name: &str) -> Vec<String> {
    let declared = format!("const {name}: ");
    let values = source.split(&declared).skip(1).filter_map(|rest| {
        let (_, value) = rest.split_once(" = ")?;
        let (value, _) = value.split_once(';')?;
        Some(value.to_owned())
    });
    values.collect()
}

#[test]
fn the_limits_of_the_code_are_those_of_the_page() {
    let constants = constants();
    assert!(constants.len() > 30, "{PAGE} names {} constants", constants.len());
    for Constant { file, name, value } in constants {
        assert_eq!(written(&read(&file), &name), [value], "{file}: {name}");
    }
}

#[test]
fn the_page_says_how_many_paths_there_are() {
    let template = template();
    let mut paths = BTreeSet::from([String::new()]);
    for (_function, route) in template.routes() {
        let mut path = String::new();
        for segment in route.path.split('/').skip(1) {
            path = format!("{path}/{segment}");
            paths.insert(path.clone());
        }
    }
    let said = format!("| 300 resources in an API. Can be raised | {} |", paths.len());
    assert!(read(PAGE).contains(&said), "{PAGE} lacks: {said}");
}

#[test]
fn every_function_has_the_memory_that_was_reckoned_for_it() {
    let page = read("docs/PERFORMANCE.md");
    let template = template();
    for function in &template.functions {
        let row = format!("\n| {} | {} MB | ", function.name, function.memory_mb);
        assert!(page.contains(&row), "docs/PERFORMANCE.md, \"Memory sizes\", lacks{row}");
    }
}

#[test]
fn the_cost_of_idling_counts_every_alarm_and_that_of_metrics_every_route() {
    let page = read("docs/COST.md");
    let text = read("template.yaml");
    let alarms = text.lines().filter(|line| line.trim() == "Type: AWS::CloudWatch::Alarm").count();
    let dimes = format!("| alarms | {alarms} | ${}.{}0 |", alarms / 10, alarms % 10);
    assert!(page.contains(&dimes), "docs/COST.md lacks: {dimes}");
    let template = template();
    let routes = template.routes().count();
    let metrics = format!("| all {routes} | ${} |", routes * 5 * 3 / 10);
    assert!(page.contains(&metrics), "docs/COST.md lacks: {metrics}");
}
