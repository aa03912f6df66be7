//! Publishing and withdrawing modules.

use async_trait::async_trait;
use futures_util::FutureExt;

use super::*;
use crate::{
    audit::{Action, AuditContext},
    caller::Caller,
    operations::tests::{
        memory::Memory,
        support::{Site, person},
    },
    validation::FieldError,
};

#[async_trait]
impl SaveModule for Memory {
    async fn save_module(&self, module: &Module, entry: &Entry) -> Result<(), StoreError> {
        let mut items = self.items();
        items.modules.insert(module.name.clone(), module.clone());
        items.trail.push(entry.clone());
        Ok(())
    }

    async fn delete_module(&self, name: &ModuleName, entry: &Entry) -> Result<EditOutcome, StoreError> {
        let mut items = self.items();
        if items.modules.remove(name).is_none() {
            return Ok(EditOutcome::Conflict);
        }
        items.trail.push(entry.clone());
        Ok(EditOutcome::Done)
    }
}

fn root() -> Caller {
    person("root", "*=admin")
}

fn interface(text: &str) -> Interface {
    serde_json::from_str(text).unwrap()
}

impl Site {
    fn publishes(&self, name: &str, text: &str) -> Result<Published, EditModuleError> {
        let (root, name) = (root(), name.parse().unwrap());
        let audit = AuditContext { caller: &root, origin: &self.origin };
        let publishing = publish(&self.memory, &self.hand, &audit, name, interface(text));
        publishing.now_or_never().unwrap()
    }

    fn withdraws(&self, name: &str) -> Result<(), EditModuleError> {
        let root = root();
        let audit = AuditContext { caller: &root, origin: &self.origin };
        withdraw(&self.memory, &self.hand, &audit, &name.parse().unwrap()).now_or_never().unwrap()
    }
}

const BUCKET: &str = r#"{"inputs":{"name":{"type":"string","required":true},"key":{"sensitive":true}},
    "outputs":{"url":{"description":"Where it is."}}}"#;

#[test]
fn publishing_the_same_again_writes_nothing() {
    let site = Site::default();
    let first = site.publishes("bucket", BUCKET).unwrap();
    assert!(!first.unchanged);
    assert_eq!((first.module.published_by.as_str(), first.module.interface.inputs.len()), ("user:root", 2));
    let again = site.publishes("bucket", BUCKET).unwrap();
    assert!(again.unchanged && again.module.revision == first.module.revision);
    let changed = site.publishes("bucket", r#"{"inputs":{}}"#).unwrap();
    assert!(!changed.unchanged && changed.module.revision != first.module.revision);
    assert_eq!(site.actions(), [Action::PutModule, Action::PutModule]);
}

#[test]
fn a_module_is_withdrawn_once() {
    let site = Site::default();
    site.publishes("bucket", BUCKET).unwrap();
    site.withdraws("bucket").unwrap();
    assert!(matches!(site.withdraws("bucket"), Err(EditModuleError::NotFound)));
    assert_eq!(site.actions(), [Action::PutModule, Action::DeleteModule]);
}

#[test]
fn what_cannot_be_published_is_refused() {
    let site = Site::default();
    let refused = |text: &str| -> Vec<String> {
        match site.publishes("bucket", text) {
            Err(EditModuleError::Invalid(errors)) => {
                errors.into_iter().map(|FieldError { pointer, .. }| pointer).collect()
            }
            other => panic!("{text}: {other:?}"),
        }
    };
    let default = r#"{"inputs":{"key":{"sensitive":true,"default":"canary"}}}"#;
    assert_eq!(refused(default), ["/inputs/key/default"]);
    assert_eq!(refused(r#"{"inputs":{"":{}},"outputs":{"a\nb":{}}}"#), ["/inputs/", "/outputs/a\nb"]);
    assert_eq!(refused(&format!(r#"{{"inputs":{{"{}":{{}}}}}}"#, "x".repeat(201))).len(), 1);
    let long = format!(r#"{{"inputs":{{"key":{{"default":"{}"}}}}}}"#, "x".repeat(16 * 1024));
    assert_eq!(refused(&long), [""]);
    assert!(site.memory.items().modules.is_empty() && site.actions().is_empty());
}

#[test]
fn there_are_only_so_many_modules() {
    let site = Site::default();
    for number in 0..MAX_MODULES {
        site.publishes(&format!("m{number}"), "{}").unwrap();
    }
    assert!(matches!(site.publishes("one-more", "{}"), Err(EditModuleError::TooMany)));
    assert!(site.publishes("m7", BUCKET).is_ok(), "those that are there can be changed");
}

#[test]
fn which_modules_there_are_is_known_once_one_is_published() {
    let site = Site::default();
    let known = |name: &str| {
        let name = name.parse().unwrap();
        KnownModules::find(&site.memory, [&name].into()).now_or_never().unwrap().unwrap().refuse(&name)
    };
    assert_eq!(known("bucket"), None);
    site.publishes("bucket", BUCKET).unwrap();
    assert_eq!(known("bucket"), None);
    assert_eq!(known("other").as_deref(), Some("no such module; there are: bucket"));
}
