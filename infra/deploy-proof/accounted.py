"""What the comparison of rights and calls cannot see by itself: rights that the proof gives nobody a reason to use, and calls
that must be refused."""

from dataclasses import dataclass

from calls import SUFFIX
from iam import Call
from stack import ALIAS, CALL_OUTWARD


@dataclass(frozen=True)
class Spared:
    """Rights of a statement that the proof gives nobody a reason to use: of these actions, or of all; of what ends so, or has
    this value in its condition, or of all."""

    who: str
    sid: str
    why: str
    actions: tuple = ()
    of: str = ""

    def covers(self, who, right):
        values = [value for condition in right.conditions for value in condition.values]
        return (
            (who, right.sid) == (self.who, self.sid)
            and (not self.actions or right.action in self.actions)
            and (right.resource.endswith(self.of) or self.of in values)
        )


# What the emulator or the pretend Concourse cannot be brought to ask for here.
NO_FLUSH = "API Gateway's flush is not known to the emulator, so the mark that one is owed stays"
NO_PINS = "pins are for runs that are given versions, which no run here is"
SPARED = [
    Spared("TokensFunction", "EndFlush", NO_FLUSH),
    Spared("StreamsFunction", "TakeTurns", NO_PINS, of="PINS"),
    Spared("StreamsFunction", "QueryProjects", "the Concourse is open to all, however many tenants there are"),
    Spared("JanitorFunction", "ReadProviderCredentials", NO_PINS),
    Spared("JanitorFunction", "ShareProviderTokens", NO_PINS),
    Spared(
        "DeployerFunction",
        "ReadAndWriteItems",
        "a run is looked for by its build where the answer to its start was lost",
        ("dynamodb:BatchGetItem",),
    ),
    Spared("DeployerFunction", "QueryIndex", "the same"),
]

# Who may do what with the secrets of the stage: everybody else is refused.
WHO_FLUSH = {"IdentityFunction", "JanitorFunction", "TokensFunction"}
WHO_SIGN = {"IdentityFunction", "TokensFunction"}
SECRETS = {
    "provider/concourse/credentials": {
        "GetSecretValue": CALL_OUTWARD,
        "CreateSecret": {"JobsFunction"},
        "PutSecretValue": {"JobsFunction"},
        "DeleteSecret": {"JobsFunction"},
    },
    "provider/concourse/token": {
        "GetSecretValue": CALL_OUTWARD,
        "CreateSecret": CALL_OUTWARD,
        "PutSecretValue": CALL_OUTWARD,
        "DeleteSecret": {"JobsFunction"},
    },
    "signing-key/sk_1": {"GetSecretValue": WHO_SIGN, "CreateSecret": WHO_SIGN, "PutSecretValue": WHO_SIGN},
    "second-factor-key": {"GetSecretValue": {"IdentityFunction"}},
    "input-key": {"GetSecretValue": {"CallbacksFunction", "CatalogFunction"}},
    "callback-key": {"GetSecretValue": {"CallbacksFunction", "DeployerFunction"}},
}
OF_SECRETS = ("CreateSecret", "DeleteSecret", "DescribeSecret", "GetSecretValue", "PutSecretValue", "UpdateSecret")


def refused(account, catalog, policies):
    """Calls that must be refused, by who must not make them."""
    calls = {who: [*_of_nobody(account, catalog), *_of_other_secrets(account, catalog, who)] for who in policies}
    for who, of_one in _of_one(account, catalog).items():
        calls[who].extend(of_one)
    for who in set(policies) - WHO_FLUSH:
        calls[who].append(Call("apigateway:DELETE", account.path(_cache(catalog))))
    for who in set(policies) - {"JanitorFunction"}:
        keys = {"events:source": "gatehouse", "events:detail-type": "Token Expiring"}
        calls[who].append(Call("events:PutEvents", account.arn("events", f"event-bus/{catalog.outputs['EventBusName']}"), keys))
    for who, may in _WORKFLOWS.items():
        calls[who].extend(_of_workflows(account, catalog, may))
    return calls


def _of_nobody(account, catalog):
    """What no function and no state machine may do."""
    table = account.arn("dynamodb", f"table/{catalog.outputs['TableName']}")
    for action in ("BatchWriteItem", "DeleteTable", "ExportTableToPointInTime", "PartiQLSelect", "Scan", "UpdateTable"):
        yield Call(f"dynamodb:{action}", table)
    for action in ("DeleteItem", "GetItem", "PutItem", "Query", "UpdateItem"):
        for other in (f"{table}-2", f"{table}/index/gsi2", account.arn("dynamodb", "table/other")):
            yield Call(f"dynamodb:{action}", other, {"dynamodb:LeadingKeys": ("RUN#x",)})
    # Of another stage, and of other programs.
    for name in SECRETS:
        for prefix in ("gatehouse/another", f"{catalog.outputs['SecretPrefix']}-2", "others"):
            for action in OF_SECRETS:
                yield _of_secret(account, action, f"{prefix}/{name}")
    yield Call("secretsmanager:ListSecrets", "*")
    # What it would take to get more rights, or to be somebody else.
    for cluster in (catalog.cluster.arn, None):
        keys = {"ecs:cluster": cluster} if cluster else {}
        yield Call("ecs:RunTask", account.arn("ecs", "task-definition/another:1"), keys)
    role = catalog.cluster.task_role
    yield Call("sts:AssumeRole", role)
    yield Call("iam:PutRolePolicy", role)
    for service in ("lambda.amazonaws.com", "states.amazonaws.com", "ec2.amazonaws.com"):
        yield Call("iam:PassRole", role, {"iam:PassedToService": service})
    for function in catalog.rights.functions().values():
        yield Call("lambda:UpdateFunctionCode", account.arn("lambda", f"function:{function}"))
    for machine in (catalog.machine("provision"), catalog.machine("deploy")):
        yield Call("states:UpdateStateMachine", machine)
        yield Call("states:StartExecution", f"{machine}-2")
    cache = _cache(catalog)
    above, other = (cache.rpartition("/")[0], cache.partition("/cache")[0]), cache.replace("/proof/", "/another/")
    for path in (*above, other, f"/restapis/x{cache}"):
        yield Call("apigateway:DELETE", account.path(path))
    yield Call("apigateway:PATCH", account.path(cache))
    yield Call("events:PutEvents", account.arn("events", "event-bus/default"))


def _cache(catalog):
    """Where API Gateway keeps what the authorizer has answered."""
    return f"/restapis/{catalog.outputs['ApiId']}/stages/proof/cache/authorizers"


def _of_other_secrets(account, catalog, who):
    for name, allowed in SECRETS.items():
        for action in OF_SECRETS:
            if who not in allowed.get(action, ()):
                yield _of_secret(account, action, f"{catalog.outputs['SecretPrefix']}/{name}")


def _of_secret(account, action, name):
    return Call(f"secretsmanager:{action}", account.arn("secretsmanager", f"secret:{name}{SUFFIX}"))


def _of_one(account, catalog):
    """What one of them must not do, where another may or where it may do what looks the same."""
    table = account.arn("dynamodb", f"table/{catalog.outputs['TableName']}")

    def item(action, *partitions, index=""):
        return Call(f"dynamodb:{action}", f"{table}{index}", {"dynamodb:LeadingKeys": partitions})

    everything = [
        item(action, "RUN#x")
        for action in ("BatchGetItem", "ConditionCheckItem", "DeleteItem", "GetItem", "PutItem", "Query", "UpdateItem")
    ]
    cluster = catalog.cluster
    family = cluster.task_definition.rpartition(":")[0]
    run = {"ecs:cluster": cluster.arn}
    to_ecs = {"iam:PassedToService": "ecs-tasks.amazonaws.com"}
    arns = {name: account.arn("lambda", f"function:{function}") for name, function in catalog.rights.functions().items()}
    invoked = [(name, called) for name, arn in arns.items() for called in (arn, f"{arn}:{ALIAS}")]
    return {
        "MetaFunction": everything,
        "AuthorizerFunction": [
            item("DeleteItem", "TOKEN#x"),
            item("PutItem", "TOKEN#x"),
            *(item("GetItem", key) for key in ("OPERATION#x", "PROVIDERS", "CURSOR_KEY", "TENANTS")),
            *(item("UpdateItem", key) for key in ("SIGNING_KEYS", "SERVICE#x", "APIKEYS", "PERMITS#x")),
            item("UpdateItem", "TOKEN#x", "SIGNING_KEYS"),
            *(item("Query", *partitions) for partitions in (("USERS",), ("TENANTS#x",), ("TENANTS", "USERS"))),
            item("Query", "TENANTS", index="/index/gsi1"),
        ],
        "TokensFunction": [item("DeleteItem", key) for key in ("TOKEN#x", "AUDIT#x", "SIGNING_KEYS", "FLUSH#x")],
        "StreamsFunction": [
            *(item("UpdateItem", *keys) for keys in (("JOB#x",), ("LEASE#x",), ("RUNS#x",), ("run#x",), ("RUN#x", "USER#y"))),
            *(item(action, key) for action in ("DeleteItem", "PutItem") for key in ("RUN#x", "PINS#x", "PIN", "USER#x")),
            item("ConditionCheckItem", "RUN#x"),
            *(item("Query", key, index="/index/gsi1") for key in ("USERS", "TOKENS", "PROJECTS#x", "JOBS")),
        ],
        "ProvisionStateMachine": [
            *everything,
            *(
                Call("ecs:RunTask", f"{family}{revision}", {"ecs:cluster": where})
                for revision in (":1", ":2")
                for where in (f"{cluster.arn}-2", cluster.arn.replace("cluster/", "cluster/another-"))
            ),
            Call("ecs:RunTask", f"{family}:1"),
            *(Call("ecs:RunTask", of, run) for of in (family, f"{family}-2:1", f"{family.replace('/', '/x-')}:1")),
            Call("ecs:StopTask", cluster.arn.replace(":cluster/", ":task/") + "/x", run),
            Call("iam:PassRole", account.role("another"), to_ecs),
            Call("iam:PassRole", cluster.execution_role + "-2", to_ecs),
            Call("iam:PassRole", cluster.task_role),
            *(Call("lambda:InvokeFunction", called) for name, called in invoked if name != "CallbacksFunction"),
        ],
        "DeployStateMachine": [
            *everything,
            Call("ecs:RunTask", f"{family}:1", run),
            Call("iam:PassRole", cluster.task_role, to_ecs),
            *(
                Call("lambda:InvokeFunction", called)
                for name, called in invoked
                if name not in ("CallbacksFunction", "DeployerFunction")
            ),
        ],
    }


# Who may tell the state machines what.
_WORKFLOWS = {
    "CallbacksFunction": {"SendTaskFailure", "SendTaskHeartbeat", "SendTaskSuccess"},
    "CatalogFunction": {"SendTaskFailure", "SendTaskSuccess", "StartExecution", "StopExecution"},
    "JanitorFunction": {"DescribeExecution", "SendTaskFailure", "SendTaskSuccess", "StartExecution", "StopExecution"},
    **dict.fromkeys(
        (
            "AuthorizerFunction",
            "DeployerFunction",
            "IdentityFunction",
            "JobsFunction",
            "MetaFunction",
            "RunsFunction",
            "StreamsFunction",
            "TokensFunction",
        ),
        set(),
    ),
}


def _of_workflows(account, catalog, may):
    of_executions = {"DescribeExecution", "StopExecution", "RedriveExecution"}
    of_machines = {"SendTaskFailure", "SendTaskHeartbeat", "SendTaskSuccess", "StartExecution"}
    for machine in (catalog.machine("provision"), catalog.machine("deploy")):
        execution = machine.replace(":stateMachine:", ":execution:")
        for action in of_executions - may:
            yield Call(f"states:{action}", f"{execution}:op_1")
        for action in of_executions:
            yield Call(f"states:{action}", f"{execution}-2:op_1")
        for action in of_machines - may:
            yield Call(f"states:{action}", machine)
        for action in of_machines:
            yield Call(f"states:{action}", f"{machine}-2")
