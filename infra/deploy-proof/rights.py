"""The rights of the deployed roles, as the emulator keeps them."""

import contextlib
import hashlib
import json

import boto3

from checks import equal
from rollout import ALIAS

ANSWERS = {"states:SendTaskFailure", "states:SendTaskHeartbeat", "states:SendTaskSuccess"}

# What a part of a transaction needs the right for.
PARTS = {
    "dynamodb:ConditionCheckItem": "ConditionCheck",
    "dynamodb:DeleteItem": "Delete",
    "dynamodb:PutItem": "Put",
    "dynamodb:UpdateItem": "Update",
}


class Rights:
    """What the stack's roles may do."""

    def __init__(self, outputs, endpoint):
        self._outputs = outputs
        self._iam = boto3.client("iam", endpoint_url=endpoint)
        self._functions = boto3.client("lambda", endpoint_url=endpoint)
        self._states = boto3.client("stepfunctions", endpoint_url=endpoint)
        self._trail = boto3.client("cloudtrail", endpoint_url=endpoint)

    def let_answers_pass(self):
        """Gives each function the right to answer tasks of any state machine, where it may answer those of ours.

        AWS knows to which state machine a task token belongs, and checks the right for that one. The emulator does
        not, and finds the right only where it is for all of them.
        """
        for output in ("CallbacksFunctionName", "CatalogFunctionName", "JanitorFunctionName"):
            role = self._role_of(self._outputs[output])
            actions = sorted(ANSWERS & self._actions(role))
            self._put(role, "answers-in-the-emulator", "Allow", actions)

    @contextlib.contextmanager
    def denied(self, function, *actions):
        """Takes rights away from a function for as long as the `with` block lasts."""
        role, name = self._role_of(function), "denied-by-the-proof"
        self._put(role, name, "Deny", actions)
        try:
            yield
        finally:
            self._iam.delete_role_policy(RoleName=role, PolicyName=name)

    def insist_on_machines(self, cluster):
        """The state machines may invoke their functions and run the provisioner, and no more: the emulator does not
        check what they do, so what they may do is read."""
        # By their aliases, and without one, as executions call them that began before there were any.
        callbacks, deployer = (
            {("lambda:InvokeFunction", arn), ("lambda:InvokeFunction", f"{arn}:{ALIAS}")}
            for arn in (
                self._functions.get_function_configuration(FunctionName=self._outputs[name])["FunctionArn"]
                for name in ("CallbacksFunctionName", "DeployerFunctionName")
            )
        )
        wanted = {
            "ProvisionStateMachineArn": {
                *callbacks,
                # Executions that are under way go on with an older revision.
                ("ecs:RunTask", f"{cluster.task_definition.rsplit(':', 1)[0]}:*"),
                ("iam:PassRole", cluster.task_role),
                ("iam:PassRole", cluster.execution_role),
            },
            "DeployStateMachineArn": callbacks | deployer,
        }
        for output, rights in wanted.items():
            machine = self._states.describe_state_machine(stateMachineArn=self._outputs[output])
            equal(self._rights(name_of(machine["roleArn"])), rights, f"the rights of {machine['name']}")
        machine = self._states.describe_state_machine(stateMachineArn=self._outputs["ProvisionStateMachineArn"])
        conditions = [
            statement.get("Condition")
            for statement in self._statements(name_of(machine["roleArn"]))
            if "ecs:RunTask" in as_list(statement["Action"])
        ]
        equal(conditions, [{"ArnEquals": {"ecs:cluster": cluster.arn}}], "where workers may be run")

    def insist_on_use(self, function, spared=frozenset()):
        """A function has used each of its rights by now, but perhaps for those that the proof need not give it a
        reason to use."""
        configuration = self._functions.get_function_configuration(FunctionName=self._outputs[function])
        versions = self._functions.list_versions_by_function(FunctionName=self._outputs[function])["Versions"]
        # The emulator has another key for each version, and for whom is called by the alias itself.
        called = [version["FunctionArn"] for version in versions] + [f"{configuration['FunctionArn']}:{ALIAS}"]
        keys = [access_key(function, configuration["Role"]) for function in called]
        calls = lambda name: [call for key in keys for call in self._calls(key, name)]  # noqa: E731
        transactions = [part for call in calls("TransactWriteItems") for part in call["TransactItems"]]

        def used(action):
            in_transaction = any(PARTS.get(action) in part for part in transactions)
            return in_transaction or bool(calls(action.split(":")[1]))

        actions = self._actions(name_of(configuration["Role"]))
        unused = {action for action in actions - spared if not used(action)}
        equal(unused, set(), f"rights that {function} did not use")

    def _calls(self, key, name):
        """The parameters of the last calls of an action that were made with an access key."""
        attributes = [
            {"AttributeKey": "EventName", "AttributeValue": name},
            {"AttributeKey": "AccessKeyId", "AttributeValue": key},
        ]
        events = self._trail.lookup_events(LookupAttributes=attributes)["Events"]
        return [json.loads(event["CloudTrailEvent"])["requestParameters"] for event in events]

    def _actions(self, role):
        """The actions that a role's own policies allow."""
        return {action for action, _ in self._rights(role)}

    def _rights(self, role):
        return {
            (action, resource)
            for statement in self._statements(role)
            for action in as_list(statement["Action"])
            for resource in as_list(statement["Resource"])
        }

    def _statements(self, role):
        return [
            statement
            for name in self._iam.list_role_policies(RoleName=role)["PolicyNames"]
            for statement in self._iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]["Statement"]
        ]

    def _role_of(self, function):
        return name_of(self._functions.get_function_configuration(FunctionName=function)["Role"])

    def _put(self, role, name, effect, actions):
        statement = {"Effect": effect, "Action": list(actions), "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self._iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=document)


def access_key(function, role):
    """The access key that the emulator makes for a function, as it is called, and its role."""
    return f"ASIA{hashlib.sha256(f'{function}:{role}'.encode()).hexdigest()[:16].upper()}"


def as_list(value):
    return value if isinstance(value, list) else [value]


def name_of(arn):
    return arn.rsplit("/", 1)[-1]
