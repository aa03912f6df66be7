//! The network around a stage: which functions are in a VPC and what they need there, the API's own name, and the firewall
//! before it.

use std::collections::{BTreeMap, BTreeSet};

use gatehouse_template::{Setting, Template};
use serde_json::{Value, json};

use crate::{
    cloud::{actions, document, of_type},
    read, root, template,
};

/// What `AWSLambdaVPCAccessExecutionRole` gives beside logs: AWS's own policy, in its version 3, which SAM attaches to the role
/// of a function in a VPC.
const NETWORK_INTERFACES: [&str; 6] = [
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
];

/// Crates that a crate depends on, tests aside.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let text = read(manifest);
    let lines = text.lines().skip_while(|line| *line != "[dependencies]").skip(1);
    let lines = lines.take_while(|line| !line.starts_with('['));
    let names = lines.filter_map(|line| line.split(['.', ' ', '=']).next());
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// Whether a crate links the client for calls outward, itself or through others of ours.
fn calls_outward(manifest: &str) -> bool {
    let mut open = dependencies(manifest);
    let mut seen = BTreeSet::new();
    while let Some(name) = open.pop_first() {
        if name == "gatehouse-outbound" {
            return true;
        }
        let manifest = format!("shared/{name}/Cargo.toml");
        if seen.insert(name) && root().join(&manifest).is_file() {
            open.extend(dependencies(&manifest));
        }
    }
    false
}

/// The logical ids of the functions that call CI systems or webhooks.
fn outward() -> BTreeSet<String> {
    let functions = template().functions.into_iter();
    let outward = functions.filter(|it| calls_outward(&format!("functions/{}/Cargo.toml", it.name)));
    let outward: BTreeSet<_> = outward.map(|function| function.logical_id).collect();
    assert!(outward.contains("DeployerFunction") && !outward.contains("MetaFunction"), "{outward:?}");
    outward
}

#[test]
fn the_functions_that_call_outward_may_be_in_a_vpc_and_no_other() {
    let document = document();
    assert!(document["Globals"]["Function"]["VpcConfig"].is_null());
    let network = json!({ "Fn::If": [
        "InVpc",
        { "SubnetIds": { "Ref": "VpcSubnetIds" }, "SecurityGroupIds": { "Ref": "VpcSecurityGroupIds" } },
        { "Ref": "AWS::NoValue" },
    ] });
    let mut inside = BTreeSet::new();
    for (id, function) in of_type(&document, "AWS::Serverless::Function") {
        let given = &function["Properties"]["VpcConfig"];
        if !given.is_null() {
            assert_eq!(*given, network, "{id}");
            inside.insert(id.to_owned());
        }
    }
    assert_eq!(inside, outward());
    // Without subnets, CloudFormation takes the list for one of an empty text.
    let first = json!({ "Fn::Select": [0, { "Ref": "VpcSubnetIds" }] });
    assert_eq!(document["Conditions"]["InVpc"], json!({ "Fn::Not": [{ "Fn::Equals": [first, ""] }] }));
    for list in ["VpcSubnetIds", "VpcSecurityGroupIds"] {
        let parameter = &document["Parameters"][list];
        assert_eq!((&parameter["Type"], &parameter["Default"]), (&json!("CommaDelimitedList"), &json!("")));
    }
}

#[test]
fn code_in_a_vpc_touches_no_network_interface() {
    let document = document();
    let policy = &document["Resources"]["NetworkInterfacesPolicy"];
    assert_eq!((&policy["Type"], &policy["Condition"]), (&json!("AWS::IAM::Policy"), &json!("InVpc")));
    let outward = outward();
    let roles: Vec<_> = outward.iter().map(|id| json!({ "Ref": format!("{id}Role") })).collect();
    assert_eq!(policy["Properties"]["Roles"], json!(roles));
    let forms = |id: &String| {
        [json!({ "Fn::GetAtt": [id, "Arn"] }), json!({ "Fn::Sub": format!("${{{id}.Arn}}:*") })]
    };
    let functions: Vec<_> = outward.iter().flat_map(forms).collect();
    let statements = policy["Properties"]["PolicyDocument"]["Statement"].as_array().expect("statements");
    assert_eq!(statements.len(), 1);
    assert_eq!(statements[0]["Effect"], "Deny");
    assert_eq!(statements[0]["Action"], json!(NETWORK_INTERFACES));
    assert_eq!(statements[0]["Resource"], "*");
    // Lambda itself calls by the same role, and is no function.
    assert_eq!(statements[0]["Condition"], json!({ "ArnEquals": { "lambda:SourceFunctionArn": functions } }));
}

#[test]
fn the_boundary_leaves_room_for_network_interfaces_where_it_is_asked_to() {
    let boundary = read("infra/terraform/aws-bootstrap/stack_boundary.tf");
    let quoted: BTreeSet<_> =
        boundary.split('"').skip(1).step_by(2).filter(|text| text.starts_with("ec2:")).collect();
    assert_eq!(quoted, BTreeSet::from(NETWORK_INTERFACES));
    let asked = "for_each = var.functions_in_vpc ? [local.network_interface_actions] : []";
    let given: Vec<&str> = boundary.split(asked).skip(1).collect();
    assert_eq!(given.len(), 2, "one statement that allows and one that denies");
    let denies = |statement: &str| statement.contains("\"Deny\"");
    assert!(!denies(given[0]) && denies(given[1]));
    assert!(given[1].contains("variable = \"lambda:SourceFunctionArn\""));
}

/// In a private network a service that has no endpoint is called in vain, and one that is not called costs money.
#[test]
fn a_private_network_has_an_endpoint_for_each_service_that_its_functions_call() {
    let document = document();
    let functions = of_type(&document, "AWS::Serverless::Function");
    let mut allowed = BTreeSet::new();
    for id in outward() {
        actions(&functions[id.as_str()]["Properties"]["Policies"], &mut allowed);
    }
    let called: BTreeSet<_> =
        allowed.iter().filter_map(|action| action.split_once(':')).map(|(service, _)| service).collect();
    let variables = read("infra/terraform/private-network/variables.tf");
    let (_, rest) = variables.split_once("variable \"interface_endpoints\"").expect("the variable");
    let (_, rest) = rest.split_once("default").expect("its default");
    let (default, _) = rest.split_once(']').expect("a list");
    let mut endpoints: BTreeSet<_> = default.split('"').skip(1).step_by(2).collect();
    // The one that is no interface endpoint.
    assert!(read("infra/terraform/private-network/endpoints.tf").contains("service      = \"dynamodb\""));
    endpoints.insert("dynamodb");
    assert_eq!(endpoints, called);
}

/// Parameters by name; a list is a text with commas between.
type Given = [(&'static str, &'static str)];

/// What a rule's expression comes to with these parameters.
fn holds(expression: &Value, given: &BTreeMap<&str, &str>) -> bool {
    let (function, of) = expression.as_object().and_then(|it| it.iter().next()).expect("a function");
    let text = |value: &Value| match value["Ref"].as_str() {
        Some(parameter) => given.get(parameter).copied().unwrap_or_default().to_owned(),
        None => value.as_str().expect("a text").to_owned(),
    };
    let mut each = of.as_array().expect("a list").iter();
    match function.as_str() {
        "Fn::And" => each.all(|it| holds(it, given)),
        "Fn::Or" => each.any(|it| holds(it, given)),
        "Fn::Not" => !holds(&of[0], given),
        "Fn::Equals" => text(&of[0]) == text(&of[1]),
        "Fn::EachMemberEquals" => text(&of[0]).split(',').all(|member| member == text(&of[1])),
        other => panic!("{other} is not evaluated here"),
    }
}

#[test]
fn parameters_that_need_each_other_are_refused_alone() {
    let document = document();
    let rules = document["Rules"].as_object().expect("rules");
    let refused = |given: &Given| -> Vec<String> {
        let given: BTreeMap<&str, &str> = given.iter().copied().collect();
        let broken = rules.iter().filter(|(_, rule)| {
            let mut assertions = rule["Assertions"].as_array().expect("assertions").iter();
            assertions.any(|assertion| !holds(&assertion["Assert"], &given))
        });
        broken.map(|(name, _)| name.clone()).collect()
    };
    let subnets = ("VpcSubnetIds", "subnet-1,subnet-2");
    let groups = ("VpcSecurityGroupIds", "sg-1");
    let name = ("DomainName", "gatehouse.example.com");
    let certificate = ("DomainCertificateArn", "arn:aws:acm:eu-west-1:123456789012:certificate/1");
    let zone = ("HostedZoneId", "Z1");
    let together: [&Given; 4] = [&[], &[subnets, groups], &[name, certificate], &[name, certificate, zone]];
    for parameters in together {
        assert!(refused(parameters).is_empty(), "{parameters:?}");
    }
    for (alone, rule) in [
        (subnets, "SubnetsWithSecurityGroups"),
        (groups, "SubnetsWithSecurityGroups"),
        (name, "DomainWithCertificate"),
        (certificate, "DomainWithCertificate"),
        (zone, "ZoneOfADomain"),
    ] {
        assert_eq!(refused(&[alone]), [rule], "{alone:?}");
    }
}

#[test]
fn the_address_of_the_stage_is_off_where_the_api_has_a_name_of_its_own() {
    let document = document();
    let resources = &document["Resources"];
    let given = |parameter: &str| json!({ "Fn::Not": [{ "Fn::Equals": [{ "Ref": parameter }, ""] }] });
    let conditions = &document["Conditions"];
    assert_eq!(conditions["HasDomain"], given("DomainName"));
    let zone = json!({ "Fn::And": [{ "Condition": "HasDomain" }, given("HostedZoneId")] });
    assert_eq!(conditions["HasHostedZone"], zone);

    let api = &resources["Api"]["Properties"];
    assert_eq!(api["DisableExecuteApiEndpoint"], json!({ "Fn::If": ["HasDomain", true, false] }));

    let domain = &resources["Domain"];
    assert_eq!(
        (&domain["Type"], &domain["Condition"]),
        (&json!("AWS::ApiGateway::DomainName"), &json!("HasDomain"))
    );
    assert_eq!(domain["Properties"]["DomainName"], json!({ "Ref": "DomainName" }));
    assert_eq!(domain["Properties"]["RegionalCertificateArn"], json!({ "Ref": "DomainCertificateArn" }));
    assert_eq!(domain["Properties"]["EndpointConfiguration"]["Types"], json!(["REGIONAL"]));
    assert_eq!(
        domain["Properties"]["SecurityPolicy"], api["SecurityPolicy"],
        "old versions of TLS are refused"
    );
    assert_eq!(domain["Properties"]["EndpointAccessMode"], "STRICT");

    // At the root: what the API says of its paths holds of the name as well.
    let mapping = &resources["DomainMapping"];
    assert_eq!(mapping["Condition"], "HasDomain");
    assert_eq!(
        mapping["Properties"],
        json!({ "DomainName": { "Ref": "Domain" }, "RestApiId": { "Ref": "Api" }, "Stage": { "Ref": "Api.Stage" } })
    );
}

#[test]
fn a_zone_leads_the_name_to_the_api_by_both_versions_of_ip() {
    let document = document();
    let records = of_type(&document, "AWS::Route53::RecordSet");
    let mut types = BTreeSet::new();
    for (id, record) in &records {
        assert_eq!(record["Condition"], "HasHostedZone", "{id}");
        let properties = &record["Properties"];
        assert_eq!(properties["HostedZoneId"], json!({ "Ref": "HostedZoneId" }), "{id}");
        assert_eq!(properties["Name"], json!({ "Ref": "DomainName" }), "{id}");
        let target = json!({
            "DNSName": { "Fn::GetAtt": ["Domain", "RegionalDomainName"] },
            "HostedZoneId": { "Fn::GetAtt": ["Domain", "RegionalHostedZoneId"] },
        });
        assert_eq!(properties["AliasTarget"], target, "{id}");
        types.insert(properties["Type"].as_str().expect("a type"));
    }
    assert_eq!(types, BTreeSet::from(["A", "AAAA"]));
    // A name that has only IPv4 would make the second record lead nowhere.
    let domain = &document["Resources"]["Domain"]["Properties"];
    assert_eq!(domain["EndpointConfiguration"]["IpAddressType"], "dualstack");
    // Where somebody else keeps the zone, this is what it has to say.
    let output = &document["Outputs"]["DomainTarget"];
    assert_eq!(output["Condition"], "HasDomain");
    assert_eq!(output["Value"], json!({ "Fn::GetAtt": ["Domain", "RegionalDomainName"] }));
}

#[test]
fn everybody_is_told_the_same_address() {
    let text = read("template.yaml");
    let reports_to = |given: &Given| {
        let given = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let given: BTreeMap<String, String> = given.collect();
        let template = Template::parse(&text, &given).expect("template.yaml can be read");
        let deployer = template.function("deployer").expect("the deployer");
        deployer.environment["GATEHOUSE_CALLBACK_URL"].clone()
    };
    let name = ("DomainName", "gatehouse.example.com");
    assert_eq!(reports_to(&[name]), Setting::Text("https://gatehouse.example.com".to_owned()));
    let inside = ("CallbackUrl", "https://inside.example.com");
    assert_eq!(reports_to(&[inside]), Setting::Text("https://inside.example.com".to_owned()));
    assert_eq!(reports_to(&[name, inside]), Setting::Text("https://inside.example.com".to_owned()));
    // Which API it is shows only once it is there.
    assert!(matches!(reports_to(&[]), Setting::Symbolic(_)));

    let document = document();
    let own = "https://${Api}.execute-api.${AWS::Region}.${AWS::URLSuffix}/${StageName}";
    let url = json!({ "Fn::If": ["HasDomain", { "Fn::Sub": "https://${DomainName}" }, { "Fn::Sub": own }] });
    assert_eq!(document["Outputs"]["ApiUrl"]["Value"], url);
}

#[test]
fn a_firewall_stands_before_the_stage_once_the_stage_is_there() {
    let document = document();
    let association = &document["Resources"]["WebAclAssociation"];
    assert_eq!(association["Type"], "AWS::WAFv2::WebACLAssociation");
    assert_eq!(association["Condition"], "HasWebAcl");
    assert_eq!(association["Properties"]["WebACLArn"], json!({ "Ref": "WebAclArn" }));
    // WAF knows no stage that is yet to be made: a reference to SAM's name of it is what waits for it.
    let arn = "arn:${AWS::Partition}:apigateway:${AWS::Region}::/restapis/${Api}/stages/${Stage}";
    assert_eq!(
        association["Properties"]["ResourceArn"],
        json!({ "Fn::Sub": [arn, { "Stage": { "Ref": "Api.Stage" } }] })
    );
    assert!(
        template().api.gateway_responses.contains_key("WAF_FILTERED"),
        "what it refuses is a problem like others"
    );
}
