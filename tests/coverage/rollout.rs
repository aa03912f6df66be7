//! Updates go through aliases and come back when an alarm sounds; traces and the dashboard are there where a stage wants them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::{
    cloud::{document, of_type, resource_of},
    read, template,
};

/// The most alarms that `CodeDeploy` takes for one deployment group.
const MAX_ALARMS: usize = 10;

/// The most metrics of a dashboard that is still billed as one, and not at all among the first three of an account.
const MAX_METRICS: usize = 50;

/// The functions of a template by their logical ids.
fn functions(document: &Value) -> BTreeMap<&str, &Value> {
    of_type(document, "AWS::Serverless::Function")
}

/// The texts of `Ref` in a list.
fn references(list: &Value) -> BTreeSet<&str> {
    let items = list.as_array().into_iter().flatten();
    items.map(|item| item["Ref"].as_str().expect("a reference")).collect()
}

#[test]
fn every_change_of_a_function_becomes_a_version_behind_its_alias() {
    let document = document();
    assert_eq!(document["Globals"]["Function"]["AutoPublishAlias"], "live");
    for (id, function) in functions(&document) {
        let properties = &function["Properties"];
        assert_eq!(properties["AutoPublishAliasAllProperties"], true, "{id}");
        assert!(properties["AutoPublishAlias"].is_null(), "{id} has an alias of its own");
        // In `Globals` a parameter stays a reference, and SAM sees no change when its value changes.
        let level = &properties["Environment"]["Variables"]["GATEHOUSE_LOG"];
        assert_eq!(*level, json!({ "Ref": "LogLevel" }), "{id}");
    }
}

/// What calls a function by its name gets the newest code, and goes on to get it when the alias has gone back.
#[test]
fn the_authorizer_and_the_workflows_are_called_by_their_aliases() {
    let document = document();
    let resources = &document["Resources"];
    let authorizer = &resources["Api"]["Properties"]["Auth"]["Authorizers"]["GatehouseAuthorizer"];
    assert_eq!(authorizer["FunctionArn"], json!({ "Fn::Sub": "${AuthorizerFunction.Arn}:live" }));
    assert_eq!(authorizer["DisableFunctionDefaultPermissions"], true);
    let permission = &resources["AuthorizerPermission"]["Properties"];
    assert_eq!(permission["FunctionName"], json!({ "Ref": "AuthorizerFunction.Alias" }));
    assert_eq!(permission["Principal"], "apigateway.amazonaws.com");
    // The routes name aliases by text, for which CloudFormation would not wait.
    let awaited = references(&resources["Api"]["Metadata"]["After"]);
    let template = template();
    let serving = template.functions.iter().filter(|function| !function.routes.is_empty());
    let mut aliases: BTreeSet<_> = serving.map(|function| format!("{}.Alias", function.logical_id)).collect();
    aliases.insert("AuthorizerFunction.Alias".to_owned());
    assert_eq!(awaited, aliases.iter().map(String::as_str).collect());
    for (id, machine) in of_type(&document, "AWS::Serverless::StateMachine") {
        let properties = &machine["Properties"];
        let called: BTreeSet<String> = properties["DefinitionSubstitutions"]
            .as_object()
            .expect("substitutions")
            .iter()
            .filter(|(name, _)| name.ends_with("FunctionArn"))
            .map(|(name, value)| {
                let function = name.trim_end_matches("Arn");
                assert_eq!(*value, json!({ "Ref": format!("{function}.Alias") }), "{id}");
                function.to_owned()
            })
            .collect();
        assert!(!called.is_empty(), "{id} calls nothing");
        let statements = properties["Policies"][0]["Statement"].as_array().expect("statements");
        let invokes = statements.iter().find(|one| one["Action"] == json!(["lambda:InvokeFunction"]));
        let allowed = invokes.expect("it may invoke")["Resource"].as_array().expect("resources").clone();
        // An execution that began before there were aliases calls the function by its name.
        let aliases = called.iter().map(|function| json!({ "Ref": format!("{function}.Alias") }));
        let names = called.iter().map(|function| json!({ "Fn::GetAtt": [function, "Arn"] }));
        assert_eq!(allowed, aliases.chain(names).collect::<Vec<_>>(), "{id}");
    }
}

#[test]
fn an_update_goes_back_when_what_pages_for_the_function_sounds() {
    let document = document();
    let alarms = of_type(&document, "AWS::CloudWatch::Alarm");
    let template = template();
    for (id, function) in functions(&document) {
        let asked = references(&function["Properties"]["DeploymentPreference"]["Alarms"]);
        assert!((1..=MAX_ALARMS).contains(&asked.len()), "{id}: {asked:?}");
        for alarm in &asked {
            assert!(alarms.contains_key(alarm), "{id} asks {alarm}, which is no alarm");
            assert!(alarms[alarm]["Condition"].is_null(), "{id} asks {alarm}, which may be missing");
        }
        let name = id.trim_end_matches("Function");
        for own in [format!("{name}ErrorsAlarm"), format!("{name}SlowAlarm")] {
            if alarms.contains_key(own.as_str()) {
                assert!(asked.contains(own.as_str()), "{id} does not ask {own}");
            }
        }
        let settings = template.functions.iter().find(|one| one.logical_id == id).expect("it is read");
        let serves = !settings.routes.is_empty() || id == "AuthorizerFunction";
        assert_eq!(asked.contains("ApiErrorsAlarm"), serves, "{id} and the errors of the API");
        // It rings in every new stack until the janitor has been called, and CodeDeploy begins nothing meanwhile.
        assert!(!asked.contains("JanitorSilentAlarm"), "{id}");
    }
}

/// An alias waits for its deployment group, and that for its alarms: an alarm that waited for the alias would make a circle,
/// which `CloudFormation` refuses.
#[test]
fn no_alarm_that_is_asked_waits_for_what_calls_an_alias() {
    let document = document();
    let machines = of_type(&document, "AWS::Serverless::StateMachine");
    for (id, function) in functions(&document) {
        for alarm in references(&function["Properties"]["DeploymentPreference"]["Alarms"]) {
            let dimensions = &document["Resources"][alarm]["Properties"]["Dimensions"];
            for dimension in dimensions.as_array().expect("dimensions") {
                let waits_for = dimension["Value"]["Ref"].as_str().unwrap_or_default();
                assert!(!machines.contains_key(waits_for), "{id} asks {alarm}, which waits for {waits_for}");
            }
        }
    }
    let alarm = &document["Resources"]["DeployFailuresAlarm"]["Properties"];
    assert_eq!(resource_of(&document, &alarm["Dimensions"][0]["Value"]), "DeployStateMachine");
}

#[test]
fn code_deploy_takes_part_where_a_stage_says_so() {
    let document = document();
    let parameter = &document["Parameters"]["DeploymentType"];
    // An account whose roles were made before may have no right to hand one to CodeDeploy.
    assert_eq!(parameter["Default"], "none");
    let types = document["Mappings"]["DeploymentTypes"].as_object().expect("a map");
    let allowed = parameter["AllowedValues"].as_array().expect("values").iter();
    let allowed: BTreeSet<_> = allowed.map(|name| name.as_str().expect("a word")).collect();
    assert_eq!(allowed, types.keys().map(String::as_str).collect::<BTreeSet<_>>());
    for (name, kind) in types {
        assert_eq!(kind["ByCodeDeploy"], if name == "none" { "false" } else { "true" }, "{name}");
    }
    let preference = &document["Globals"]["Function"]["DeploymentPreference"];
    let enabled =
        json!({ "Fn::FindInMap": ["DeploymentTypes", { "Ref": "DeploymentType" }, "ByCodeDeploy"] });
    assert_eq!(preference["Enabled"], enabled);
    assert_eq!(preference["Type"], json!({ "Ref": "DeploymentType" }));
    // Without it SAM makes a role that has no boundary.
    assert_eq!(preference["Role"], json!({ "Fn::GetAtt": ["RolloutRole", "Arn"] }));
    let trust =
        &document["Resources"]["RolloutRole"]["Properties"]["AssumeRolePolicyDocument"]["Statement"][0];
    assert_eq!(trust["Principal"], json!({ "Service": "codedeploy.amazonaws.com" }));
    let bootstrap = read("infra/terraform/aws-bootstrap/github.tf");
    assert!(bootstrap.contains("\"codedeploy.amazonaws.com\""), "the stack may not hand that role on");
}

#[test]
fn traces_are_sent_where_a_stage_wants_them_and_may_be_then_alone() {
    let document = document();
    let parameter = &document["Parameters"]["Tracing"];
    assert_eq!(parameter["Default"], "Disabled");
    // The words are those of SAM, which leaves out all of it for the first.
    assert_eq!(parameter["AllowedValues"], json!(["Disabled", "Active"]));
    assert_eq!(document["Globals"]["Function"]["Tracing"], json!({ "Ref": "Tracing" }));
    let traces = json!({ "Fn::If": ["Traces", true, false] });
    assert_eq!(document["Resources"]["Api"]["Properties"]["TracingEnabled"], traces);
    let policies = of_type(&document, "AWS::IAM::Policy");
    for (id, machine) in of_type(&document, "AWS::Serverless::StateMachine") {
        assert_eq!(machine["Properties"]["Tracing"], json!({ "Enabled": traces }), "{id}");
        let role = json!([{ "Ref": format!("{id}Role") }]);
        let sending = policies.values().find(|policy| {
            let statements = &policy["Properties"]["PolicyDocument"]["Statement"];
            policy["Properties"]["Roles"] == role && statements[0]["Sid"] == "SendTraces"
        });
        let condition = &sending.unwrap_or_else(|| panic!("{id} may not send traces"))["Condition"];
        let wanted = if machine["Condition"].is_null() { "Traces" } else { "TracesProvisioner" };
        assert_eq!(*condition, wanted, "{id}");
    }
    // What joins our lines with a trace where a function writes none of it.
    let access_log = &document["Resources"]["Api"]["Properties"]["AccessLogSetting"]["Format"];
    assert!(access_log.as_str().expect("a format").contains("\"trace_id\":\"$context.xrayTraceId\""));
}

/// The widgets of the dashboard, with the names of the template in place of what they will stand for.
fn widgets(document: &Value) -> Vec<Value> {
    let dashboard = &document["Resources"]["OnCallDashboard"];
    assert_eq!(dashboard["Condition"], "HasDashboard");
    let mut body = dashboard["Properties"]["DashboardBody"]["Fn::Sub"].as_str().expect("a text").to_owned();
    for number in ["AlarmConcurrency", "AlarmSlowMillis"] {
        assert_eq!(document["Parameters"][number]["Type"], "Number");
        body = body.replace(&format!(":${{{number}}}"), ":0");
    }
    let body: Value = serde_json::from_str(&body).expect("JSON");
    body["widgets"].as_array().expect("widgets").clone()
}

/// What a text names by `${…}`, if it is nothing else.
fn named(text: &str) -> Option<&str> {
    text.strip_prefix("${")?.strip_suffix('}').filter(|name| !name.contains("${"))
}

/// A metric: its namespace, its name, and its dimensions.
type Metric = (String, String, Vec<(String, String)>);

fn metrics(widget: &Value) -> Vec<Metric> {
    let rows = widget["properties"]["metrics"].as_array().into_iter().flatten();
    let texts = rows.map(|row| {
        let cells = row.as_array().expect("a row").iter();
        cells.filter_map(|cell| cell.as_str().map(str::to_owned)).collect::<Vec<_>>()
    });
    // A row without texts is computed from others.
    let measured = texts.filter(|texts| !texts.is_empty());
    measured
        .map(|texts| {
            let dimensions = texts[2..].chunks(2).map(|pair| (pair[0].clone(), pair[1].clone()));
            (texts[0].clone(), texts[1].clone(), dimensions.collect())
        })
        .collect()
}

#[test]
fn every_metric_of_the_dashboard_is_of_something_in_the_template() {
    let document = document();
    let kind = |name: &str| document["Resources"][name]["Type"].as_str().unwrap_or_default().to_owned();
    let mut shown = BTreeSet::new();
    for widget in widgets(&document) {
        for (namespace, metric, dimensions) in metrics(&widget) {
            for (dimension, value) in &dimensions {
                let resource = named(value).unwrap_or(value);
                let is = match dimension.as_str() {
                    "FunctionName" => kind(resource) == "AWS::Serverless::Function",
                    "TableName" => kind(resource) == "AWS::DynamoDB::Table",
                    "GlobalSecondaryIndexName" => resource == "gsi1",
                    "ApiName" => resource == "AWS::StackName",
                    "Stage" => resource == "StageName",
                    "StateMachineArn" => {
                        let machine = resource_of(&document, &json!({ "Fn::Sub": value })).to_owned();
                        kind(resource) == "AWS::Serverless::StateMachine" || !machine.is_empty()
                    }
                    _ => false,
                };
                assert!(is, "{namespace} {metric}: {dimension} is {value}");
            }
            assert!(!dimensions.is_empty() || metric == "ClaimedAccountConcurrency", "{metric} of what?");
            shown.insert((namespace, metric, dimensions));
        }
    }
    assert!(shown.len() <= MAX_METRICS, "{} metrics", shown.len());
    for function in functions(&document).keys() {
        for metric in ["Errors", "Throttles"] {
            let of = vec![("FunctionName".to_owned(), format!("${{{function}}}"))];
            assert!(
                shown.contains(&("AWS/Lambda".to_owned(), metric.to_owned(), of)),
                "{metric} of {function}"
            );
        }
    }
}

#[test]
fn the_dashboard_shows_every_alarm_and_reads_every_log() {
    let document = document();
    let widgets = widgets(&document);
    let alarms = of_type(&document, "AWS::CloudWatch::Alarm");
    // An alarm that may be missing cannot be named; its metrics are shown.
    let always: BTreeSet<_> =
        alarms.iter().filter(|(_, alarm)| alarm["Condition"].is_null()).map(|(id, _)| *id).collect();
    let shown = widgets.iter().filter(|widget| widget["type"] == "alarm");
    let shown = shown.flat_map(|widget| widget["properties"]["alarms"].as_array().into_iter().flatten());
    let shown: BTreeSet<_> = shown.filter_map(|alarm| named(alarm.as_str()?)?.strip_suffix(".Arn")).collect();
    assert_eq!(shown, always);
    let groups = of_type(&document, "AWS::Logs::LogGroup");
    let queries = widgets.iter().filter_map(|widget| widget["properties"]["query"].as_str());
    let sources = queries.flat_map(|query| query.split("SOURCE '").skip(1));
    let sources: BTreeSet<_> = sources.filter_map(|rest| named(rest.split('\'').next()?)).collect();
    assert_eq!(sources, groups.keys().copied().collect::<BTreeSet<_>>());
}

#[test]
fn the_widgets_of_the_dashboard_fit_beside_each_other() {
    let widgets = widgets(&document());
    let number = |widget: &Value, field: &str| widget[field].as_u64().expect("a number");
    let mut taken = BTreeSet::new();
    for widget in &widgets {
        let (left, top) = (number(widget, "x"), number(widget, "y"));
        assert!(left + number(widget, "width") <= 24, "{widget}");
        for x in left..left + number(widget, "width") {
            for y in top..top + number(widget, "height") {
                assert!(taken.insert((x, y)), "{widget} lies over another");
            }
        }
    }
}
