//! What the template promises that only a real account would show, since the emulator does not check it.

use std::collections::{BTreeMap, BTreeSet};

use authorizer::TimeLimits;
use gatehouse_runtime::aws::CallBudget;
use gatehouse_template::RouteSettings;
use serde_json::{Value, json};

pub(super) fn document() -> Value {
    gatehouse_template::document(&super::read("template.yaml")).expect("template.yaml can be read")
}

pub(super) fn of_type<'a>(document: &'a Value, kind: &str) -> BTreeMap<&'a str, &'a Value> {
    let resources = document["Resources"].as_object().expect("resources");
    let wanted = resources.iter().filter(|(_, resource)| resource["Type"] == kind);
    wanted.map(|(id, resource)| (id.as_str(), resource)).collect()
}

fn statement<'a>(resource: &'a Value, sid: &str) -> &'a Value {
    let policies = resource["Properties"]["Policies"].as_array().expect("policies");
    let mut statements =
        policies.iter().flat_map(|policy| policy["Statement"].as_array().expect("statements"));
    statements.find(|statement| statement["Sid"] == sid).unwrap_or_else(|| panic!("no statement {sid}"))
}

#[test]
fn nothing_depends_on_what_may_be_missing() {
    let document = document();
    let resources = document["Resources"].as_object().expect("resources");
    for (id, resource) in resources {
        let depends = match &resource["DependsOn"] {
            Value::Null => Vec::new(),
            Value::Array(several) => several.iter().collect(),
            one => vec![one],
        };
        for on in depends.into_iter().map(|on| on.as_str().expect("a name")) {
            let other =
                resources.get(on).unwrap_or_else(|| panic!("{id} depends on {on}, which is not there"));
            let condition = &other["Condition"];
            let as_often = condition.is_null() || *condition == resource["Condition"];
            assert!(as_often, "{id} depends on {on}, which may be missing");
        }
    }
}

#[test]
fn the_access_log_comes_after_the_accounts_right_to_write_it() {
    let document = document();
    let resources = &document["Resources"];
    assert_eq!(resources["ApiGatewayAccount"]["Condition"], "ConfiguresAccountLogging");
    let after = json!({ "Fn::If": ["ConfiguresAccountLogging", { "Ref": "ApiGatewayAccount" }, ""] });
    assert_eq!(resources["ApiAccessLogGroup"]["Metadata"]["After"], after);
    let written_to = &resources["Api"]["Properties"]["AccessLogSetting"]["DestinationArn"];
    assert_eq!(*written_to, json!({ "Fn::GetAtt": ["ApiAccessLogGroup", "Arn"] }));
}

#[test]
fn every_revision_of_the_worker_may_be_run_and_in_its_cluster_alone() {
    let document = document();
    let right = statement(&document["Resources"]["ProvisionStateMachine"], "StartWorkers");
    assert_eq!(right["Action"], json!(["ecs:RunTask"]));
    assert_eq!(
        right["Condition"],
        json!({ "ArnEquals": { "ecs:cluster": { "Ref": "ProvisionerClusterArn" } } })
    );
    assert_eq!(right["Resource"].as_array().map(Vec::len), Some(1));
    let resource = &right["Resource"][0]["Fn::Sub"];
    let pattern = "arn:${AWS::Partition}:ecs:${AWS::Region}:${AWS::AccountId}:task-definition/${Family}:*";
    assert_eq!(resource[0], pattern);
    let family = |arn: Option<&str>| evaluate(&resource[1]["Family"], arn);
    for revision in ["", ":7", ":1234"] {
        let arn =
            format!("arn:aws:ecs:eu-west-1:123456789012:task-definition/gatehouse-dev-provisioner{revision}");
        assert_eq!(family(Some(&arn)), "gatehouse-dev-provisioner");
    }
    // CloudFormation's language extensions evaluate it also where there is no state machine.
    assert!(family(None).is_string());
}

/// What an expression comes to where this is the provisioner's task definition, or there is none.
fn evaluate(expression: &Value, task_definition: Option<&str>) -> Value {
    if let Some(select) = expression.get("Fn::Select") {
        let list = evaluate(&select[1], task_definition);
        let place = usize::try_from(select[0].as_u64().expect("a place")).expect("a small number");
        list.get(place).unwrap_or_else(|| panic!("{list} has nothing at {place}")).clone()
    } else if let Some(split) = expression.get("Fn::Split") {
        let text = evaluate(&split[1], task_definition);
        text.as_str().expect("a text").split(split[0].as_str().expect("a separator")).collect()
    } else if let Some(choice) = expression.get("Fn::If") {
        assert_eq!(choice[0], "HasProvisioner");
        evaluate(&choice[if task_definition.is_some() { 1 } else { 2 }], task_definition)
    } else if let Some(parameter) = expression.get("Ref") {
        assert_eq!(parameter, "ProvisionerTaskDefinitionArn");
        task_definition.into()
    } else {
        expression.clone()
    }
}

#[test]
fn alarms_count_what_and_as_long_as_the_stage_says() {
    let document = document();
    for (id, alarm) in of_type(&document, "AWS::CloudWatch::Alarm") {
        // That the janitor is never called is no matter of taste.
        let fixed = id == "JanitorSilentAlarm";
        for field in ["Threshold", "Period"] {
            let parameter = alarm["Properties"][field]["Ref"].as_str();
            assert_eq!(parameter.is_none(), fixed, "{id}: {field}");
            if let Some(parameter) = parameter {
                assert_eq!(document["Parameters"][parameter]["Type"], "Number", "{id}: {field}");
            }
        }
        let told =
            json!({ "Fn::If": ["HasAlarmTopic", [{ "Ref": "AlarmTopicArn" }], { "Ref": "AWS::NoValue" }] });
        assert_eq!(alarm["Properties"]["AlarmActions"], told, "{id}");
    }
}

#[test]
fn what_goes_wrong_has_an_alarm() {
    let document = document();
    // What is watched, each with the resource that it is watched of; the account's own have none.
    let alarms = of_type(&document, "AWS::CloudWatch::Alarm");
    let watched: BTreeSet<(String, String)> = alarms
        .values()
        .map(|alarm| {
            let properties = &alarm["Properties"];
            let of = resource_of(&document, &properties["Dimensions"][0]["Value"]);
            (properties["MetricName"].as_str().expect("a metric").to_owned(), of.to_owned())
        })
        .collect();
    let is_watched = |metric: &str, of: &str| {
        assert!(watched.contains(&(metric.to_owned(), of.to_owned())), "{metric} of {of:?} has no alarm");
    };
    is_watched("5XXError", "AWS::StackName");
    is_watched("ClaimedAccountConcurrency", "");
    is_watched("Invocations", "JanitorFunction");
    for metric in ["ReadThrottleEvents", "WriteThrottleEvents"] {
        is_watched(metric, "Table");
    }
    for function in ["AuthorizerFunction", "IdentityFunction", "TokensFunction"] {
        is_watched("Duration", function);
    }
    for machine in of_type(&document, "AWS::Serverless::StateMachine").keys() {
        is_watched("ExecutionsFailed", machine);
        is_watched("ExecutionsTimedOut", machine);
    }
    // A schedule tries again what was throttled, and the janitor that is never called has its own alarm.
    for function in
        of_type(&document, "AWS::Serverless::Function").keys().filter(|id| **id != "JanitorFunction")
    {
        is_watched("Throttles", function);
    }
    let silent = &alarms["JanitorSilentAlarm"]["Properties"];
    assert_eq!(silent["TreatMissingData"], "breaching", "a function that is not called has no data");
    assert_eq!(silent["ComparisonOperator"], "LessThanThreshold");
}

/// Which resource a dimension names: by a reference, or a state machine by the name that its ARN ends with.
pub fn resource_of<'a>(document: &'a Value, dimension: &'a Value) -> &'a str {
    let Some(arn) = dimension["Fn::Sub"].as_str() else {
        return dimension["Ref"].as_str().unwrap_or_default();
    };
    let named = |machine: &Value| {
        let name = machine["Properties"]["Name"]["Fn::Sub"].as_str().expect("a name");
        arn.ends_with(&format!(":stateMachine:{name}"))
    };
    let machines = of_type(document, "AWS::Serverless::StateMachine");
    machines.into_iter().find_map(|(id, machine)| named(machine).then_some(id)).unwrap_or_default()
}

#[test]
fn the_authorizer_answers_before_lambda_cuts_it_off() {
    let given = super::template().function("authorizer").expect("the authorizer").timeout;
    let TimeLimits { looking_up, writing_down } = TimeLimits::LAMBDA;
    assert!(looking_up + writing_down < given, "{given:?} are given");
    assert!(CallBudget::AUTHORIZER.call <= looking_up, "a call may take longer than who waits for it");
}

#[test]
fn old_versions_of_tls_are_refused() {
    let document = document();
    let api = &document["Resources"]["Api"]["Properties"];
    let policy = api["SecurityPolicy"].as_str().expect("a policy");
    assert!(
        policy.starts_with("SecurityPolicy_TLS13_1_2_") || policy.starts_with("SecurityPolicy_TLS13_1_3_")
    );
    // API Gateway wants to be told with any policy of these names.
    assert!(["BASIC", "STRICT"].contains(&api["EndpointAccessMode"].as_str().expect("a mode")));
}

#[test]
fn the_access_log_is_json_and_says_how_a_stream_began() {
    let document = document();
    let format = &document["Resources"]["Api"]["Properties"]["AccessLogSetting"]["Format"];
    let line: BTreeMap<String, String> =
        serde_json::from_str(format.as_str().expect("a format")).expect("an object of texts");
    for (field, variable) in [
        ("transfer_mode", "$context.integration.responseTransferMode"),
        ("headers_ms", "$context.integration.timeToAllHeaders"),
        ("first_byte_ms", "$context.integration.timeToFirstContent"),
        ("integration_latency_ms", "$context.integration.latency"),
    ] {
        assert_eq!(line.get(field).map(String::as_str), Some(variable));
    }
}

#[test]
fn workers_and_webhooks_report_where_the_stage_says() {
    let document = document();
    let resources = &document["Resources"];
    let told = [
        &resources["DeployerFunction"]["Properties"]["Environment"]["Variables"]["GATEHOUSE_CALLBACK_URL"],
        &resources["ProvisionStateMachine"]["Properties"]["DefinitionSubstitutions"]["CallbackBaseUrl"],
    ];
    let own = "https://${Api}.execute-api.${AWS::Region}.${AWS::URLSuffix}/${StageName}";
    let address =
        json!({ "Fn::If": ["HasDomain", { "Fn::Sub": "https://${DomainName}" }, { "Fn::Sub": own }] });
    let url = json!({ "Fn::If": ["HasCallbackUrl", { "Ref": "CallbackUrl" }, address] });
    assert_eq!(told, [&url; 2]);
    let condition = json!({ "Fn::Not": [{ "Fn::Equals": [{ "Ref": "CallbackUrl" }, ""] }] });
    assert_eq!(document["Conditions"]["HasCallbackUrl"], condition);
}

#[test]
fn every_role_is_made_within_the_boundary() {
    let document = document();
    let boundary = json!({ "Fn::If": [
        "HasPermissionsBoundary", { "Ref": "PermissionsBoundaryArn" }, { "Ref": "AWS::NoValue" },
    ] });
    assert_eq!(document["Globals"]["Function"]["PermissionsBoundary"], boundary);
    for kind in ["AWS::Serverless::StateMachine", "AWS::IAM::Role"] {
        let made = of_type(&document, kind);
        assert!(!made.is_empty(), "{kind}");
        for (id, resource) in made {
            assert_eq!(resource["Properties"]["PermissionsBoundary"], boundary, "{id}");
        }
    }
    for (id, function) in of_type(&document, "AWS::Serverless::Function") {
        assert!(function["Properties"]["PermissionsBoundary"].is_null(), "{id} has a boundary of its own");
    }
}

#[test]
fn the_boundary_leaves_room_for_every_right_of_the_template_and_no_other() {
    let document = document();
    let mut given = BTreeSet::new();
    actions(&document["Resources"], &mut given);
    let text = super::read("infra/terraform/aws-bootstrap/stack_boundary.tf");
    // The keys of conditions look as actions do.
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("variable"));
    let text = lines.collect::<Vec<_>>().join("\n");
    let quoted = text.split('"').skip(1).step_by(2);
    let services = [
        "apigateway",
        "cloudwatch",
        "dynamodb",
        "ec2",
        "ecs",
        "events",
        "iam",
        "lambda",
        "logs",
        "secretsmanager",
        "states",
        "xray",
    ];
    let is_action = |text: &&str| {
        text.split_once(':').is_some_and(|(service, name)| {
            services.contains(&service) && name.bytes().all(|byte| byte.is_ascii_alphabetic())
        })
    };
    let allowed: BTreeSet<_> = quoted.filter(is_action).map(str::to_owned).collect();
    // AWS's own policies for writing logs are attached to roles and not written in the template.
    given.extend(allowed.iter().filter(|action| action.starts_with("logs:")).cloned());
    // Who may call an API Gateway or be called by CloudFormation is no right of a role.
    given.remove("sts:AssumeRole");
    assert_eq!(given, allowed);
}

/// Every action of a policy somewhere in a value.
pub(super) fn actions(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match field {
                    Value::String(action) if name == "Action" => {
                        into.insert(action.clone());
                    }
                    Value::Array(several) if name == "Action" => {
                        into.extend(
                            several.iter().map(|action| action.as_str().expect("an action").to_owned()),
                        );
                    }
                    other => actions(other, into),
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                actions(item, into);
            }
        }
        _ => {}
    }
}

/// A resource policy holds 20,480 bytes, which is some 50 statements: too few for one for each route.
#[test]
fn one_statement_lets_the_api_call_a_function_for_its_routes_and_no_others() {
    let document = document();
    let template = super::template();
    let called = template.functions.iter().filter(|function| !function.routes.is_empty());
    let expected: BTreeMap<String, Value> = called
        .map(|function| {
            let id = &function.logical_id;
            let permission = format!("{}Permission", id.trim_end_matches("Function"));
            let routes = format!(
                "arn:${{AWS::Partition}}:execute-api:${{AWS::Region}}:${{AWS::AccountId}}:${{Api}}/${{StageName}}/{}",
                narrowest(&function.routes)
            );
            let properties = json!({
                // Who may call the function may not therefore call its alias.
                "FunctionName": { "Ref": format!("{id}.Alias") },
                "Action": "lambda:InvokeFunction",
                "Principal": "apigateway.amazonaws.com",
                "SourceArn": { "Fn::Sub": routes },
            });
            (permission, properties)
        })
        .collect();
    let given: BTreeMap<String, Value> = of_type(&document, "AWS::Lambda::Permission")
        .into_iter()
        // No route leads to the authorizer.
        .filter(|(id, _)| *id != "AuthorizerPermission")
        .map(|(id, permission)| (id.to_owned(), permission["Properties"].clone()))
        .collect();
    assert_eq!(given, expected);
}

/// The verb and path, with `*` for what differs, that these routes have in common.
fn narrowest(routes: &[RouteSettings]) -> String {
    let (first, others) = routes.split_first().expect("a route");
    let one_verb = others.iter().all(|route| route.method == first.method);
    let verb = if one_verb { first.method.as_str() } else { "*" };
    let mut path = first.path.as_str();
    for other in others {
        let shared = path.bytes().zip(other.path.bytes()).take_while(|(one, other)| one == other).count();
        path = &path[..shared];
    }
    let literal = path.split('{').next().unwrap_or_default();
    let rest = if routes.iter().all(|route| route.path == literal) { "" } else { "*" };
    format!("{verb}{literal}{rest}")
}

/// SAM names a deployment after the body of the API. It must see whether the stage streams, or it would make no new deployment
/// when that changes, and the stage would go on with the old one.
#[test]
fn sam_sees_what_a_stage_is_told() {
    let expected = json!(["AWS::LanguageExtensions", "AWS::Serverless-2016-10-31"]);
    assert_eq!(document()["Transform"], expected);
}
