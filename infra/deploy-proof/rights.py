"""The rights of the deployed roles, as the emulator keeps them."""

import contextlib
import hashlib
import json

import boto3

from calls import ANSWERS
from checks import equal
from iam import is_allowed, read_policy
from stack import ALIAS, CALL_OUTWARD

IN_THE_EMULATOR = "answers-in-the-emulator"
DENIED = "denied-by-the-proof"

# What SAM gives every function: the right to write its log, which Lambda does for it.
OF_EVERY_FUNCTION = ["AWSLambdaBasicExecutionRole"]
# What it gives those that call outward, for these may be in a VPC. The emulator carries the transforms out in such an order that they have it without
# one as well.
IN_A_VPC = "AWSLambdaVPCAccessExecutionRole"


class Rights:
    """What the stack's roles may do."""

    def __init__(self, stack, outputs, endpoint):
        self._outputs = outputs
        self._iam = boto3.client("iam", endpoint_url=endpoint)
        self._functions = boto3.client("lambda", endpoint_url=endpoint)
        self._states = boto3.client("stepfunctions", endpoint_url=endpoint)
        pages = boto3.client("cloudformation", endpoint_url=endpoint).get_paginator("list_stack_resources")
        self._resources = [
            resource for page in pages.paginate(StackName=stack) for resource in page["StackResourceSummaries"]
        ]

    def let_answers_pass(self):
        """Gives each function the right to answer tasks of any state machine, where it may answer those of ours.

        AWS knows to which state machine a task token belongs, and checks the right for that one. The emulator does
        not, and finds the right only where it is for all of them.
        """
        for output in ("CallbacksFunctionName", "CatalogFunctionName", "JanitorFunctionName"):
            role = self._role_of(self._outputs[output])
            given = {action for statement in self._statements(role) for action in statement.actions}
            self._put(role, IN_THE_EMULATOR, "Allow", sorted(f"states:{name}" for name in ANSWERS if f"states:{name}" in given))

    @contextlib.contextmanager
    def denied(self, function, *actions):
        """Takes rights away from a function for as long as the `with` block lasts."""
        role = self._role_of(function)
        self._put(role, DENIED, "Deny", actions)
        try:
            yield
        finally:
            self._iam.delete_role_policy(RoleName=role, PolicyName=DENIED)

    def insist_on_calls(self, machine, calls):
        """A state machine may make these calls."""
        statements = self.policies()[machine]
        refused = [str(call) for call in calls if not is_allowed(call, statements)]
        equal(refused, [], f"what {machine} may not do")

    def policies(self):
        """What each function and each state machine may do by the template: its statements, by its logical id."""
        roles = {name: self._role_of(function) for name, function in self.functions().items()}
        for name, arn in self._of_type("AWS::StepFunctions::StateMachine"):
            roles[name] = name_of(self._states.describe_state_machine(stateMachineArn=arn)["roleArn"])
        for name, role in roles.items():
            attached = self._iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]
            names = {policy["PolicyName"] for policy in attached} - ({IN_A_VPC} if name in CALL_OUTWARD else set())
            wanted = OF_EVERY_FUNCTION if name in self.functions() else []
            equal(sorted(names), wanted, f"the policies of AWS that {name} has")
        return {name: self._statements(role) for name, role in roles.items()}

    def functions(self):
        """The names of the functions, by their logical ids."""
        return dict(self._of_type("AWS::Lambda::Function"))

    def key_ids(self):
        """The ids of the access keys that the emulator gives to functions, with whose they are."""
        ids = {}
        for logical_id, name in self.functions().items():
            function = self._functions.get_function_configuration(FunctionName=name)
            versions = self._functions.list_versions_by_function(FunctionName=name)["Versions"]
            arn = function["FunctionArn"]
            # Each version has another, and so has who is called by the alias itself.
            for called in {arn, f"{arn}:{ALIAS}", *(version["FunctionArn"] for version in versions)}:
                seed = f"{called}:{function['Role']}"
                ids[f"ASIA{hashlib.sha256(seed.encode()).hexdigest()[:16].upper()}"] = logical_id
        return ids

    def _of_type(self, kind):
        return [
            (resource["LogicalResourceId"], resource["PhysicalResourceId"])
            for resource in self._resources
            if resource["ResourceType"] == kind
        ]

    def _statements(self, role):
        """The statements that the template has given a role."""
        names = self._iam.list_role_policies(RoleName=role)["PolicyNames"]
        return [
            statement
            for name in names
            if name not in (IN_THE_EMULATOR, DENIED)
            for statement in read_policy(self._iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"])
        ]

    def _role_of(self, function):
        return name_of(self._functions.get_function_configuration(FunctionName=function)["Role"])

    def _put(self, role, name, effect, actions):
        statement = {"Effect": effect, "Action": list(actions), "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self._iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=document)


def name_of(arn):
    return arn.rsplit("/", 1)[-1]
