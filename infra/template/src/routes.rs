//! Which resource answers a path, decided as API Gateway decides it.
//!
//! Segment by segment a literal wins over `{param}`, which wins over `{proxy+}`. When the resource
//! that wins lacks the verb, only a greedy resource elsewhere in the tree may still answer.

use std::collections::BTreeMap;

use http::Method;

/// The resource tree of an API; `T` is what a method leads to.
#[derive(Debug)]
pub struct Routes<T> {
    root: Node<T>,
}

/// A resource path that the tree cannot hold.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct BadRoute {
    /// The path as given.
    pub path: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// The resource that answers a request.
#[derive(Debug)]
pub struct Match<'a, T> {
    /// What the method leads to.
    pub target: &'a T,
    /// The resource path, such as `/v1/jobs/{job_id}`.
    pub resource: &'a str,
    /// The path parameters as they stand in the URL: a REST API does not percent-decode them.
    pub parameters: BTreeMap<String, String>,
}

#[derive(Debug)]
struct Node<T> {
    resource: String,
    methods: BTreeMap<String, T>,
    literals: BTreeMap<String, Node<T>>,
    parameter: Option<(String, Box<Node<T>>)>,
    greedy: Option<(String, Box<Node<T>>)>,
}

/// A resource whose path fits, whatever its methods.
struct Candidate<'a, T> {
    node: &'a Node<T>,
    parameters: Parameters<'a>,
    greedy: bool,
}

type Parameters<'a> = Vec<(&'a str, String)>;

enum Segment<'a> {
    Literal(&'a str),
    Parameter(&'a str),
    Greedy(&'a str),
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Self {
            resource: String::new(),
            methods: BTreeMap::new(),
            literals: BTreeMap::new(),
            parameter: None,
            greedy: None,
        }
    }
}

impl<T> Default for Routes<T> {
    fn default() -> Self {
        Self { root: Node::default() }
    }
}

impl<T> Routes<T> {
    /// Adds a method to the resource at `path`.
    ///
    /// # Errors
    /// When API Gateway would refuse the resource: two names for one parameter place, a greedy
    /// parameter before the end, or a duplicate.
    pub fn insert(&mut self, method: &Method, path: &str, target: T) -> Result<(), BadRoute> {
        let bad = |reason| BadRoute { path: path.to_owned(), reason };
        let mut node = &mut self.root;
        for segment in parse(path).map_err(bad)? {
            node = node.child(&segment).map_err(bad)?;
        }
        path.clone_into(&mut node.resource);
        match node.methods.insert(method.as_str().to_owned(), target) {
            None => Ok(()),
            Some(_) => Err(bad("this method exists twice")),
        }
    }

    /// Finds the resource for a path as it stands in the request line, without the query.
    ///
    /// Segments are compared before percent-decoding, so `%2F` is never a separator. Trailing slashes
    /// are ignored; an empty segment elsewhere matches only inside `{proxy+}`.
    pub fn find(&self, method: &Method, path: &str) -> Option<Match<'_, T>> {
        let segments: Vec<&str> = path.strip_prefix('/')?.trim_end_matches('/').split('/').collect();
        let segments = if segments == [""] { &[] } else { segments.as_slice() };
        let mut candidates = Vec::new();
        self.root.collect(segments, &Vec::new(), &mut candidates);
        choose(candidates, method.as_str())
    }
}

/// A fitting resource without the verb hides the other fitting ones, except greedy ones.
fn choose<'a, T>(candidates: Vec<Candidate<'a, T>>, method: &str) -> Option<Match<'a, T>> {
    let mut hidden = false;
    for candidate in candidates {
        if hidden && !candidate.greedy {
            continue;
        }
        if let Some(target) = candidate.node.methods.get(method) {
            return Some(candidate.into_match(target));
        }
        hidden |= !candidate.greedy;
    }
    None
}

impl<'a, T> Candidate<'a, T> {
    fn into_match(self, target: &'a T) -> Match<'a, T> {
        let parameters = self.parameters.into_iter().map(|(name, value)| (name.to_owned(), value));
        Match { target, resource: &self.node.resource, parameters: parameters.collect() }
    }
}

impl<T> Node<T> {
    fn child(&mut self, segment: &Segment<'_>) -> Result<&mut Self, &'static str> {
        match segment {
            Segment::Literal(text) => Ok(self.literals.entry((*text).to_owned()).or_default()),
            Segment::Parameter(name) => named(&mut self.parameter, name),
            Segment::Greedy(name) => named(&mut self.greedy, name),
        }
    }

    /// Adds the fitting resources below this one, best first.
    fn collect<'a>(
        &'a self,
        segments: &[&str],
        parameters: &Parameters<'a>,
        into: &mut Vec<Candidate<'a, T>>,
    ) {
        let Some((first, rest)) = segments.split_first() else {
            return self.add(parameters.clone(), false, into);
        };
        if let Some(node) = self.literals.get(*first) {
            node.collect(rest, parameters, into);
        }
        if let Some((name, node)) = self.parameter.as_ref().filter(|_| !first.is_empty()) {
            node.collect(rest, &with(parameters, name, (*first).to_owned()), into);
        }
        if let Some((name, node)) = &self.greedy {
            node.add(with(parameters, name, segments.join("/")), true, into);
        }
    }

    fn add<'a>(&'a self, parameters: Parameters<'a>, greedy: bool, into: &mut Vec<Candidate<'a, T>>) {
        if !self.methods.is_empty() {
            into.push(Candidate { node: self, parameters, greedy });
        }
    }
}

fn with<'a>(parameters: &Parameters<'a>, name: &'a str, value: String) -> Parameters<'a> {
    let mut longer = parameters.clone();
    longer.push((name, value));
    longer
}

fn named<'a, T>(
    slot: &'a mut Option<(String, Box<Node<T>>)>,
    name: &str,
) -> Result<&'a mut Node<T>, &'static str> {
    let (taken, node) = slot.get_or_insert_with(|| (name.to_owned(), Box::default()));
    if taken == name { Ok(node) } else { Err("a sibling resource names this parameter otherwise") }
}

fn parse(path: &str) -> Result<Vec<Segment<'_>>, &'static str> {
    let parts = path.split('/').filter(|part| !part.is_empty());
    let segments = parts.map(parse_segment).collect::<Result<Vec<_>, _>>()?;
    let last = segments.len().saturating_sub(1);
    if segments.iter().take(last).any(|segment| matches!(segment, Segment::Greedy(_))) {
        return Err("nothing may follow a greedy parameter");
    }
    Ok(segments)
}

fn parse_segment(segment: &str) -> Result<Segment<'_>, &'static str> {
    let Some(name) = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
        let partial = segment.contains(['{', '}']);
        return if partial {
            Err("a parameter must fill its segment")
        } else {
            Ok(Segment::Literal(segment))
        };
    };
    Ok(name.strip_suffix('+').map_or(Segment::Parameter(name), Segment::Greedy))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn routes() -> Routes<&'static str> {
        let mut routes = Routes::default();
        for (method, path) in [
            (Method::GET, "/"),
            (Method::GET, "/health"),
            (Method::GET, "/v1/jobs"),
            (Method::GET, "/v1/jobs/{job_id}"),
            (Method::DELETE, "/v1/jobs/{job_id}"),
            (Method::POST, "/v1/jobs/import"),
            (Method::GET, "/v1/jobs/{job_id}/runs"),
            (Method::GET, "/v1/jobs/special/log"),
            (Method::GET, "/{project}/{service}/{proxy+}"),
            (Method::PATCH, "/{project}/{service}/{proxy+}"),
        ] {
            routes.insert(&method, path, path).unwrap();
        }
        routes
    }

    fn resource(method: &Method, path: &str) -> Option<(String, BTreeMap<String, String>)> {
        routes().find(method, path).map(|found| (found.resource.to_owned(), found.parameters))
    }

    fn path_of(method: &Method, path: &str) -> Option<String> {
        resource(method, path).map(|found| found.0)
    }

    #[test]
    fn literals_win_over_parameters_and_parameters_over_greedy_ones() {
        for (method, path, expected) in [
            (Method::GET, "/", Some("/")),
            (Method::GET, "/health", Some("/health")),
            (Method::GET, "/v1/jobs", Some("/v1/jobs")),
            (Method::GET, "/v1/jobs/a", Some("/v1/jobs/{job_id}")),
            (Method::POST, "/v1/jobs/import", Some("/v1/jobs/import")),
            (Method::GET, "/v1/jobs/a/runs", Some("/v1/jobs/{job_id}/runs")),
            (Method::GET, "/v1/jobs/special/log", Some("/v1/jobs/special/log")),
            (Method::GET, "/v1/jobs/special/runs", Some("/v1/jobs/{job_id}/runs")),
            (Method::GET, "/a/b/c/d", Some("/{project}/{service}/{proxy+}")),
            (Method::GET, "/a/b", None),
            (Method::GET, "/nothing", None),
        ] {
            assert_eq!(path_of(&method, path).as_deref(), expected, "{method} {path}");
        }
    }

    #[test]
    fn a_missing_verb_falls_through_to_a_greedy_resource_only() {
        let greedy = Some("/{project}/{service}/{proxy+}".to_owned());
        assert_eq!(path_of(&Method::PATCH, "/v1/jobs/a"), greedy);
        assert_eq!(path_of(&Method::GET, "/v1/jobs/import"), greedy);
        assert_eq!(path_of(&Method::PUT, "/v1/jobs/a"), None);
        assert_eq!(path_of(&Method::HEAD, "/v1/jobs"), None);
    }

    #[test]
    fn parameters_stay_as_they_stand_in_the_url() {
        let (_, parameters) = resource(&Method::GET, "/v1/jobs/a%2Fb%00%20").unwrap();
        assert_eq!(parameters["job_id"], "a%2Fb%00%20");
        let (_, parameters) = resource(&Method::GET, "/p/s/x//y/../z/").unwrap();
        assert_eq!(parameters["proxy"], "x//y/../z");
    }

    #[test]
    fn odd_paths_match_nothing_by_accident() {
        assert_eq!(path_of(&Method::GET, "/v1/jobs/").as_deref(), Some("/v1/jobs"));
        for path in ["*", "", "example.com:443", "//v1/jobs", "/v1//jobs", "/v1/%6aobs"] {
            assert_eq!(path_of(&Method::GET, path), None, "{path}");
        }
    }

    #[test]
    fn what_api_gateway_refuses_is_refused() {
        for path in ["/{a+}/b", "/x{a}", "/v1/jobs/{other}", "/health"] {
            assert!(routes().insert(&Method::GET, path, "x").is_err(), "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_path_panics(path in "\\PC*", encoded in "(/|[a-z.%{}]|\\x00){0,40}") {
            let routes = routes();
            routes.find(&Method::GET, &path);
            routes.find(&Method::GET, &encoded);
        }
    }
}
