//! Where a module would keep its state by itself. Gatehouse keeps it: with a backend of its own, a module could write to
//! another environment's state, and destroy what that one has.

use serde_json::Value;

use super::files::{ConfigurationFile, Content, json_blocks};

/// What says where state is kept, below `terraform`.
const KEEPERS: [&str; 2] = ["backend", "cloud"];

/// A module that would keep its state itself.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{file}` of the module has a `{block}` block: Gatehouse keeps the state of its environments itself, so take the \
     block out"
)]
pub struct ForeignBackend {
    file: String,
    block: &'static str,
}

/// Refuses a module that says where its state is kept, in whatever file and syntax.
pub(super) fn refuse(files: &[ConfigurationFile]) -> Result<(), ForeignBackend> {
    for file in files {
        if let Some(block) = KEEPERS.into_iter().find(|block| has(&file.content, block)) {
            return Err(ForeignBackend { file: file.name.clone(), block });
        }
    }
    Ok(())
}

fn has(content: &Content, keeper: &str) -> bool {
    match content {
        Content::Hcl(body) => {
            let settings = body.blocks().filter(|block| block.identifier() == "terraform");
            settings.flat_map(|block| block.body().blocks()).any(|block| block.identifier() == keeper)
        }
        Content::Json(file) => {
            let mut settings = json_blocks(file, "terraform").filter_map(Value::as_object);
            settings.any(|settings| settings.contains_key(keeper))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::files::read, *};

    fn refused(name: &str, text: &str) -> Option<String> {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(name), text).unwrap();
        refuse(&read(directory.path()).unwrap()).err().map(|error| error.to_string())
    }

    #[test]
    fn a_module_that_keeps_its_state_is_refused_wherever_it_says_so() {
        for (name, text, block) in [
            ("main.tf", "terraform {\n backend \"s3\" {}\n}", "backend"),
            ("z_override.tf", "terraform {\n backend \"local\" {\n  path = \"x\"\n }\n}", "backend"),
            ("override.tf", "terraform {\n required_version = \">= 1\"\n cloud {}\n}", "cloud"),
            ("a.tf", "terraform {}\nterraform {\n cloud {\n  organization = \"x\"\n }\n}", "cloud"),
            ("main.tf.json", r#"{"terraform":{"backend":{"s3":{}}}}"#, "backend"),
            ("z_override.tf.json", r#"{"terraform":[{},{"backend":[{"local":{}}]}]}"#, "backend"),
            ("override.tf.json", r#"{"terraform":{"cloud":{}}}"#, "cloud"),
        ] {
            let expected = format!("`{name}` of the module has a `{block}` block: ");
            let error = refused(name, text).unwrap_or_else(|| panic!("{name}: {text}"));
            assert!(error.starts_with(&expected), "{error}");
        }
    }

    #[test]
    fn settings_of_other_kinds_are_fine() {
        let text = "terraform {\n required_version = \">= 1\"\n}\nlocals {\n backend = \"s3\"\n}\n# backend \"s3\" {}";
        assert_eq!(refused("main.tf", text), None);
        assert_eq!(
            refused("main.tf.json", r#"{"terraform":{"required_version":">= 1"},"locals":{"cloud":1}}"#),
            None
        );
    }
}
