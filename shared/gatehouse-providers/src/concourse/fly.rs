//! Commands of `fly`, Concourse's own command line, that people can copy into a shell.

use gatehouse_domain::ci::ConcourseTarget;
use serde_json::{Map, Value};

/// What YAML 1.1 reads as something else than text, beside what begins like a number.
const NO_TEXT: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];

/// Unpauses the pipeline of `target`.
pub(super) fn unpause_pipeline(target: &ConcourseTarget) -> String {
    let (team, pipeline) = (shell(&target.team), shell(&instance(target)));
    format!("fly -t TARGET unpause-pipeline --team {team} -p {pipeline}")
}

/// Unpauses the job.
pub(super) fn unpause_job(target: &ConcourseTarget) -> String {
    let (team, job) = (shell(&target.team), shell(&format!("{}/{}", instance(target), target.job)));
    format!("fly -t TARGET unpause-job --team {team} -j {job}")
}

/// The pipeline as `fly` takes it: `app`, or `app/branch:main,pr:"123"` for an instance.
fn instance(target: &ConcourseTarget) -> String {
    let vars = variables(&target.vars);
    if vars.is_empty() { target.pipeline.clone() } else { format!("{}/{vars}", target.pipeline) }
}

/// Instance variables as `fly` takes and prints them: by name, nested ones with dots.
pub(super) fn variables(vars: &Map<String, Value>) -> String {
    let mut pairs = Vec::new();
    flatten("", vars, &mut pairs);
    pairs.sort();
    pairs.join(",")
}

fn flatten(within: &str, vars: &Map<String, Value>, pairs: &mut Vec<String>) {
    for (name, value) in vars {
        let quoted = name.is_empty() || name.contains(['.', ':', ',', '/', '"', ' ']);
        let name = if quoted { Value::from(name.as_str()).to_string() } else { name.clone() };
        let path = if within.is_empty() { name } else { format!("{within}.{name}") };
        match value {
            Value::Object(nested) if !nested.is_empty() => flatten(&path, nested, pairs),
            Value::String(text) if is_plain(text) => pairs.push(format!("{path}:{text}")),
            other => pairs.push(format!("{path}:{other}")),
        }
    }
}

/// Whether `fly` reads `text` as this text without quotes. It takes values for YAML; quoting more than Concourse itself
/// does is no harm.
fn is_plain(text: &str) -> bool {
    let in_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(in_word)
        && !NO_TEXT.iter().any(|word| word.eq_ignore_ascii_case(text))
}

/// An argument as a shell takes it.
pub(super) fn shell(argument: &str) -> String {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || "_-./:,=@%+".contains(c);
    if !argument.is_empty() && argument.chars().all(is_safe) {
        return argument.to_owned();
    }
    format!("'{}'", argument.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn target(vars: &Value) -> ConcourseTarget {
        ConcourseTarget {
            team: "main".into(),
            pipeline: "app".into(),
            job: "test".into(),
            vars: vars.as_object().cloned().unwrap_or_default(),
        }
    }

    /// As the real one takes them, and prints them in `fly pipelines`.
    #[test]
    fn values_that_would_be_read_as_something_else_are_quoted() {
        let cases = [
            (json!({}), "app"),
            (json!({"pr": 123}), "app/pr:123"),
            (json!({"branch": "feature/x", "pr": "123"}), r#"app/branch:"feature/x",pr:"123""#),
            (json!({"branch": "main", "b": true, "n": null}), "app/b:true,branch:main,n:null"),
            (
                json!({"a": "yes", "b": "", "c": "1.0", "d": "x y", "e": "~"}),
                r#"app/a:"yes",b:"",c:"1.0",d:"x y",e:"~""#,
            ),
            (json!({"git": {"ref": "v1", "a.b": 1}}), r#"app/git."a.b":1,git.ref:v1"#),
            (json!({"list": [1, "x"]}), r#"app/list:[1,"x"]"#),
        ];
        for (vars, expected) in cases {
            assert_eq!(instance(&target(&vars)), expected);
        }
    }

    #[test]
    fn a_shell_leaves_the_quotes_alone() {
        let vars = json!({"branch": "feature/x", "pr": "123"});
        let expected = r#"fly -t TARGET unpause-pipeline --team main -p 'app/branch:"feature/x",pr:"123"'"#;
        assert_eq!(unpause_pipeline(&target(&vars)), expected);
        let quote = ConcourseTarget { team: "o'neil".into(), ..target(&json!({"n": 1})) };
        assert_eq!(unpause_job(&quote), r"fly -t TARGET unpause-job --team 'o'\''neil' -j app/n:1/test");
    }
}
