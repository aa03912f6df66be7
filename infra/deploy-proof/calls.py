"""What IAM sees of the calls that the functions make."""

import json
import re
from dataclasses import dataclass, replace

from emulators import Failure
from iam import Call
from stack import ALIAS

# What a secret's ARN ends with, after its name. Of a secret that is not there, nobody knows more than the name.
SUFFIX = "-a1B2c3"

# What a part of a transaction needs the right for.
PARTS = {
    "ConditionCheck": "dynamodb:ConditionCheckItem",
    "Delete": "dynamodb:DeleteItem",
    "Put": "dynamodb:PutItem",
    "Update": "dynamodb:UpdateItem",
}
OF_ONE_ITEM = {"DeleteItem", "GetItem", "PutItem", "UpdateItem"}
ANSWERS = {"SendTaskFailure", "SendTaskHeartbeat", "SendTaskSuccess"}


@dataclass(frozen=True)
class Sent:
    """A request that somebody sent to AWS."""

    key_id: str
    service: str
    method: str
    path: str
    target: str
    body: bytes

    @property
    def operation(self):
        """What is asked for; of a service with paths there is only the method."""
        return self.target.rpartition(".")[2]

    def json(self):
        return json.loads(self.body or b"{}")


class Account:
    """What has to be known of an account to tell what a call is about."""

    def __init__(self, region, number, partition_keys, machine_of, samples=None):
        """`partition_keys` has the attributes that are the partition keys of tables and of their indexes, by pairs of a table's
        name and an index's, which is `None` for the table. `machine_of(token)` is the ARN of the state machine that gave out
        a task token; `None` if none did. `samples` are ARNs that stand for others."""
        self._number, self._region = number, region
        self._partition_keys, self._machine_of = partition_keys, machine_of
        self._samples = samples or {}

    def arn(self, service, resource):
        return f"arn:aws:{service}:{self._region}:{self._number}:{resource}"

    def role(self, name):
        return f"arn:aws:iam::{self._number}:role/{name}"

    def path(self, path):
        """What API Gateway's own API has at a path."""
        return f"arn:aws:apigateway:{self._region}::{path}"

    def calls(self, sent):
        """What IAM judges of one request: a transaction is judged by its parts, for instance."""
        judged = {
            "apigateway": self._of_api_gateway,
            "dynamodb": self._of_table,
            "events": self._of_bus,
            "secretsmanager": self._of_secret,
            "states": self._of_workflow,
        }.get(sent.service)
        if judged is None:
            raise Failure(f"a call of {sent.service}, of which nothing is known here: {sent}")
        return [replace(call, resource=self._real(call.resource)) for call in judged(sent)]

    def _real(self, arn):
        """The ARN of what exists, for that of a sample."""
        for sample, real in self._samples.items():
            if arn == sample or arn.startswith((f"{sample}:", f"{sample}/")):
                return real + arn.removeprefix(sample)
        return arn

    # ── DynamoDB ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _of_table(self, sent):
        body, name = sent.json(), sent.operation
        if name in OF_ONE_ITEM:
            yield self._of_items(f"dynamodb:{name}", body["TableName"], [body.get("Key") or body["Item"]])
        elif name == "BatchGetItem":
            for table, asked in body["RequestItems"].items():
                yield self._of_items("dynamodb:BatchGetItem", table, asked["Keys"])
        elif name == "TransactGetItems":
            for part in body["TransactItems"]:
                yield self._of_items("dynamodb:GetItem", part["Get"]["TableName"], [part["Get"]["Key"]])
        elif name == "TransactWriteItems":
            for part in body["TransactItems"]:
                ((kind, of),) = part.items()
                yield self._of_items(PARTS[kind], of["TableName"], [of.get("Key") or of["Item"]])
        elif name == "Query":
            yield self._of_query(body)
        else:
            raise Failure(f"a call of the table of which nothing is known here: {name}")

    def _of_items(self, action, table, items):
        key = self._partition_keys[table, None]
        return self._of_partitions(action, f"table/{table}", [item[key] for item in items])

    def _of_query(self, body):
        table, index = body["TableName"], body.get("IndexName")
        attribute = self._partition_keys[table, index]
        names, values = body.get("ExpressionAttributeNames", {}), body.get("ExpressionAttributeValues", {})
        compared = re.findall(r"([#\w.-]+)\s*=\s*(:\w+)", body["KeyConditionExpression"])
        partitions = [values[value] for name, value in compared if names.get(name, name) == attribute]
        if len(partitions) != 1:
            raise Failure(f"a query without the partition that it is about: {body}")
        of = f"table/{table}/index/{index}" if index else f"table/{table}"
        return self._of_partitions("dynamodb:Query", of, partitions)

    def _of_partitions(self, action, of, partitions):
        leading = tuple(sorted({partition["S"] for partition in partitions}))
        return Call(action, self.arn("dynamodb", of), {"dynamodb:LeadingKeys": leading})

    # ── Secrets Manager ─────────────────────────────────────────────────────────────────────────────────────────────

    def _of_secret(self, sent):
        body = sent.json()
        name = body.get("SecretId") or body["Name"]
        if name.startswith("arn:"):
            arns = [name]
        else:
            # Whether the secret is there or not, the caller is to hear it.
            arns = [self.arn("secretsmanager", f"secret:{name}{suffix}") for suffix in ("", SUFFIX)]
        for arn in arns:
            yield Call(f"secretsmanager:{sent.operation}", arn)

    # ── Step Functions ──────────────────────────────────────────────────────────────────────────────────────────────

    def _of_workflow(self, sent):
        body = sent.json()
        if sent.operation in ANSWERS:
            # The right to answer a task is one on the state machine that asks.
            of = self._machine_of(body["taskToken"])
        else:
            of = body.get("stateMachineArn") or body["executionArn"]
        if of:
            yield Call(f"states:{sent.operation}", of)

    # ── EventBridge and API Gateway ─────────────────────────────────────────────────────────────────────────────────

    def _of_bus(self, sent):
        if sent.operation != "PutEvents":
            raise Failure(f"a call of EventBridge of which nothing is known here: {sent.operation}")
        for entry in sent.json()["Entries"]:
            bus = entry.get("EventBusName", "default")
            keys = {"events:source": entry["Source"], "events:detail-type": entry["DetailType"]}
            yield Call("events:PutEvents", bus if bus.startswith("arn:") else self.arn("events", f"event-bus/{bus}"), keys)

    def _of_api_gateway(self, sent):
        """Its resources are the paths of its own API, and its actions the methods."""
        yield Call(f"apigateway:{sent.method}", self.path(sent.path.partition("?")[0]))


def of_machine(definition, entered):
    """The calls that a state machine makes to invoke functions in the states that an execution has entered."""
    for name in entered:
        state = definition["States"][name]
        if state["Type"] == "Task" and ":lambda:invoke" in state["Resource"]:
            function = state["Parameters"]["FunctionName"]
            # Executions that began before there were aliases go on, and call without one.
            for called in dict.fromkeys((function, function.removesuffix(f":{ALIAS}"))):
                yield Call("lambda:InvokeFunction", called)


def of_task(cluster, task_definition, roles):
    """The calls of a state machine that runs a task: each role of the task is handed on to ECS."""
    yield Call("ecs:RunTask", task_definition, {"ecs:cluster": cluster})
    for role in roles:
        yield Call("iam:PassRole", role, {"iam:PassedToService": "ecs-tasks.amazonaws.com"})
