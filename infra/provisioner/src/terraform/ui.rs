//! What Terraform says with `-json`: one JSON object in a line, most of them with a message for people.

use serde::Deserialize;

/// So many errors are kept: the first ones say what is wrong.
const KEPT_ERRORS: usize = 3;

/// What was said so far.
#[derive(Debug, Default)]
pub(super) struct Ui {
    errors: Vec<String>,
    begun: u32,
    changed: u32,
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "@message")]
    message: String,
    #[serde(default)]
    r#type: String,
    #[serde(default)]
    diagnostic: Option<Diagnostic>,
}

#[derive(Deserialize)]
struct Diagnostic {
    severity: String,
    summary: String,
    #[serde(default)]
    detail: String,
    #[serde(default)]
    address: Option<String>,
    #[serde(default)]
    range: Option<Range>,
}

#[derive(Deserialize)]
struct Range {
    filename: String,
    start: Position,
}

#[derive(Deserialize)]
struct Position {
    line: u32,
}

impl Ui {
    /// Takes one line in, and returns what of it is for people.
    pub(super) fn read(&mut self, line: &str) -> String {
        // Not everything it prints is JSON, whatever it was told.
        let Ok(event) = serde_json::from_str::<Event>(line) else { return line.to_owned() };
        match event.r#type.as_str() {
            "apply_start" => self.begun += 1,
            "apply_complete" => self.changed += 1,
            _ => {}
        }
        let Some(diagnostic) = event.diagnostic else { return event.message };
        let explained = diagnostic.explain();
        if diagnostic.severity == "error" {
            self.errors.push(explained.clone());
        }
        let severity = if diagnostic.severity == "error" { "Error" } else { "Warning" };
        format!("{severity}: {explained}")
    }

    /// How many resources it began to create, change or destroy.
    pub(super) fn begun(&self) -> u32 {
        self.begun
    }

    /// How many resources were created, changed or destroyed.
    pub(super) fn changed(&self) -> u32 {
        self.changed
    }

    pub(super) fn errors(&self) -> String {
        self.errors.iter().take(KEPT_ERRORS).map(String::as_str).collect::<Vec<_>>().join("; ")
    }
}

impl Diagnostic {
    fn explain(&self) -> String {
        let detail = match self.detail.trim() {
            "" => String::new(),
            detail => format!(": {detail}"),
        };
        let place = match (&self.address, &self.range) {
            (Some(address), _) => format!(" ({address})"),
            (None, Some(range)) => format!(" ({} line {})", range.filename, range.start.line),
            (None, None) => String::new(),
        };
        format!("{}{detail}{place}", self.summary)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn diagnostic(severity: &str, summary: &str) -> String {
        json!({
            "@message": format!("Error: {summary}"), "type": "diagnostic",
            "diagnostic": {
                "severity": severity, "summary": summary, "detail": "Because.",
                "range": { "filename": "main.tf", "start": { "line": 3, "column": 1, "byte": 5 } },
            },
        })
        .to_string()
    }

    #[test]
    fn people_get_the_message() {
        let mut ui = Ui::default();
        let line =
            json!({ "@message": "x: Creating...", "@level": "info", "type": "apply_start" }).to_string();
        assert_eq!(ui.read(&line), "x: Creating...");
        assert_eq!(ui.read("plain text"), "plain text");
        assert_eq!(ui.read("{\"a\":1}"), "{\"a\":1}");
    }

    #[test]
    fn errors_are_kept_and_warnings_are_not() {
        let mut ui = Ui::default();
        assert_eq!(ui.read(&diagnostic("warning", "Odd")), "Warning: Odd: Because. (main.tf line 3)");
        assert_eq!(ui.errors(), "");
        assert_eq!(ui.read(&diagnostic("error", "Bad")), "Error: Bad: Because. (main.tf line 3)");
        for _ in 0..9 {
            ui.read(&diagnostic("error", "Worse"));
        }
        let worse = "Worse: Because. (main.tf line 3)";
        assert_eq!(ui.errors(), format!("Bad: Because. (main.tf line 3); {worse}; {worse}"));
    }

    #[test]
    fn begun_and_finished_resources_are_counted() {
        let mut ui = Ui::default();
        for kind in ["apply_start", "apply_complete", "provision_complete", "apply_complete"] {
            ui.read(&json!({ "@message": "m", "type": kind }).to_string());
        }
        assert_eq!((ui.begun(), ui.changed()), (1, 2));
    }
}
