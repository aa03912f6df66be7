"""Updates that move each function's alias to its new version, the way back, and what is left of a deleted stack."""

import json

import boto3
from botocore.exceptions import ClientError

from checks import check, equal, section, until
from emulators import Failure
from stack import ALIAS


def change_code(stage, function):
    """Other code of a function in the stage folder: the same program with a byte behind it, which nothing reads."""
    with (stage / f"target/lambda/{function}/bootstrap").open("ab") as program:
        program.write(b"\n")


class Aliases:
    """To which versions the aliases of the stack's functions point."""

    def __init__(self, outputs, endpoint):
        self._names = {key: name for key, name in outputs.items() if key.endswith("FunctionName")}
        self._functions = boto3.client("lambda", endpoint_url=endpoint)

    def versions(self):
        return {key: self.version(key) for key in self._names}

    def version(self, key):
        return self._functions.get_alias(FunctionName=self._names[key], Name=ALIAS)["FunctionVersion"]

    def move(self, key, version):
        """What CodeDeploy does, at the end of an update and when an alarm sounds."""
        self._functions.update_alias(FunctionName=self._names[key], Name=ALIAS, FunctionVersion=version)

    def code(self, key, qualifier):
        return self._functions.get_function_configuration(FunctionName=self._names[key], Qualifier=qualifier)["CodeSha256"]

    def answer(self, key, qualifier, event):
        """The status with which a version answers an event of API Gateway."""
        invoked = self._functions.invoke(FunctionName=self._names[key], Qualifier=qualifier, Payload=event)
        return json.loads(invoked["Payload"].read()).get("statusCode")


def follow_update(aliases, before, changed):
    """After an update that brought other code for one function: its alias alone has moved, and the version before it is
    still there and answers, so that calls could go to both and all of them back."""
    after = aliases.versions()
    with check("the alias of the function with other code points to its new version, and no other has moved"):
        moved = {key for key in after if after[key] != before[key]}
        equal(moved, {changed}, "aliases that moved")
        if aliases.code(changed, after[changed]) == aliases.code(changed, before[changed]):
            raise Failure("both versions have the same code")
    return before[changed], after[changed]


def go_back_and_forth(aliases, key, old, new, event, api):
    """The way back as far as the emulator goes, which has no CodeDeploy and gives an alias one version at a time."""
    section("There and back")
    with check("the version before the update answers, and so does the new one"):
        for version in (old, new):
            equal(aliases.answer(key, version, event), 200, f"version {version}")
    for version in (old, new):
        with check(f"with its alias at version {version} the API answers"):
            aliases.move(key, version)
            until("its answer", lambda: api.get("/health").status == 200)


def delete_stack(name, endpoint):
    """Deletes the stack; what is left is what the template says, and what the functions have made besides."""
    section("The end of the stack")
    formation = boto3.client("cloudformation", endpoint_url=endpoint)
    # By its id a stack is known also when it is deleted.
    name = formation.describe_stacks(StackName=name)["Stacks"][0]["StackId"]
    resources = formation.get_paginator("list_stack_resources").paginate(StackName=name)
    made = {each["LogicalResourceId"]: each for page in resources for each in page["StackResourceSummaries"]}
    template = formation.get_template(StackName=name, TemplateStage="Processed")["TemplateBody"]
    template = template if isinstance(template, dict) else json.loads(template)
    wanted = {id for id, each in template["Resources"].items() if each.get("DeletionPolicy") == "Retain" and id in made}
    asked = {id for id, each in made.items() if each["ResourceType"] in {*ASK, *LISTED}}
    with check("all that is looked for afterwards is there"):
        equal({id for id in made if is_there(made[id], endpoint)}, asked, "what is there")
    with check("it is deleted"):
        formation.delete_stack(StackName=name)
        until("the end of its deletion", lambda: status(formation, name) != "DELETE_IN_PROGRESS", 120)
        equal(status(formation, name), "DELETE_COMPLETE", "the stack")
    with check("what the template retains is there, and nothing else of it") as line:
        # A version goes with its function, whatever it says itself.
        kept = {id for id in wanted if made[id]["ResourceType"] != "AWS::Lambda::Version"}
        left = {id for id in made if is_there(made[id], endpoint)}
        equal(left, kept, "what is left")
        line.append(", ".join(sorted(left)))


def status(formation, stack):
    return formation.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]


# How to ask for what a stack makes, by its type: the client, the call, and the parameter that names it.
ASK = {
    "AWS::DynamoDB::Table": ("dynamodb", "describe_table", "TableName"),
    "AWS::IAM::Role": ("iam", "get_role", "RoleName"),
    "AWS::Lambda::Function": ("lambda", "get_function", "FunctionName"),
    "AWS::SecretsManager::Secret": ("secretsmanager", "describe_secret", "SecretId"),
    "AWS::ApiGateway::RestApi": ("apigateway", "get_rest_api", "restApiId"),
    "AWS::Events::EventBus": ("events", "describe_event_bus", "Name"),
    "AWS::StepFunctions::StateMachine": ("stepfunctions", "describe_state_machine", "stateMachineArn"),
    "AWS::CloudWatch::Dashboard": ("cloudwatch", "get_dashboard", "DashboardName"),
}
LISTED = {"AWS::CloudWatch::Alarm", "AWS::Logs::LogGroup"}
GONE = {
    "404",
    "NoSuchEntity",
    "NotFound",
    "NotFoundException",
    "ResourceNotFound",
    "ResourceNotFoundException",
    "StateMachineDoesNotExist",
}


def is_there(resource, endpoint):
    """Whether something that the stack made is still there; of a kind that is never asked for, it is taken to be gone."""
    kind, id = resource["ResourceType"], resource["PhysicalResourceId"]
    if kind == "AWS::Logs::LogGroup":
        groups = boto3.client("logs", endpoint_url=endpoint).describe_log_groups(logGroupNamePrefix=id)["logGroups"]
        return any(group["logGroupName"] == id for group in groups)
    if kind == "AWS::CloudWatch::Alarm":
        return bool(boto3.client("cloudwatch", endpoint_url=endpoint).describe_alarms(AlarmNames=[id])["MetricAlarms"])
    if kind not in ASK:
        return False
    service, call, parameter = ASK[kind]
    try:
        getattr(boto3.client(service, endpoint_url=endpoint), call)(**{parameter: id})
        return True
    except ClientError as error:
        if error.response["Error"]["Code"] in GONE:
            return False
        raise
