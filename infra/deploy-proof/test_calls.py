"""That each call is seen as AWS shows it to IAM."""

import json
import unittest

from calls import Account, Sent, of_machine, of_task
from emulators import Failure
from iam import Call
from recorder import sent

TABLE, INDEX = "arn:aws:dynamodb:eu-west-1:123456789012:table/t", "arn:aws:dynamodb:eu-west-1:123456789012:table/t/index/gsi1"
SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:"
MACHINE = "arn:aws:states:eu-west-1:123456789012:stateMachine:provision"


def machine_of(token):
    return {"known": MACHINE, "sample": None}[token]


ACCOUNT = Account("eu-west-1", "123456789012", {("t", None): "pk", ("t", "gsi1"): "gsi1pk"}, machine_of, {"arn:nobody": MACHINE})


def calls(service, operation, **body):
    return ACCOUNT.calls(Sent("ASIA1", service, "POST", "/", f"Version.{operation}", json.dumps(body).encode()))


def key(partition):
    return {"pk": {"S": partition}, "sk": {"S": "x"}}


class Table(unittest.TestCase):
    def insist(self, made, *wanted):
        got = [(call.action.removeprefix("dynamodb:"), call.resource, call.keys["dynamodb:LeadingKeys"]) for call in made]
        self.assertEqual(got, list(wanted))

    def test_items(self):
        for operation in ("GetItem", "UpdateItem", "DeleteItem"):
            self.insist(calls("dynamodb", operation, TableName="t", Key=key("A")), (operation, TABLE, ("A",)))
        self.insist(calls("dynamodb", "PutItem", TableName="t", Item=key("A")), ("PutItem", TABLE, ("A",)))

    def test_several_items(self):
        asked = {"t": {"Keys": [key("B"), key("A"), key("B")]}}
        self.insist(calls("dynamodb", "BatchGetItem", RequestItems=asked), ("BatchGetItem", TABLE, ("A", "B")))

    def test_a_transaction_is_judged_by_its_parts(self):
        parts = [
            {"Put": {"TableName": "t", "Item": key("A")}},
            {"Update": {"TableName": "t", "Key": key("B")}},
            {"Delete": {"TableName": "t", "Key": key("C")}},
            {"ConditionCheck": {"TableName": "t", "Key": key("D")}},
        ]
        self.insist(
            calls("dynamodb", "TransactWriteItems", TransactItems=parts),
            ("PutItem", TABLE, ("A",)),
            ("UpdateItem", TABLE, ("B",)),
            ("DeleteItem", TABLE, ("C",)),
            ("ConditionCheckItem", TABLE, ("D",)),
        )
        parts = [{"Get": {"TableName": "t", "Key": key("A")}}]
        self.insist(calls("dynamodb", "TransactGetItems", TransactItems=parts), ("GetItem", TABLE, ("A",)))

    def test_a_query_is_about_the_partition_of_the_table_or_of_the_index(self):
        values = {":a": {"S": "A"}, ":b": {"S": "B"}}
        query = {"TableName": "t", "ExpressionAttributeValues": values}
        plain = calls("dynamodb", "Query", KeyConditionExpression="pk = :a AND begins_with(sk, :b)", **query)
        self.insist(plain, ("Query", TABLE, ("A",)))
        names = {"#p": "gsi1pk", "#s": "gsi1sk"}
        of_index = calls(
            "dynamodb",
            "Query",
            IndexName="gsi1",
            KeyConditionExpression="#s=:b AND #p=:a",
            ExpressionAttributeNames=names,
            **query,
        )
        self.insist(of_index, ("Query", INDEX, ("A",)))

    def test_what_cannot_be_told_is_a_failure(self):
        for operation, body in (
            ("Query", {"TableName": "t", "KeyConditionExpression": "sk = :a", "ExpressionAttributeValues": {":a": {"S": "A"}}}),
            ("Scan", {"TableName": "t"}),
            ("ExecuteStatement", {"Statement": "SELECT * FROM t"}),
        ):
            with self.assertRaises(Failure):
                calls("dynamodb", operation, **body)


class Others(unittest.TestCase):
    def test_a_secret_has_its_name_or_that_and_six_characters(self):
        wanted = [f"{SECRET}gatehouse/dev/a", f"{SECRET}gatehouse/dev/a-a1B2c3"]
        for member in ("SecretId", "Name"):
            made = calls("secretsmanager", "GetSecretValue", **{member: "gatehouse/dev/a"})
            self.assertEqual([call.resource for call in made], wanted)
        (made,) = calls("secretsmanager", "DeleteSecret", SecretId=wanted[1])
        self.assertEqual(made, Call("secretsmanager:DeleteSecret", wanted[1]))

    def test_executions(self):
        started = Call("states:StartExecution", MACHINE)
        self.assertEqual(calls("states", "StartExecution", stateMachineArn=MACHINE), [started])
        self.assertEqual(calls("states", "StartExecution", stateMachineArn="arn:nobody"), [started])
        execution = MACHINE.replace("stateMachine", "execution") + ":op_1"
        for operation in ("DescribeExecution", "StopExecution"):
            self.assertEqual(calls("states", operation, executionArn=execution), [Call(f"states:{operation}", execution)])

    def test_a_task_is_answered_to_the_machine_that_asked(self):
        for operation in ("SendTaskSuccess", "SendTaskFailure", "SendTaskHeartbeat"):
            self.assertEqual(calls("states", operation, taskToken="known"), [Call(f"states:{operation}", MACHINE)])
            self.assertEqual(calls("states", operation, taskToken="sample"), [])

    def test_each_event_goes_to_its_bus(self):
        entry = {"Source": "gatehouse", "DetailType": "Token ends", "Detail": "{}"}
        made = calls("events", "PutEvents", Entries=[entry | {"EventBusName": "ours"}, entry])
        self.assertEqual([call.resource.rpartition(":")[2] for call in made], ["event-bus/ours", "event-bus/default"])
        self.assertEqual(made[0].keys, {"events:source": "gatehouse", "events:detail-type": "Token ends"})

    def test_api_gateway_has_paths_and_methods(self):
        of = Sent("ASIA1", "apigateway", "DELETE", "/restapis/abc/stages/dev/cache/authorizers?x=1", "", b"")
        path = "arn:aws:apigateway:eu-west-1::/restapis/abc/stages/dev/cache/authorizers"
        self.assertEqual(ACCOUNT.calls(of), [Call("apigateway:DELETE", path)])

    def test_a_service_that_is_not_known_is_a_failure(self):
        with self.assertRaises(Failure):
            calls("s3", "GetObject")

    def test_state_machines(self):
        lambdas = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken"}
        states = {
            "A": lambdas | {"Parameters": {"FunctionName": "arn:a:live"}},
            "B": lambdas | {"Parameters": {"FunctionName": "arn:b"}},
            "C": {"Type": "Wait"},
        }
        made = list(of_machine({"States": states}, ["A", "C"]))
        self.assertEqual(made, [Call("lambda:InvokeFunction", function) for function in ("arn:a:live", "arn:a")])
        run, passed = of_task("cluster", "family:2", ["role"])
        self.assertEqual((run.resource, run.keys), ("family:2", {"ecs:cluster": "cluster"}))
        self.assertEqual((passed.resource, passed.keys), ("role", {"iam:PassedToService": "ecs-tasks.amazonaws.com"}))


class Signatures(unittest.TestCase):
    def test_a_signature_says_whose_it_is_and_of_which_service(self):
        signature = "AWS4-HMAC-SHA256 Credential=ASIA1/20260901/eu-west-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0"
        got = sent("POST", "/", {"Authorization": signature, "X-Amz-Target": "DynamoDB_20120810.GetItem"}, b"{}")
        self.assertEqual((got.key_id, got.service, got.operation), ("ASIA1", "dynamodb", "GetItem"))
        self.assertEqual(sent("GET", "/", {}, b"").service, "unsigned")


if __name__ == "__main__":
    unittest.main()
