//! What `sam local` and `sam build` need of the template.

use std::collections::{BTreeMap, BTreeSet};

use gatehouse_template::{Setting, Template};

use crate::{read, template};

/// SAM CLI resolves no `!If` one of whose sides is `AWS::NoValue`: such a variable is empty there whatever the parameters
/// say, and with a default the function would turn to AWS itself. So each variable is always set, and empty for "not set".
#[test]
fn parameters_change_the_values_of_variables_and_not_which_there_are() {
    let overrides = [
        ("AwsEndpointUrl", "http://172.17.0.1:4566"),
        ("AllowPlainHttp", "true"),
        ("ProvisionerClusterArn", "arn:aws:ecs:eu-west-1:000000000000:cluster/example"),
    ];
    let overrides: BTreeMap<_, _> =
        overrides.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let given = Template::parse(&read("template.yaml"), &overrides).expect("template.yaml can be read");
    let names = |template: &Template| -> Vec<(String, BTreeSet<String>)> {
        let functions = template.functions.iter();
        functions.map(|one| (one.name.clone(), one.environment.keys().cloned().collect())).collect()
    };
    assert_eq!(names(&template()), names(&given));
    let catalog = given.function("catalog").expect("there is a catalog");
    let text = |name: &str| catalog.environment.get(name).cloned();
    let endpoint = Setting::Text("http://172.17.0.1:4566".to_owned());
    assert_eq!(text("AWS_ENDPOINT_URL"), Some(endpoint));
    assert_eq!(text("GATEHOUSE_LOOPBACK_PROVIDERS"), Some(Setting::Text("allowed".to_owned())));
    assert_eq!(text("GATEHOUSE_PLAIN_HTTP"), Some(Setting::Text("allowed".to_owned())));
    let default = template();
    let text = |name: &str| default.function("catalog").and_then(|one| one.environment.get(name).cloned());
    assert_eq!(text("AWS_ENDPOINT_URL"), Some(Setting::Text(String::new())));
    assert_eq!(text("GATEHOUSE_LOOPBACK_PROVIDERS"), Some(Setting::Text("refused".to_owned())));
    assert_eq!(text("GATEHOUSE_PLAIN_HTTP"), Some(Setting::Text("refused".to_owned())));
    assert_eq!(text("STEP_FUNCTION_ARN"), Some(Setting::Text(String::new())));
}

/// `sam build` would look for a Makefile beside each binary.
#[test]
fn sam_build_leaves_every_function_as_it_was_built() {
    let text = read("template.yaml");
    let count = |what: &str| text.lines().filter(|line| line.trim() == what).count();
    let functions = count("Type: AWS::Serverless::Function");
    assert!(functions > 0);
    assert_eq!(count("Metadata: { SkipBuild: true }"), functions);
}
