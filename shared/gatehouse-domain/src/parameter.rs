//! Parameters: what a job declares, what a caller gives, and how a value reaches the CI system.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    ci::{AskedVersion, Delivery, ProviderKind, Target},
    name::ParameterName,
    validation::{FieldError, pointer_token},
};

/// The longest text value, in bytes.
const MAX_TEXT: usize = 4096;

/// The most parameters that one job may declare.
const MAX_PARAMETERS: usize = 50;

/// The most resources whose versions the parameters of one job may choose: each one is pinned by several calls before
/// the caller is answered.
const MAX_RESOURCES: usize = 5;

/// How much all values of a run may measure together, in bytes. What is kept of a run holds them several
/// times, and an item of the table at most 400 KB.
const MAX_VALUES: usize = 64 * 1024;

/// How much the options of a choice may measure together, in bytes: more than anybody reads.
const MAX_OPTIONS: usize = 8 * 1024;

/// The longest description, in bytes.
const MAX_DESCRIPTION: usize = 1000;

/// How much all declarations of a job may measure together as JSON, in bytes.
const MAX_SPECS: usize = 64 * 1024;

/// The most parameters that a run keeps without their being declared.
const MAX_UNDECLARED: usize = 50;

/// The longest name of a parameter that is not declared, in bytes. What a declared one may be called is narrower.
const MAX_UNDECLARED_NAME: usize = 128;

/// What stands in place of a value that is not to be kept.
const NOT_KEPT: &str = "[not kept]";

/// What the name of a parameter has in it whose value is a secret, in lower case and without separators.
const SECRET_WORDS: [&str; 8] =
    ["password", "passwd", "passphrase", "secret", "token", "apikey", "privatekey", "credential"];

/// A parameter that a job declares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WrittenSpec", into = "WrittenSpec")]
pub struct ParameterSpec {
    /// Unique in the job.
    pub name: ParameterName,
    /// What values are taken.
    pub kind: ParameterType,
    /// Whether a run needs a value; a default is one.
    pub required: bool,
    /// The value when the caller gives none.
    pub default: Option<Value>,
    /// What it is for, for people.
    pub description: Option<String>,
    /// How the value reaches the CI system.
    pub deliver: Delivery,
}

/// What values a parameter takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParameterType {
    /// Text of up to 4,096 bytes without NUL.
    String,
    /// A whole number of 64 bits.
    Integer,
    Boolean,
    Choice(Vec<String>),
}

/// A parameter as it is written in a jobs file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenSpec {
    name: ParameterName,
    #[serde(rename = "type")]
    kind: WrittenType,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    options: Option<Vec<String>>,
    #[serde(default)]
    required: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    default: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    deliver: Delivery,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum WrittenType {
    String,
    Integer,
    Boolean,
    Choice,
}

/// A parameter whose parts contradict each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`options` belongs to parameters of type `choice`, which need it")]
pub struct MismatchedOptions;

impl TryFrom<WrittenSpec> for ParameterSpec {
    type Error = MismatchedOptions;

    fn try_from(written: WrittenSpec) -> Result<Self, MismatchedOptions> {
        let kind = match (written.kind, written.options) {
            (WrittenType::String, None) => ParameterType::String,
            (WrittenType::Integer, None) => ParameterType::Integer,
            (WrittenType::Boolean, None) => ParameterType::Boolean,
            (WrittenType::Choice, Some(options)) => ParameterType::Choice(options),
            (WrittenType::Choice, None) | (_, Some(_)) => return Err(MismatchedOptions),
        };
        let WrittenSpec { name, required, default, description, deliver, .. } = written;
        Ok(Self { name, kind, required, default, description, deliver })
    }
}

impl From<ParameterSpec> for WrittenSpec {
    fn from(spec: ParameterSpec) -> Self {
        let (kind, options) = match spec.kind {
            ParameterType::String => (WrittenType::String, None),
            ParameterType::Integer => (WrittenType::Integer, None),
            ParameterType::Boolean => (WrittenType::Boolean, None),
            ParameterType::Choice(options) => (WrittenType::Choice, Some(options)),
        };
        let ParameterSpec { name, required, default, description, deliver, .. } = spec;
        Self { name, kind, options, required, default, description, deliver }
    }
}

/// What becomes of parameters that a job does not declare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Undeclared {
    /// They are kept with the run, and named as not delivered.
    Keep,
    /// The run is refused.
    Refuse,
}

/// Values that did not reach the CI system, by parameter: of any form and, since nobody declared them, any name.
pub type Undelivered = BTreeMap<String, Value>;

/// Values that were checked against what a job declares, ready to be delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedParameters {
    /// Every declared value, defaults included, by parameter.
    pub values: BTreeMap<ParameterName, Value>,
    /// The values that nothing delivers, or that a version of a resource is still to deliver.
    pub undelivered: Undelivered,
    /// The versions that resources are to have, by resource.
    pub versions: BTreeMap<String, AskedVersion>,
    /// The target, with the instance variables that parameters choose.
    pub target: Target,
    /// Environment variables for the command.
    pub environment: BTreeMap<String, String>,
}

impl ParameterType {
    /// Why `value` is not one of this type, if so.
    fn refuse(&self, value: &Value) -> Option<String> {
        match (self, value) {
            (Self::String, Value::String(text)) if text.len() > MAX_TEXT => {
                Some(format!("must be at most {MAX_TEXT} bytes"))
            }
            (Self::String, Value::String(text)) if text.contains('\0') => Some("must not hold NUL".into()),
            (Self::String, Value::String(_)) | (Self::Boolean, Value::Bool(_)) => None,
            (Self::Integer, Value::Number(number)) if number.is_i64() => None,
            (Self::Choice(options), Value::String(text)) if options.contains(text) => None,
            (Self::String, _) => Some("must be a string".into()),
            (Self::Integer, _) => Some("must be a whole number".into()),
            (Self::Boolean, _) => Some("must be true or false".into()),
            (Self::Choice(options), _) => Some(format!("must be one of: {}", options.join(", "))),
        }
    }
}

/// What is wrong with the parameters that a job for `kind` declares; nothing when all is well.
pub fn check_specs(specs: &[ParameterSpec], kind: ProviderKind) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if specs.len() > MAX_PARAMETERS {
        errors.push(FieldError::new("/parameters", format!("at most {MAX_PARAMETERS} parameters")));
    }
    if serde_json::to_string(specs).is_ok_and(|json| json.len() > MAX_SPECS) {
        errors.push(FieldError::new("/parameters", format!("must be at most {MAX_SPECS} bytes of JSON")));
    }
    let resources = specs.iter().filter_map(|spec| match &spec.deliver {
        Delivery::ResourceVersion { resource, .. } => Some(resource.as_str()),
        Delivery::Env { .. } | Delivery::InstanceVar { .. } => None,
    });
    if resources.collect::<BTreeSet<_>>().len() > MAX_RESOURCES {
        let detail = format!("may deliver to at most {MAX_RESOURCES} resources");
        errors.push(FieldError::new("/parameters", detail));
    }
    let mut seen = BTreeSet::new();
    for (index, spec) in specs.iter().enumerate() {
        let at = |field: &str| format!("/parameters/{index}/{field}");
        if !seen.insert(&spec.name) {
            errors.push(FieldError::new(at("name"), "is declared twice"));
        }
        if matches!(&spec.kind, ParameterType::Choice(options) if options.is_empty()) {
            errors.push(FieldError::new(at("options"), "must not be empty"));
        }
        if matches!(&spec.kind, ParameterType::Choice(options) if total(options) > MAX_OPTIONS) {
            let detail = format!("must be at most {MAX_OPTIONS} bytes in all");
            errors.push(FieldError::new(at("options"), detail));
        }
        if spec.description.as_ref().is_some_and(|text| text.len() > MAX_DESCRIPTION) {
            let detail = format!("must be at most {MAX_DESCRIPTION} bytes");
            errors.push(FieldError::new(at("description"), detail));
        }
        if let Some(why) = spec.default.as_ref().and_then(|value| spec.kind.refuse(value)) {
            errors.push(FieldError::new(at("default"), why));
        }
        if let Some(why) = kind.refuse_delivery(&spec.deliver) {
            errors.push(FieldError::new(at("deliver"), why));
        }
    }
    errors
}

fn total(options: &[String]) -> usize {
    options.iter().map(String::len).sum()
}

/// Checks what a caller gave against what the job declares.
///
/// # Errors
///
/// Every value that was refused: unknown, of the wrong type, or missing.
pub fn resolve(
    specs: &[ParameterSpec],
    undeclared: Undeclared,
    target: &Target,
    given: &BTreeMap<String, Value>,
) -> Result<ResolvedParameters, Vec<FieldError>> {
    let (undelivered, mut errors) = match undeclared {
        Undeclared::Keep => keep_undeclared(specs, given),
        Undeclared::Refuse => (Undelivered::new(), unknown(specs, given)),
    };
    let mut resolved = ResolvedParameters {
        values: BTreeMap::new(),
        undelivered,
        versions: BTreeMap::new(),
        target: target.clone(),
        environment: BTreeMap::new(),
    };
    for spec in specs {
        let pointer = format!("/parameters/{}", spec.name);
        match given.get(spec.name.as_str()).or(spec.default.as_ref()) {
            Some(value) => match spec.kind.refuse(value) {
                Some(why) => errors.push(FieldError::new(pointer, why)),
                None => resolved.deliver(spec, value),
            },
            None if spec.required => errors.push(FieldError::new(pointer, "is required")),
            None => {}
        }
    }
    let delivered: usize = resolved.values.values().map(size).sum();
    if delivered.saturating_add(stored_size(&resolved.undelivered)) > MAX_VALUES {
        let detail = format!("all values together must be at most {MAX_VALUES} bytes");
        errors.push(FieldError::new("/parameters", detail));
    }
    if errors.is_empty() { Ok(resolved) } else { Err(errors) }
}

/// How much of the table they take: they are kept as one JSON text, in which a control character takes six bytes.
fn stored_size(undelivered: &Undelivered) -> usize {
    if undelivered.is_empty() {
        return 0;
    }
    // Text that cannot be made could not be kept either.
    serde_json::to_string(undelivered).map_or(usize::MAX, |text| text.len())
}

fn size(value: &Value) -> usize {
    value.as_str().map_or_else(|| value.to_string().len(), str::len)
}

fn declared(specs: &[ParameterSpec]) -> BTreeSet<&str> {
    specs.iter().map(|spec| spec.name.as_str()).collect()
}

/// What was given without being declared, and what of it is too much to keep.
fn keep_undeclared(
    specs: &[ParameterSpec],
    given: &BTreeMap<String, Value>,
) -> (Undelivered, Vec<FieldError>) {
    let declared = declared(specs);
    let mut errors = Vec::new();
    let mut kept = Undelivered::new();
    for (name, value) in given.iter().filter(|(name, _)| !declared.contains(name.as_str())) {
        match refuse_undeclared(name, value) {
            Some(why) => errors.push(FieldError::new(at(name), why)),
            // Whoever may see the run sees its parameters. A secret would do nothing here but be seen.
            None if is_secret(name) => drop(kept.insert(name.clone(), Value::from(NOT_KEPT))),
            None => drop(kept.insert(name.clone(), value.clone())),
        }
    }
    if kept.len() > MAX_UNDECLARED {
        let detail = format!("at most {MAX_UNDECLARED} that the job does not declare");
        errors.push(FieldError::new("/parameters", detail));
    }
    (kept, errors)
}

fn refuse_undeclared(name: &str, value: &Value) -> Option<String> {
    if name.is_empty() || name.len() > MAX_UNDECLARED_NAME || name.chars().any(char::is_control) {
        return Some(format!("the name must be 1 to {MAX_UNDECLARED_NAME} bytes without control characters"));
    }
    (size(value) > MAX_TEXT).then(|| format!("must be at most {MAX_TEXT} bytes"))
}

/// Whether a parameter of this name holds a secret, as far as a name can say.
fn is_secret(name: &str) -> bool {
    let letters = name.chars().filter(|letter| letter.is_alphanumeric());
    let name: String = letters.flat_map(char::to_lowercase).collect();
    SECRET_WORDS.iter().any(|word| name.contains(word))
}

fn unknown(specs: &[ParameterSpec], given: &BTreeMap<String, Value>) -> Vec<FieldError> {
    let declared = declared(specs);
    let detail = if declared.is_empty() {
        "this job takes no parameters".to_owned()
    } else {
        format!("this job takes: {}", declared.iter().copied().collect::<Vec<_>>().join(", "))
    };
    let unknown = given.keys().filter(|name| !declared.contains(name.as_str()));
    unknown.map(|name| FieldError::new(at(name), detail.clone())).collect()
}

/// The place of a parameter that may be called anything.
fn at(name: &str) -> String {
    let name: String = name.chars().take(100).collect();
    format!("/parameters/{}", pointer_token(&name))
}

impl ResolvedParameters {
    fn deliver(&mut self, spec: &ParameterSpec, value: &Value) {
        let text = || value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        match &spec.deliver {
            Delivery::Env { name } => drop(self.environment.insert(name.clone(), text())),
            Delivery::InstanceVar { name } => self.target.set_instance_var(name, value.clone()),
            Delivery::ResourceVersion { resource, field } => {
                let asked = self.versions.entry(resource.clone()).or_default();
                asked.fields.insert(field.clone(), text());
                asked.parameters.insert(spec.name.clone());
                // Delivered is what the build has taken, which shows when it has.
                self.undelivered.insert(spec.name.to_string(), value.clone());
                return;
            }
        }
        self.values.insert(spec.name.clone(), value.clone());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;

    fn target() -> Target {
        serde_json::from_value(json!({
            "kind": "concourse", "ref": { "team": "main", "pipeline": "app", "job": "build" }
        }))
        .unwrap()
    }

    fn specs() -> Vec<ParameterSpec> {
        serde_json::from_value(json!([
            { "name": "branch", "type": "string", "required": true,
              "deliver": { "as": "instance_var", "name": "branch" } },
            { "name": "size", "type": "choice", "options": ["s", "l"], "default": "s",
              "deliver": { "as": "instance_var", "name": "shape.size" } },
        ]))
        .unwrap()
    }

    fn given(value: Value) -> BTreeMap<String, Value> {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn values_choose_the_pipeline_instance() {
        let resolved =
            resolve(&specs(), Undeclared::Refuse, &target(), &given(json!({ "branch": "main" }))).unwrap();
        let Target::Concourse(target) = resolved.target else { panic!("not a concourse target") };
        assert_eq!(json!(target.vars), json!({ "branch": "main", "shape": { "size": "s" } }));
    }

    #[test]
    fn every_refused_value_is_named() {
        let given = given(json!({ "size": "xl", "colour": 1 }));
        let errors = resolve(&specs(), Undeclared::Refuse, &target(), &given).unwrap_err();
        let pointers: Vec<_> = errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(pointers, ["/parameters/colour", "/parameters/branch", "/parameters/size"]);
    }

    fn keep(parameters: Value) -> Result<ResolvedParameters, Vec<FieldError>> {
        resolve(&specs(), Undeclared::Keep, &target(), &given(parameters))
    }

    #[test]
    fn what_is_not_declared_is_kept_in_whatever_form_it_has() {
        let odd = json!({ "git_sha": "abc123", "a b/c": { "n": [1.5, null, 1e300] }, "": null });
        let errors = keep(odd).unwrap_err();
        assert_eq!(
            errors.iter().map(|error| error.pointer.as_str()).collect::<Vec<_>>(),
            ["/parameters/", "/parameters/branch"]
        );
        let resolved =
            keep(json!({ "branch": "main", "git_sha": "abc123", "a b/c": { "n": [1.5, null, 1e300] } }))
                .unwrap();
        assert_eq!(
            json!(resolved.undelivered),
            json!({ "git_sha": "abc123", "a b/c": { "n": [1.5, null, 1e300] } })
        );
        assert_eq!(json!(resolved.values), json!({ "branch": "main", "size": "s" }));
    }

    #[test]
    fn the_value_of_what_is_called_a_secret_is_not_kept() {
        let resolved = keep(json!({
            "branch": "main", "API-Key": "canary", "dbPassword": "canary", "github.token": ["canary"], "key": "k",
        }))
        .unwrap();
        assert_eq!(
            json!(resolved.undelivered),
            json!({ "API-Key": NOT_KEPT, "dbPassword": NOT_KEPT, "github.token": NOT_KEPT, "key": "k" })
        );
    }

    #[test]
    fn what_is_not_declared_has_bounds() {
        let refused = |parameters: Value| {
            let errors = keep(parameters).unwrap_err();
            errors.into_iter().map(|error| (error.pointer, error.detail)).collect::<Vec<_>>()
        };
        let many: Map<String, Value> = (0..51).map(|n| (format!("p{n}"), json!(n))).collect();
        let mut all = many.clone();
        all.insert("branch".into(), json!("main"));
        assert_eq!(
            refused(Value::Object(all)),
            [("/parameters".into(), "at most 50 that the job does not declare".into())]
        );
        let large = json!({ "branch": "main", "notes": "x".repeat(4097) });
        assert_eq!(refused(large), [("/parameters/notes".into(), "must be at most 4096 bytes".into())]);
        let all: Map<String, Value> = (0..20).map(|n| (format!("p{n}"), json!("x".repeat(4000)))).collect();
        let mut all = all.clone();
        all.insert("branch".into(), json!("main"));
        assert_eq!(refused(Value::Object(all))[0].0, "/parameters");
    }

    #[test]
    fn what_is_not_delivered_is_measured_as_it_is_kept() {
        let values = |text: &str| {
            let mut all: Map<String, Value> =
                (0..20).map(|n| (format!("p{n}"), json!(text.repeat(1000)))).collect();
            all.insert("branch".into(), json!("main"));
            keep(Value::Object(all))
        };
        assert_eq!(values("x").unwrap().undelivered.len(), 20);
        let errors = values("\u{1}").unwrap_err();
        let errors: Vec<_> = errors.into_iter().map(|error| (error.pointer, error.detail)).collect();
        assert_eq!(
            errors,
            [("/parameters".into(), "all values together must be at most 65536 bytes".into())],
            "each character takes six bytes"
        );
    }

    #[test]
    fn parameters_choose_versions_of_few_resources() {
        let errors = |resources: u8| {
            let specs = (0..10).map(|n| {
                let deliver = json!({ "resource": format!("r{}", n % resources), "field": format!("f{n}") });
                json!({ "name": format!("p{n}"), "type": "string", "deliver": deliver })
            });
            let specs: Vec<ParameterSpec> = serde_json::from_value(specs.collect()).unwrap();
            let errors = check_specs(&specs, ProviderKind::Concourse);
            errors.into_iter().map(|error| (error.pointer, error.detail)).collect::<Vec<_>>()
        };
        assert_eq!(errors(5), []);
        assert_eq!(errors(6), [("/parameters".into(), "may deliver to at most 5 resources".into())]);
    }

    #[test]
    fn a_delivery_that_the_provider_lacks_is_refused() {
        let spec: ParameterSpec = serde_json::from_value(json!({
            "name": "branch", "type": "string", "deliver": { "as": "env", "name": "BRANCH" }
        }))
        .unwrap();
        let errors = check_specs(&[spec], ProviderKind::Concourse);
        assert_eq!(errors[0].pointer, "/parameters/0/deliver");
    }
}
