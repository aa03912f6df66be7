"""Checks how updates roll out: docs/OPERATIONS.md, "Rolling out" and "Rolling back". No emulator has CodeDeploy, so what the
transforms make of the template is read."""

import logging
import sys

from samcli.yamlhelper import yaml_parse

from transform import of_type, resources, template_text, translated


def versions(text, parameters):
    """The version of each function that a deployment with these parameters publishes, by the name that SAM gives it."""
    return set(of_type(resources(text, parameters), "AWS::Lambda::Version"))


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


def rollout_fault(made, type):
    """Why an update would not roll out as it should with this type of deployment, or nothing."""
    functions = of_type(made, "AWS::Lambda::Function")
    aliases = of_type(made, "AWS::Lambda::Alias")
    if {alias["Properties"]["FunctionName"]["Ref"] for alias in aliases.values()} != set(functions):
        return f"functions without an alias, or aliases without a function: {sorted(aliases)}"
    # Calls of a function itself would go to the new code at once, and stay there when the alias goes back.
    for id, permission in of_type(made, "AWS::Lambda::Permission").items():
        if permission["Properties"]["FunctionName"].get("Ref") not in aliases:
            return f"{id} lets somebody call a function and not its alias"
    groups = of_type(made, "AWS::CodeDeploy::DeploymentGroup")
    if type == "none":
        moved = [id for id, alias in aliases.items() if "UpdatePolicy" in alias]
        return f"CodeDeploy takes part: {sorted(groups)}, {moved}" if groups or moved else None
    for id, alias in aliases.items():
        group = alias.get("UpdatePolicy", {}).get("CodeDeployLambdaAliasUpdate", {}).get("DeploymentGroupName", {}).get("Ref")
        if group not in groups:
            return f"{id} is moved without CodeDeploy"
        if why := group_fault(groups[group]["Properties"], made):
            return f"{group}: {why}"
    print(f"{len(groups)} deployment groups go back when an alarm sounds")
    return None


def group_fault(group, made):
    """Why a deployment group would not go back when an alarm sounds, or nothing."""
    back, alarms = group["AutoRollbackConfiguration"], group.get("AlarmConfiguration", {})
    if not back["Enabled"] or "DEPLOYMENT_STOP_ON_ALARM" not in back["Events"] or not alarms.get("Enabled"):
        return "it does not go back when an alarm sounds"
    # CodeDeploy takes ten at most, and begins nothing while one of them sounds.
    names = [alarm["Name"]["Ref"] for alarm in alarms["Alarms"]]
    if not 1 <= len(names) <= 10 or any(made[name]["Type"] != "AWS::CloudWatch::Alarm" for name in names):
        return f"alarms {names}"
    if "RolloutRole" not in str(group["ServiceRoleArn"]) or "CodeDeployServiceRole" in made:
        return "its role has no boundary"
    return None


def main():
    logging.disable(logging.WARNING)
    text = template_text(sys.argv[1])
    if why := version_fault(text):
        sys.exit(why)
    print("what changes of a function publishes a version")
    for type in ("none", "Canary10Percent5Minutes"):
        parameters = {"DeploymentType": type, "Tracing": "Disabled" if type == "none" else "Active"}
        # Not expanded first, which here, unlike at AWS, makes texts of references.
        made = translated(yaml_parse(text), parameters)["Resources"]
        if why := rollout_fault(made, type):
            sys.exit(f"DeploymentType={type}: {why}")


if __name__ == "__main__":
    main()
