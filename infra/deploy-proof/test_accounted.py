"""That the calls which must be refused tell a policy that is too wide."""

import unittest
from types import SimpleNamespace

from accounted import refused
from calls import Account
from iam import Statement, is_allowed

OF = "arn:aws:{}:eu-west-1:123456789012:{}".format
FUNCTIONS = ("Authorizer", "Callbacks", "Catalog", "Deployer", "Identity", "Janitor", "Jobs", "Meta", "Runs", "Streams", "Tokens")
WHO = [*(f"{name}Function" for name in FUNCTIONS), "DeployStateMachine", "ProvisionStateMachine"]
TABLE, FAMILY, CLUSTER = OF("dynamodb", "table/t"), OF("ecs", "task-definition/provisioner"), OF("ecs", "cluster/provisioner")
ROLE = "arn:aws:iam::123456789012:role/"
TO_ECS = {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}}

CATALOG = SimpleNamespace(
    outputs={"TableName": "t", "SecretPrefix": "gatehouse/proof", "ApiId": "abc", "EventBusName": "ours"},
    cluster=SimpleNamespace(
        arn=CLUSTER, task_definition=f"{FAMILY}:2", task_role=f"{ROLE}worker", execution_role=f"{ROLE}starter"
    ),
    machine=lambda kind: OF("states", f"stateMachine:{kind}"),
    rights=SimpleNamespace(functions=lambda: {f"{name}Function": name for name in FUNCTIONS}),
)
ACCOUNT = Account("eu-west-1", "123456789012", {}, None)
REFUSED = refused(ACCOUNT, CATALOG, WHO)

# Policies that are too wide, each by what was left out or is one star too many.
TOO_WIDE = [
    ("StreamsFunction", "dynamodb:UpdateItem", TABLE, None),
    ("StreamsFunction", "dynamodb:UpdateItem", TABLE, {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": "RUN*"}}),
    ("StreamsFunction", "dynamodb:UpdateItem", TABLE, {"ForAnyValue:StringLike": {"dynamodb:LeadingKeys": "RUN#*"}}),
    ("StreamsFunction", "dynamodb:PutItem", TABLE, {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["LEASE#*", "PINS*"]}}),
    ("StreamsFunction", "dynamodb:Query", f"{TABLE}/index/gsi1", None),
    ("StreamsFunction", "dynamodb:*", TABLE, {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": "RUN#*"}}),
    ("AuthorizerFunction", "dynamodb:GetItem", TABLE, None),
    ("AuthorizerFunction", "dynamodb:UpdateItem", TABLE, None),
    ("AuthorizerFunction", "dynamodb:Query", TABLE, {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": "TENANTS*"}}),
    ("TokensFunction", "dynamodb:DeleteItem", TABLE, None),
    ("MetaFunction", "dynamodb:GetItem", TABLE, None),
    ("JobsFunction", "dynamodb:GetItem", f"{TABLE}*", None),
    ("JobsFunction", "dynamodb:Query", f"{TABLE}/index/*", None),
    ("JobsFunction", "secretsmanager:GetSecretValue", OF("secretsmanager", "secret:gatehouse/*/provider/*"), None),
    ("JobsFunction", "secretsmanager:GetSecretValue", OF("secretsmanager", "secret:gatehouse/proof*"), None),
    ("RunsFunction", "secretsmanager:GetSecretValue", OF("secretsmanager", "secret:gatehouse/proof/*"), None),
    ("RunsFunction", "secretsmanager:PutSecretValue", OF("secretsmanager", "secret:gatehouse/proof/provider/*"), None),
    ("RunsFunction", "secretsmanager:*", OF("secretsmanager", "secret:gatehouse/proof/provider/*/token*"), None),
    ("CallbacksFunction", "secretsmanager:GetSecretValue", OF("secretsmanager", "secret:gatehouse/proof/*-key*"), None),
    ("CatalogFunction", "states:StartExecution", OF("states", "stateMachine:provision*"), None),
    ("CatalogFunction", "states:*", OF("states", "execution:deploy:*"), None),
    ("JanitorFunction", "states:StopExecution", OF("states", "execution:deploy*"), None),
    ("JanitorFunction", "events:PutEvents", "*", None),
    ("JanitorFunction", "apigateway:*", "arn:aws:apigateway:eu-west-1::/restapis/abc/stages/proof/cache/authorizers", None),
    ("JanitorFunction", "apigateway:DELETE", "arn:aws:apigateway:eu-west-1::/restapis/abc/*", None),
    ("IdentityFunction", "apigateway:DELETE", "arn:aws:apigateway:eu-west-1::/restapis/abc/stages/*/cache/authorizers", None),
    ("RunsFunction", "apigateway:DELETE", "arn:aws:apigateway:eu-west-1::/restapis/abc/stages/proof/cache/authorizers", None),
    ("CatalogFunction", "events:PutEvents", OF("events", "event-bus/ours"), None),
    ("ProvisionStateMachine", "ecs:RunTask", f"{FAMILY}:*", None),
    ("ProvisionStateMachine", "ecs:RunTask", f"{FAMILY}*", {"ArnEquals": {"ecs:cluster": CLUSTER}}),
    ("ProvisionStateMachine", "ecs:RunTask", f"{FAMILY}:*", {"ArnLike": {"ecs:cluster": f"{CLUSTER}*"}}),
    ("ProvisionStateMachine", "ecs:*", "*", {"ArnEquals": {"ecs:cluster": CLUSTER}}),
    ("ProvisionStateMachine", "iam:PassRole", f"{ROLE}worker", None),
    ("ProvisionStateMachine", "iam:PassRole", f"{ROLE}*", TO_ECS),
    ("ProvisionStateMachine", "iam:PassRole", f"{ROLE}starter*", TO_ECS),
    ("ProvisionStateMachine", "lambda:InvokeFunction", OF("lambda", "function:*"), None),
    ("DeployStateMachine", "lambda:InvokeFunction", "*", None),
    ("DeployStateMachine", "ecs:RunTask", f"{FAMILY}:*", {"ArnEquals": {"ecs:cluster": CLUSTER}}),
]


class Refused(unittest.TestCase):
    def test_each_policy_that_is_too_wide_is_told(self):
        for who, action, resource, condition in TOO_WIDE:
            with self.subTest(who=who, action=action, resource=resource, condition=condition):
                written = {"Effect": "Allow", "Action": action, "Resource": resource}
                statement = Statement.read(written | ({"Condition": condition} if condition else {}))
                self.assertTrue(any(is_allowed(call, [statement]) for call in REFUSED[who]))

    def test_nobody_is_forgotten(self):
        self.assertEqual(set(REFUSED), set(WHO))


if __name__ == "__main__":
    unittest.main()
