//! Parameters, conditions and intrinsic functions, as far as they can be known without deploying.
//!
//! What depends on a deployed resource (`!GetAtt`, the ARN of something) stays symbolic: the JSON of
//! the intrinsic function itself.

use std::{cell::RefCell, collections::BTreeMap};

use serde_json::{Map, Value};

/// Resolves the intrinsic functions of one template.
pub struct Resolver {
    parameters: BTreeMap<String, Value>,
    conditions: Map<String, Value>,
    /// Whether each condition holds that was asked for. Conditions refer to each other, and without this one that is
    /// referred to twice, by one that is referred to twice, and so on, would be evaluated without end.
    known: RefCell<BTreeMap<String, Option<bool>>>,
    mappings: Value,
}

impl Resolver {
    /// Takes the parameters' defaults from the template; `overrides` win, and may also set
    /// pseudo-parameters such as `AWS::Region`.
    pub fn new(template: &Value, overrides: &BTreeMap<String, String>) -> Self {
        let mut parameters = defaults(&template["Parameters"]);
        for (name, value) in overrides {
            let kind = template["Parameters"][name]["Type"].as_str().unwrap_or("String");
            parameters.insert(name.clone(), typed(kind, &Value::String(value.clone())));
        }
        let conditions = template["Conditions"].as_object().cloned().unwrap_or_default();
        let (known, mappings) = (RefCell::default(), template["Mappings"].clone());
        Self { parameters, conditions, known, mappings }
    }

    /// Returns `None` for `AWS::NoValue`, which removes the property that holds it.
    pub fn resolve(&self, value: &Value) -> Option<Value> {
        match value {
            Value::Array(items) => Some(items.iter().filter_map(|item| self.resolve(item)).collect()),
            Value::Object(map) => match single(map) {
                Some((name, argument)) if is_intrinsic(name) => self.call(name, argument, value),
                _ => Some(Value::Object(self.resolve_map(map))),
            },
            scalar => Some(scalar.clone()),
        }
    }

    /// Says whether a named condition holds; `None` when that depends on something symbolic.
    pub fn condition(&self, name: &str) -> Option<bool> {
        if let Some(known) = self.known.borrow().get(name) {
            return *known;
        }
        let condition = self.conditions.get(name)?;
        // In a circle, the condition is asked for while it is evaluated: nobody can say whether it holds.
        self.known.borrow_mut().insert(name.to_owned(), None);
        let holds = self.evaluate(condition);
        self.known.borrow_mut().insert(name.to_owned(), holds);
        holds
    }

    fn resolve_map(&self, map: &Map<String, Value>) -> Map<String, Value> {
        map.iter().filter_map(|(key, value)| Some((key.clone(), self.resolve(value)?))).collect()
    }

    fn call(&self, name: &str, argument: &Value, whole: &Value) -> Option<Value> {
        match name {
            "Ref" => self.reference(argument, whole),
            "Fn::If" => self.choose(argument, whole),
            "Fn::Sub" => Some(self.substitute(argument).unwrap_or_else(|| whole.clone())),
            "Fn::Join" => Some(self.join(argument).unwrap_or_else(|| whole.clone())),
            "Fn::FindInMap" => Some(self.find_in_map(argument).unwrap_or_else(|| whole.clone())),
            _ => Some(whole.clone()),
        }
    }

    fn reference(&self, argument: &Value, whole: &Value) -> Option<Value> {
        match argument.as_str() {
            Some("AWS::NoValue") => None,
            Some(name) => Some(self.parameters.get(name).unwrap_or(whole).clone()),
            None => Some(whole.clone()),
        }
    }

    fn choose(&self, argument: &Value, whole: &Value) -> Option<Value> {
        let known = argument[0].as_str().and_then(|name| self.condition(name));
        match known {
            Some(true) => self.resolve(&argument[1]),
            Some(false) => self.resolve(&argument[2]),
            None => Some(whole.clone()),
        }
    }

    fn substitute(&self, argument: &Value) -> Option<Value> {
        let (text, locals) = match argument {
            Value::String(text) => (text.as_str(), Map::new()),
            Value::Array(pair) => (pair.first()?.as_str()?, self.resolve_map(pair.get(1)?.as_object()?)),
            _ => return None,
        };
        let mut out = String::new();
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            let end = start + rest[start..].find('}')?;
            out.push_str(&rest[..start]);
            out.push_str(&self.placeholder(&rest[start + 2..end], &locals)?);
            rest = &rest[end + 1..];
        }
        out.push_str(rest);
        Some(Value::String(out))
    }

    /// `${!Literal}` stands for the text `${Literal}`.
    fn placeholder(&self, name: &str, locals: &Map<String, Value>) -> Option<String> {
        if let Some(literal) = name.strip_prefix('!') {
            return Some(format!("${{{literal}}}"));
        }
        scalar_text(locals.get(name).or_else(|| self.parameters.get(name))?)
    }

    fn join(&self, argument: &Value) -> Option<Value> {
        let separator = argument[0].as_str()?;
        let items = self.resolve(&argument[1])?;
        let parts = items.as_array()?.iter().map(scalar_text).collect::<Option<Vec<_>>>()?;
        Some(Value::String(parts.join(separator)))
    }

    fn find_in_map(&self, argument: &Value) -> Option<Value> {
        let keys = self.resolve(argument)?;
        let found = &self.mappings[keys[0].as_str()?][keys[1].as_str()?][keys[2].as_str()?];
        (!found.is_null()).then(|| found.clone())
    }

    fn evaluate(&self, condition: &Value) -> Option<bool> {
        let (name, argument) = single(condition.as_object()?)?;
        match name {
            "Condition" => self.condition(argument.as_str()?),
            "Fn::Equals" => self.equals(argument),
            "Fn::Not" => self.evaluate(&argument[0]).map(|value| !value),
            "Fn::And" => self.evaluate_all(argument).map(|all| all.iter().all(|value| *value)),
            "Fn::Or" => self.evaluate_all(argument).map(|all| all.iter().any(|value| *value)),
            _ => None,
        }
    }

    fn evaluate_all(&self, list: &Value) -> Option<Vec<bool>> {
        list.as_array()?.iter().map(|condition| self.evaluate(condition)).collect()
    }

    /// Every parameter is a text, so `true` equals `"true"`.
    fn equals(&self, argument: &Value) -> Option<bool> {
        let left = scalar_text(&self.resolve(&argument[0])?)?;
        let right = scalar_text(&self.resolve(&argument[1])?)?;
        Some(left == right)
    }
}

fn defaults(parameters: &Value) -> BTreeMap<String, Value> {
    let Some(parameters) = parameters.as_object() else { return BTreeMap::new() };
    let default = |(name, parameter): (&String, &Value)| {
        let kind = parameter["Type"].as_str().unwrap_or("String");
        Some((name.clone(), typed(kind, parameter.get("Default")?)))
    };
    parameters.iter().filter_map(default).collect()
}

fn typed(kind: &str, value: &Value) -> Value {
    match value.as_str() {
        Some(text) if kind == "CommaDelimitedList" || kind.starts_with("List<") => {
            text.split(',').map(|item| Value::from(item.trim())).collect()
        }
        _ => value.clone(),
    }
}

fn single(map: &Map<String, Value>) -> Option<(&str, &Value)> {
    let mut entries = map.iter();
    let (name, argument) = entries.next()?;
    entries.next().is_none().then_some((name.as_str(), argument))
}

fn is_intrinsic(name: &str) -> bool {
    name == "Ref" || name.starts_with("Fn::")
}

/// The text of a scalar; `None` for what is symbolic or has parts.
pub fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        _ => None,
    }
}

/// A whole number that may be written as text, as parameters are.
pub fn whole_number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn resolver(overrides: &[(&str, &str)]) -> Resolver {
        let template = json!({
            "Parameters": {
                "Stage": {"Type": "String", "Default": "dev"},
                "Streaming": {"Type": "String", "Default": "true"},
                "Endpoint": {"Type": "String", "Default": ""},
                "Subnets": {"Type": "CommaDelimitedList", "Default": "a, b"},
            },
            "Conditions": {
                "Streams": {"Fn::Equals": [{"Ref": "Streaming"}, true]},
                "HasEndpoint": {"Fn::Not": [{"Fn::Equals": [{"Ref": "Endpoint"}, ""]}]},
                "Both": {"Fn::And": [{"Condition": "Streams"}, {"Condition": "HasEndpoint"}]},
                "Circle": {"Condition": "Circle"},
            },
            "Mappings": {"Sizes": {"dev": {"memory": 256}}},
        });
        let overrides = overrides.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        Resolver::new(&template, &overrides)
    }

    #[test]
    fn defaults_and_overrides_fill_references() {
        let value = json!({"Ref": "Stage"});
        assert_eq!(resolver(&[]).resolve(&value), Some(json!("dev")));
        assert_eq!(resolver(&[("Stage", "prod")]).resolve(&value), Some(json!("prod")));
        assert_eq!(resolver(&[]).resolve(&json!({"Ref": "Subnets"})), Some(json!(["a", "b"])));
    }

    #[test]
    fn conditions_choose_and_no_value_removes() {
        let value =
            json!({"Mode": {"Fn::If": ["Streams", "RESPONSE_STREAM", {"Ref": "AWS::NoValue"}]}, "x": 1});
        assert_eq!(resolver(&[]).resolve(&value), Some(json!({"Mode": "RESPONSE_STREAM", "x": 1})));
        assert_eq!(resolver(&[("Streaming", "false")]).resolve(&value), Some(json!({"x": 1})));
        assert_eq!(resolver(&[]).condition("Both"), Some(false));
        assert_eq!(resolver(&[("Endpoint", "http://x")]).condition("Both"), Some(true));
        assert_eq!(resolver(&[]).condition("Circle"), None);
    }

    #[test]
    fn conditions_that_refer_to_each_other_twice_are_evaluated_once() {
        let mut conditions = json!({ "C0": { "Fn::Equals": ["a", "a"] } });
        for (number, before) in (1..=60).zip(0..) {
            let before = json!({ "Condition": format!("C{before}") });
            conditions[format!("C{number}")] = json!({ "Fn::And": [before, before] });
        }
        let resolver = Resolver::new(&json!({ "Conditions": conditions }), &BTreeMap::new());
        assert_eq!(resolver.condition("C60"), Some(true));
    }

    #[test]
    fn what_needs_a_deployment_stays_symbolic() {
        for value in [
            json!({"Fn::GetAtt": ["Table", "Arn"]}),
            json!({"Ref": "Table"}),
            json!({"Fn::Sub": "${Table.Arn}/index/*"}),
            json!({"Fn::If": ["Unknown", 1, 2]}),
        ] {
            assert_eq!(resolver(&[]).resolve(&value), Some(value));
        }
    }

    #[test]
    fn text_functions_are_carried_out() {
        let resolve = |value: Value| resolver(&[("AWS::Region", "eu-west-1")]).resolve(&value).unwrap();
        assert_eq!(resolve(json!({"Fn::Sub": "${Stage}-${AWS::Region}-${!x}"})), json!("dev-eu-west-1-${x}"));
        assert_eq!(resolve(json!({"Fn::Sub": ["${a}", {"a": {"Ref": "Stage"}}]})), json!("dev"));
        assert_eq!(resolve(json!({"Fn::Join": ["-", ["a", {"Ref": "Stage"}]]})), json!("a-dev"));
        assert_eq!(resolve(json!({"Fn::FindInMap": ["Sizes", {"Ref": "Stage"}, "memory"]})), json!(256));
    }
}
