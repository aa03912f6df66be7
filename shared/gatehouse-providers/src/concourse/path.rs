//! Paths of Concourse's API, and of its pages.

use std::fmt::Write;

use gatehouse_domain::ci::{BuildId, CiError, CiErrorKind, ConcourseTarget, Target};
use serde_json::{Map, Value};

/// A name as a path segment or a part of a query.
pub(super) fn escape(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            text.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// The pipeline job that `target` names.
///
/// # Errors
///
/// When it is for another CI system, or a name is one that no URL can carry.
pub(super) fn pipeline_job<'a>(
    target: &'a Target,
    operation: &'static str,
) -> Result<&'a ConcourseTarget, CiError> {
    let Target::Concourse(target) = target else {
        let advice = "this job does not point at a Concourse pipeline";
        return Err(CiError::new(CiErrorKind::Refused, operation, advice));
    };
    // URLs take these for steps up the path, escaped or not.
    let names = [target.team.as_str(), &target.pipeline, &target.job];
    match names.into_iter().find(|name| matches!(*name, "." | ".." | "")) {
        None => Ok(target),
        Some(name) => {
            let advice = format!("Concourse can have nothing that is called `{name}`");
            Err(CiError::new(CiErrorKind::NotFound, operation, advice))
        }
    }
}

/// The number that `build` is.
///
/// # Errors
///
/// When it is none: Concourse has no such build.
pub(super) fn build_number(build: &BuildId, operation: &'static str) -> Result<u64, CiError> {
    let number = build.0.parse().ok().filter(|number| *number <= i64::MAX.unsigned_abs());
    number.ok_or_else(|| {
        let advice = format!("`{build}` is not the id of a Concourse build");
        CiError::new(CiErrorKind::NotFound, operation, advice)
    })
}

/// `/api/v1/teams/…/pipelines/…`, then `rest`.
pub(super) fn pipeline(team: &str, pipeline: &str, rest: &str) -> String {
    format!("/api/v1/teams/{}/pipelines/{}{rest}", escape(team), escape(pipeline))
}

/// A job, with the query that selects an instance.
pub(super) fn job(target: &ConcourseTarget) -> String {
    let path = pipeline(&target.team, &target.pipeline, &format!("/jobs/{}", escape(&target.job)));
    with_query(path, &vars_query(&target.vars))
}

/// The resources of a job's pipeline.
pub(super) fn resources(target: &ConcourseTarget) -> String {
    with_query(pipeline(&target.team, &target.pipeline, "/resources"), &vars_query(&target.vars))
}

/// The builds of a job, then `rest`, with the query that selects an instance and `query`.
pub(super) fn job_builds(target: &ConcourseTarget, rest: &str, query: &str) -> String {
    let builds = format!("/jobs/{}/builds{rest}", escape(&target.job));
    with_query(pipeline(&target.team, &target.pipeline, &builds), &both(&vars_query(&target.vars), query))
}

/// A resource of the pipeline that `target` is in, then `rest`, with the query that selects an instance and `query`.
pub(super) fn resource(target: &ConcourseTarget, resource: &str, rest: &str, query: &str) -> String {
    let resource = format!("/resources/{}{rest}", escape(resource));
    with_query(pipeline(&target.team, &target.pipeline, &resource), &both(&vars_query(&target.vars), query))
}

/// Two queries in one.
fn both(first: &str, second: &str) -> String {
    [first, second].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("&")
}

/// `path?query`, or `path` where there is no query.
pub(super) fn with_query(path: String, query: &str) -> String {
    if query.is_empty() { path } else { format!("{path}?{query}") }
}

/// The query that selects an instance of a pipeline: all variables as one JSON object, which needs no
/// quoting of dots in names.
pub(super) fn vars_query(vars: &Map<String, Value>) -> String {
    if vars.is_empty() {
        return String::new();
    }
    format!("vars={}", escape(&Value::Object(vars.clone()).to_string()))
}

/// The page of a build, where people see it.
pub(super) fn web_page(base: &str, target: &ConcourseTarget, build_name: &str) -> String {
    let [team, pipeline, job, build] = [&target.team, &target.pipeline, &target.job, build_name].map(escape);
    let page = format!("{base}/teams/{team}/pipelines/{pipeline}/jobs/{job}/builds/{build}");
    with_query(page, &vars_query_of_pages(&target.vars))
}

/// Pages name each variable by itself; a name with a separator in it is quoted.
fn vars_query_of_pages(vars: &Map<String, Value>) -> String {
    let name = |name: &str| if name.contains(['.', ':']) { format!("\"{name}\"") } else { name.to_owned() };
    let pairs =
        vars.iter().map(|(key, value)| format!("vars.{}={}", escape(&name(key)), escape(&value.to_string())));
    pairs.collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn target(vars: &Value) -> ConcourseTarget {
        ConcourseTarget {
            team: "a b".into(),
            pipeline: "x/y".into(),
            job: "é".into(),
            vars: vars.as_object().cloned().unwrap_or_default(),
        }
    }

    #[test]
    fn names_cannot_leave_their_segment() {
        let path = job_builds(&target(&json!({})), "", "limit=1");
        assert_eq!(path, "/api/v1/teams/a%20b/pipelines/x%2Fy/jobs/%C3%A9/builds?limit=1");
    }

    #[test]
    fn instance_vars_are_json_in_the_query() {
        let target = target(&json!({"branch": "a&b", "n": 1}));
        assert_eq!(
            job_builds(&target, "/17", ""),
            "/api/v1/teams/a%20b/pipelines/x%2Fy/jobs/%C3%A9/builds/17\
             ?vars=%7B%22branch%22%3A%22a%26b%22%2C%22n%22%3A1%7D"
        );
        assert_eq!(
            web_page("https://ci", &target, "17.1"),
            "https://ci/teams/a%20b/pipelines/x%2Fy/jobs/%C3%A9/builds/17.1\
             ?vars.branch=%22a%26b%22&vars.n=1"
        );
    }

    #[test]
    fn names_that_climb_the_path_are_not_found() {
        let climbing = Target::Concourse(ConcourseTarget { job: "..".into(), ..target(&json!({})) });
        assert_eq!(pipeline_job(&climbing, "trigger").unwrap_err().kind, CiErrorKind::NotFound);
    }

    #[test]
    fn build_ids_are_numbers_of_64_bits() {
        assert_eq!(build_number(&BuildId("7589249440".into()), "get").unwrap(), 7_589_249_440);
        for bad in ["", "17.1", "-1", "latest", "9223372036854775808"] {
            assert!(build_number(&BuildId(bad.into()), "get").is_err(), "{bad}");
        }
    }
}
