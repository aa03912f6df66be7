//! What stands behind a key that ends in `.$`: a path, or one of two functions over paths and texts.

use serde_json::Value;

use super::path::Path;

/// What an expression may ask of the execution.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// `$$.Task.Token`; empty where there is none, which is checked when the definition is read.
    pub token: &'a str,
    /// `$$.Execution.Name`.
    pub execution: &'a str,
    /// `$$.State.RetryCount`.
    pub retries: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression {
    Value(Source),
    /// `States.StringSplit(text, separators)`.
    Split(Source, Source),
    /// `States.Format(template, values…)`, the template taken apart at its `{}`.
    Format(Vec<String>, Vec<Source>),
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Text(String),
    Data(Path),
    Token,
    Execution,
    Retries,
}

impl Expression {
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some((function, rest)) = text.split_once('(') else {
            return Source::parse(text).map(Self::Value);
        };
        let arguments = rest.strip_suffix(')').ok_or_else(|| format!("`{text}` has no end"))?;
        let arguments = arguments_of(arguments)?;
        match (function, arguments.as_slice()) {
            ("States.StringSplit", [text, separators]) => Ok(Self::Split(text.clone(), separators.clone())),
            ("States.Format", [Source::Text(template), values @ ..]) => format(template, values),
            ("States.StringSplit" | "States.Format", _) => {
                Err(format!("`{text}` does not have the arguments that {function} takes"))
            }
            _ => Err(format!("the function {function} is not played here")),
        }
    }

    /// Whether it hands the task's token out.
    pub fn gives_token(&self) -> bool {
        match self {
            Self::Value(source) => *source == Source::Token,
            Self::Split(text, separators) => [text, separators].contains(&&Source::Token),
            Self::Format(_, values) => values.contains(&Source::Token),
        }
    }

    /// Works it out. The error says what is wrong with the data.
    pub fn evaluate(&self, data: &Value, context: &Context<'_>) -> Result<Value, String> {
        match self {
            Self::Value(source) => source.value(data, context),
            Self::Split(text, separators) => {
                let (text, separators) = (text.text(data, context)?, separators.text(data, context)?);
                let parts = text.split(|each| separators.contains(each)).filter(|part| !part.is_empty());
                Ok(parts.collect())
            }
            Self::Format(texts, values) => {
                let mut written = texts[0].clone();
                for (value, text) in values.iter().zip(&texts[1..]) {
                    written = written + &value.text(data, context)? + text;
                }
                Ok(written.into())
            }
        }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => write!(formatter, "'{text}'"),
            Self::Data(path) => write!(formatter, "the path {path}"),
            Self::Token => formatter.write_str("$$.Task.Token"),
            Self::Execution => formatter.write_str("$$.Execution.Name"),
            Self::Retries => formatter.write_str("$$.State.RetryCount"),
        }
    }
}

impl Source {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "$$.Task.Token" => Ok(Self::Token),
            "$$.Execution.Name" => Ok(Self::Execution),
            "$$.State.RetryCount" => Ok(Self::Retries),
            _ if text.starts_with("$$") => Err(format!("`{text}` of the context is not played here")),
            _ => Path::parse(text).map(Self::Data),
        }
    }

    fn value(&self, data: &Value, context: &Context<'_>) -> Result<Value, String> {
        Ok(match self {
            Self::Text(text) => text.clone().into(),
            Self::Token => context.token.into(),
            Self::Execution => context.execution.into(),
            Self::Retries => context.retries.into(),
            Self::Data(path) => {
                let found = path.find(data);
                found.ok_or_else(|| format!("{self} leads to nothing in the data"))?.clone()
            }
        })
    }

    fn text(&self, data: &Value, context: &Context<'_>) -> Result<String, String> {
        match self.value(data, context)? {
            Value::String(text) => Ok(text),
            value @ (Value::Null | Value::Bool(_) | Value::Number(_)) => Ok(value.to_string()),
            Value::Array(_) | Value::Object(_) => {
                Err(format!("{self} does not lead to a text, a number or a truth"))
            }
        }
    }
}

fn format(template: &str, values: &[Source]) -> Result<Expression, String> {
    let texts: Vec<_> = template.split("{}").map(str::to_owned).collect();
    if texts.len() != values.len() + 1 {
        return Err(format!("`{template}` does not have one {{}} for each value"));
    }
    Ok(Expression::Format(texts, values.to_vec()))
}

/// Takes `'a', $.b` apart.
fn arguments_of(text: &str) -> Result<Vec<Source>, String> {
    let mut arguments = Vec::new();
    let mut rest = text.trim();
    loop {
        let (argument, after) = argument(rest)?;
        arguments.push(argument);
        let after = after.trim_start();
        match after.strip_prefix(',') {
            Some(more) => rest = more.trim_start(),
            None if after.is_empty() => return Ok(arguments),
            None => return Err(format!("`{text}` has something other than a comma between arguments")),
        }
    }
}

fn argument(text: &str) -> Result<(Source, &str), String> {
    let Some(quoted) = text.strip_prefix('\'') else {
        let end = text.find(',').unwrap_or(text.len());
        return Ok((Source::parse(text[..end].trim_end())?, &text[end..]));
    };
    let end = quoted.find('\'').ok_or_else(|| format!("`{text}` has a quote without its end"))?;
    if quoted[..end].contains('\\') {
        return Err(format!("`{text}` has a backslash, which is not played here"));
    }
    Ok((Source::Text(quoted[..end].to_owned()), &quoted[end + 1..]))
}
