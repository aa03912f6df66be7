"""The deployed catalog as the proof uses it, and what it insists on where an operation has ended."""

import json
import secrets
from datetime import datetime, timedelta, timezone

import boto3

from checks import equal, until
from emulators import Failure
from stack import ALIAS

TENANT = "example"
ENDINGS = ("succeeded", "failed", "cancelled", "rejected", "timed_out")


class Catalog:
    """The API for those who ask and those who decide, and a look behind it."""

    def __init__(self, outputs, endpoint, cluster, rights, api, creates, asks, decides):
        self.outputs, self.cluster, self.rights = outputs, cluster, rights
        self.api, self.creates, self.asks, self.decides = api, creates, asks, decides
        self.dynamodb = boto3.client("dynamodb", endpoint_url=endpoint)
        self.states = boto3.client("stepfunctions", endpoint_url=endpoint)
        self.functions = boto3.client("lambda", endpoint_url=endpoint)
        self.secrets = boto3.client("secretsmanager", endpoint_url=endpoint)

    def create(self, name, environments):
        """Makes a service with these environments, each given as what it has besides a name."""
        specs = [{"name": key, "category": "dev", **spec} for key, spec in environments.items()]
        body = {"tenant": TENANT, "name": name, "project": "example", "owner": "team-proof", "environments": specs}
        made = self.creates.post("/services", body, {"Idempotency-Key": f"proof-{name}"}).expect(201)
        return Service(self, made.json()["service"]["id"], name)

    def item(self, partition, sort):
        """What stands in the table under a key."""
        key = {"pk": {"S": partition}, "sk": {"S": sort}}
        return self.dynamodb.get_item(TableName=self.outputs["TableName"], Key=key, ConsistentRead=True).get("Item")

    def rewrite(self, partition, sort, attribute, value):
        """Changes an attribute behind the back of the functions; dots lead into maps."""
        # Names by number, since some are reserved words.
        names = {f"#{place}": name for place, name in enumerate(attribute.split("."))}
        self.dynamodb.update_item(
            TableName=self.outputs["TableName"],
            Key={"pk": {"S": partition}, "sk": {"S": sort}},
            UpdateExpression=f"SET {'.'.join(names)} = :value",
            ExpressionAttributeNames=names,
            ExpressionAttributeValues={":value": {"S": value}},
        )

    def machine(self, kind):
        """The ARN of the state machine that drives operations of a kind."""
        return self.outputs["DeployStateMachineArn" if kind == "deploy" else "ProvisionStateMachineArn"]

    def sweep(self):
        """Calls the janitor, as the schedule does; returns its report."""
        answer = self.functions.invoke(FunctionName=self.outputs["JanitorFunctionName"], Qualifier=ALIAS, Payload=b"{}")
        report = json.loads(answer["Payload"].read())
        if "errorMessage" in report:
            raise Failure(f"the sweep failed: {report}")
        return report

    def denied(self, function, *actions):
        """Takes rights away from a function for as long as the `with` block lasts."""
        return self.rights.denied(self.outputs[function], *actions)


def ago(minutes):
    """A time in the past, as the table has it."""
    then = datetime.now(timezone.utc) - timedelta(minutes=minutes)
    return then.strftime("%Y-%m-%dT%H:%M:%SZ")


class Service:
    """A service of the catalog."""

    def __init__(self, catalog, service_id, name):
        self.catalog, self.id, self.name = catalog, service_id, name
        self.path = f"/services/{service_id}"

    def ask(self, action, environment, **given):
        """Asks for an operation, which goes on."""
        headers = {"Idempotency-Key": f"proof-{secrets.token_hex(8)}"}
        body = {"environment": environment, **given}
        answer = self.catalog.asks.post(f"{self.path}/actions/{action}", body, headers).expect(202)
        shown = answer.json()["operation"]
        equal((shown["kind"], shown["status"]), (action, "queued"), "the operation")
        equal(answer.headers["location"], f"../operations/{shown['id']}", "location")
        return Operation(self, shown)

    def outlive(self, name):
        """Makes the time of an environment be over."""
        key = (f"SERVICE#{self.id}", f"SERVICE#ENVIRONMENT#{name}")
        place = self.catalog.item(*key)["gsi1sk"]["S"]
        self.catalog.rewrite(*key, "infrastructure.ends_at", ago(minutes=1))
        self.catalog.rewrite(*key, "gsi1sk", "#".join([ago(minutes=1), *place.split("#")[1:]]))

    def running(self, name):
        """The operation that goes on in an environment."""
        return Operation(self, self.environment(name)["running"])

    def environment(self, name):
        """How an environment stands, over the API."""
        status = self.catalog.asks.get(f"{self.path}/actions/status").expect(200).json()
        return next(entry for entry in status["environments"] if entry["name"] == name)


class Operation:
    """An operation that was asked for."""

    def __init__(self, service, shown):
        self.service, self.catalog = service, service.catalog
        self.id, self.kind, self.environment = shown["id"], shown["kind"], shown["environment"]
        self.path = f"{service.path}/operations/{self.id}"

    def show(self):
        return self.catalog.asks.get(self.path).expect(200).json()["operation"]

    def worker(self, attempt, task_definition=None):
        """The worker of an attempt, of this revision of the task definition or the newest."""
        return self.catalog.cluster.worker(self.catalog.api, self.id, attempt, task_definition)

    def decide(self, answer, comment=None):
        """Somebody else approves or rejects it, as soon as it waits for that."""
        self.reach("awaiting_approval")
        body = {"comment": comment} if comment else {}
        return self.catalog.decides.post(f"{self.path}/{answer}", body).expect(200).json()["operation"]

    def cancel(self):
        return self.catalog.asks.post(f"{self.path}/cancel").expect(202).json()["operation"]

    def reach(self, *statuses):
        """Waits until it stands like this; that it ended in another way fails at once."""

        def look():
            shown = self.show()
            if shown["status"] in ENDINGS and shown["status"] not in statuses:
                raise Failure(f"wanted {' or '.join(statuses)}: {json.dumps(shown, indent=1)}")
            return shown["status"] in statuses and shown

        return until(f"{self.kind} {self.id} being {' or '.join(statuses)}", look, 90)

    def ended(self, status, reason=None, execution=("FAILED", "OperationNotDone")):
        """Insists that it ended like this everywhere: over the API, in the table, in the workflow engine, and with
        its environment free for others. Returns what the API shows."""
        shown = self.reach(status)
        if reason and reason not in shown.get("reason", ""):
            raise Failure(f"the reason should say {reason!r}: {shown.get('reason')!r}")
        record = self.record()
        ending = record["state"]["M"]
        equal((ending["is"]["S"], ending["ending"]["S"]), ("ended", status), "the record's state")
        lock = f"SERVICE#ENVIRONMENT#{self.environment}"
        equal("running" in self.catalog.item(f"SERVICE#{self.service.id}", lock), False, "whether it is still locked")
        wanted = ("SUCCEEDED", None) if status == "succeeded" else execution
        ended = self.execution_ended() if wanted else self.execution()
        equal(ended and (ended["status"], ended.get("error")), wanted, "the execution")
        # Crossed out after the workflow was told, which is after the operation's end.
        pointer = lambda: self.catalog.item("OPEN_OPERATIONS", self.id) is None  # noqa: E731
        until("the operation being crossed out", pointer)
        return shown

    def record(self):
        """What stands of it in the table."""
        return self.catalog.item(f"OPERATION#{self.id}", "OPERATION")

    def age(self, attribute, minutes):
        """Moves a time of its record into the past."""
        self.catalog.rewrite(f"OPERATION#{self.id}", "OPERATION", attribute, ago(minutes))

    def execution(self):
        """Its execution; `None` where there is none."""
        arn = self.catalog.machine(self.kind).replace(":stateMachine:", ":execution:") + f":{self.id}"
        try:
            return self.catalog.states.describe_execution(executionArn=arn)
        except self.catalog.states.exceptions.ExecutionDoesNotExist:
            return None

    def execution_ended(self):
        """Its execution, as soon as that has ended."""

        def look():
            execution = self.execution()
            return execution and execution["status"] != "RUNNING" and execution

        return until(f"the end of the execution of {self.id}", look, 60)

    def history(self):
        """What its execution did: the states that it entered."""
        arn = self.execution()["executionArn"]
        pages = self.catalog.states.get_paginator("get_execution_history").paginate(executionArn=arn)
        events = [event for page in pages for event in page["events"]]
        return [event["stateEnteredEventDetails"]["name"] for event in events if "stateEnteredEventDetails" in event]
