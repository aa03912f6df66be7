//! An environment from its creation to its end.

use serde_json::json;

use super::{succeeds, terraform};
use crate::support::place::Place;

#[tokio::test]
async fn an_environment_is_created_changed_and_destroyed() {
    let Some(terraform) = terraform() else { return };
    let place = Place::new();
    let inputs = json!({ "greeting": "hi", "replicas": 2, "password": "correct horse" });
    let plan = succeeds(&place, &terraform, "provision", "plan", inputs.clone()).await;
    assert_eq!(plan["plan"], json!({ "add": 4, "change": 0, "destroy": 0 }));
    let applied = succeeds(&place, &terraform, "provision", "apply", inputs.clone()).await;
    let outputs = &applied["outputs"];
    assert_eq!(outputs["name"], json!({ "value": "acme-shop-dev" }));
    assert_eq!(outputs["replicas"], json!({ "value": ["acme-shop-dev-0", "acme-shop-dev-1"] }));
    assert_eq!(outputs["connection"], json!({ "sensitive": true }));
    assert!(place.state_file().exists());

    let again = succeeds(&place, &terraform, "provision", "plan", inputs.clone()).await;
    assert_eq!(again["plan"], json!({ "add": 0, "change": 0, "destroy": 0 }));

    let fewer = json!({ "greeting": "bye", "replicas": 1, "password": "correct horse" });
    let plan = succeeds(&place, &terraform, "provision", "plan", fewer.clone()).await;
    assert_eq!(plan["plan"]["destroy"], 1, "{plan}");
    let applied = succeeds(&place, &terraform, "provision", "apply", fewer.clone()).await;
    assert_eq!(applied["outputs"]["greeting"], json!({ "value": "bye" }));

    let plan = succeeds(&place, &terraform, "deprovision", "plan", fewer.clone()).await;
    assert_eq!(plan["plan"], json!({ "add": 0, "change": 0, "destroy": 3 }));
    let applied = succeeds(&place, &terraform, "deprovision", "apply", fewer.clone()).await;
    assert_eq!(applied["outputs"], json!({}));
    let plan = succeeds(&place, &terraform, "deprovision", "plan", fewer).await;
    assert_eq!(plan["plan"], json!({ "add": 0, "change": 0, "destroy": 0 }));
}
