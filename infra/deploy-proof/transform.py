"""Checks what CloudFormation's transforms make of the template.

SAM compares `ResponseTransferMode` as text. It must be resolved before SAM sees it, or every route is silently
buffered; and a stream needs its own timeout, or API Gateway ends it after 29 s. Both transforms are run here with the
code that AWS ships in SAM CLI.

What comes out is linted as well, with the account's logging and without it: what CloudFormation refuses of resources that
may be missing shows only there.
"""

import json
import logging
import re
import subprocess
import sys
from pathlib import Path

from samcli.lib.cfn_language_extensions.sam_integration import expand_language_extensions
from samcli.yamlhelper import yaml_parse
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

STREAM_MS = 900_000
BUFFERED_MS = 29_000


def translated(template, parameters):
    template.pop("Transform", None)
    return Translator({}, Parser()).translate(template, parameters)


def integrations(text, parameters):
    """The integration of every route, as API Gateway would be given it."""
    expanded = expand_language_extensions(yaml_parse(text), parameters, enabled=True).expanded_template
    body = translated(expanded, parameters)["Resources"]["Api"]["Properties"]["Body"]
    return {
        f"{method.upper()} {path}": operation["x-amazon-apigateway-integration"]
        for path, operations in body["paths"].items()
        for method, operation in operations.items()
    }


def fault(route, integration, streaming):
    """Why this integration is not what it should be, or nothing."""
    uri = str(integration["uri"])
    # Every route of this function streams, and no other.
    stream = streaming and "${StreamsFunction" in uri
    mode = integration.get("responseTransferMode", "BUFFERED")
    timeout = integration.get("timeoutInMillis", BUFFERED_MS)
    if mode != ("STREAM" if stream else "BUFFERED"):
        return f"{route}: transfer mode {mode}"
    if ("/response-streaming-invocations" in uri) != stream:
        return f"{route}: {uri}"
    if timeout != (STREAM_MS if stream else BUFFERED_MS):
        return f"{route}: timeout {timeout} ms"
    return None


def versions(text, parameters):
    """The version of each function that a deployment with these parameters publishes, by the name that SAM gives it."""
    expanded = expand_language_extensions(yaml_parse(text), parameters, enabled=True).expanded_template
    return set(of_type(translated(expanded, parameters)["Resources"], "AWS::Lambda::Version"))


def version_fault(text):
    """Why a parameter that functions are given would not come to those who call their aliases, or nothing."""
    functions, before = text.count("Type: AWS::Serverless::Function"), versions(text, {})
    if versions(text, {}) != before:
        return "a deployment that changes nothing publishes versions"
    for name, value, published in (
        ("LogLevel", "debug", functions),
        ("Tracing", "Active", functions),
        ("UnusedTokenDays", "7", 1),
    ):
        new = versions(text, {name: value}) - before
        if len(new) != published:
            return f"{name}={value} publishes {sorted(new)}"
    return None


def of_type(resources, kind):
    return {id: resource for id, resource in resources.items() if resource["Type"] == kind}


def rollout_fault(resources, type):
    """Why an update would not roll out as it should with this type of deployment, or nothing."""
    functions = of_type(resources, "AWS::Lambda::Function")
    aliases = of_type(resources, "AWS::Lambda::Alias")
    if {alias["Properties"]["FunctionName"]["Ref"] for alias in aliases.values()} != set(functions):
        return f"functions without an alias, or aliases without a function: {sorted(aliases)}"
    # Calls of a function itself would go to the new code at once, and stay there when the alias goes back.
    for id, permission in of_type(resources, "AWS::Lambda::Permission").items():
        if permission["Properties"]["FunctionName"].get("Ref") not in aliases:
            return f"{id} lets somebody call a function and not its alias"
    groups = of_type(resources, "AWS::CodeDeploy::DeploymentGroup")
    if type == "none":
        moved = [id for id, alias in aliases.items() if "UpdatePolicy" in alias]
        return f"CodeDeploy takes part: {sorted(groups)}, {moved}" if groups or moved else None
    for id, alias in aliases.items():
        group = alias.get("UpdatePolicy", {}).get("CodeDeployLambdaAliasUpdate", {}).get("DeploymentGroupName", {}).get("Ref")
        if group not in groups:
            return f"{id} is moved without CodeDeploy"
        if why := group_fault(groups[group]["Properties"], resources):
            return f"{group}: {why}"
    print(f"{len(groups)} deployment groups go back when an alarm sounds")
    return None


def group_fault(group, resources):
    """Why a deployment group would not go back when an alarm sounds, or nothing."""
    back, alarms = group["AutoRollbackConfiguration"], group.get("AlarmConfiguration", {})
    if not back["Enabled"] or "DEPLOYMENT_STOP_ON_ALARM" not in back["Events"] or not alarms.get("Enabled"):
        return "it does not go back when an alarm sounds"
    # CodeDeploy takes ten at most, and begins nothing while one of them sounds.
    named = [alarm["Name"]["Ref"] for alarm in alarms["Alarms"]]
    if not 1 <= len(named) <= 10 or any(resources[name]["Type"] != "AWS::CloudWatch::Alarm" for name in named):
        return f"alarms {named}"
    if "RolloutRole" not in str(group["ServiceRoleArn"]) or "CodeDeployServiceRole" in resources:
        return "its role has no boundary"
    return None


def lint(text, name, parameters):
    """Fails where cfn-lint finds an error in what CloudFormation would carry out; returns its resources. Not expanded first, which
    here, unlike at AWS, takes `Fn::Sub` away from around what it cannot replace."""
    folder = Path("target/deploy-proof/transformed")
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.json"
    template = translated(yaml_parse(text), parameters)
    file.write_text(json.dumps(template, indent=1))
    linted = subprocess.run(["cfn-lint", "--non-zero-exit-code", "error", str(file)], capture_output=True, text=True)
    if linted.returncode:
        sys.exit(f"{file}:\n{linted.stdout}{linted.stderr}")
    print(f"{file}: no errors")
    return template["Resources"]


def main():
    logging.disable(logging.WARNING)
    with open(sys.argv[1], encoding="utf-8") as file:
        # The transform wants uploaded code; `sam deploy` would have put such an address here.
        text = re.sub(r"(CodeUri|DefinitionUri): .*", r"\1: s3://bucket/key", file.read())
    for switch in ("on", "off"):
        routes = integrations(text, {"ResponseStreaming": switch})
        faults = [why for route, it in routes.items() if (why := fault(route, it, switch == "on"))]
        if faults:
            sys.exit(f"ResponseStreaming={switch}:\n  " + "\n  ".join(faults))
        streams = sum(it.get("responseTransferMode") == "STREAM" for it in routes.values())
        print(f"ResponseStreaming={switch}: {len(routes)} routes, {streams} of them streaming")
    for switch in ("true", "false"):
        lint(text, f"account-logging-{switch}", {"ConfigureAccountLogging": switch})
    if why := version_fault(text):
        sys.exit(why)
    print("what changes of a function publishes a version")
    for type in ("none", "Canary10Percent5Minutes"):
        parameters = {"DeploymentType": type, "Tracing": "Disabled" if type == "none" else "Active"}
        if why := rollout_fault(lint(text, f"deployment-{type}", parameters), type):
            sys.exit(f"DeploymentType={type}: {why}")


if __name__ == "__main__":
    main()
