"""Compares what functions and state machines may do with the calls that they were seen to make."""

import itertools
import json
import re

import stack
import story
from accounted import SPARED, refused
from calls import Account, of_machine, of_task
from emulators import Failure
from iam import is_allowed


class Seen:
    """The calls that were made, by the logical ids of those who made them, beside their policies."""

    def __init__(self, catalog, recorder):
        self._catalog = catalog
        self.policies = catalog.rights.policies()
        self._executions = {machine: list(self._executions_of(arn)) for machine, arn in self._machines().items()}
        self._sent = recorder.seen()
        self.account = self._account()
        self.calls = {who: {} for who in self.policies}
        self._read_functions()
        self._read_machines()

    def insist_on_allowed(self):
        """Each call is allowed by the policy of who made it; returns how many there were."""
        wrong = [
            f"{who} was seen to call {call}"
            for who, calls in self.calls.items()
            for call in calls
            if not is_allowed(call, self.policies[who])
        ]
        _insist("not allowed by the template", wrong)
        return sum(map(len, self.calls.values()))

    def insist_on_needed(self):
        """Each right was needed by a call, or is accounted for; returns how many there are."""
        needed, unneeded = needs(self.policies, self.calls)
        _insist("rights that nothing needed", unaccounted(unneeded, SPARED))
        idle = [spared for spared in SPARED if not any(spared.covers(*right) for right in unneeded)]
        _insist("accounted for, and needed or not there", idle)
        return len(needed) + len(unneeded)

    def insist_on_refused(self):
        """What must be refused is; returns how many calls that are."""
        calls = [
            (who, call) for who, calls in refused(self.account, self._catalog, self.policies).items() for call in calls
        ]
        _insist("allowed to who must not", [f"{who}: {call}" for who, call in calls if is_allowed(call, self.policies[who])])
        return len(calls)

    # ── What was called ─────────────────────────────────────────────────────────────────────────────────────────────

    def _read_functions(self):
        owners = self._catalog.rights.key_ids()
        for sender, requests in self._sent.items():
            who = owners.get(sender, sender)
            if who not in self.calls:
                raise Failure(f"somebody unknown called: {sender}, {requests[0]}")
            for sent in requests:
                for call in self.account.calls(sent):
                    self.calls[who][call] = None

    def _read_machines(self):
        for machine, executions in self._executions.items():
            arn = self._machines()[machine]
            definition = json.loads(self._catalog.states.describe_state_machine(stateMachineArn=arn)["definition"])
            for execution in executions:
                pages = self._catalog.states.get_paginator("get_execution_history").paginate(executionArn=execution)
                events = [event for page in pages for event in page["events"]]
                entered = {event["stateEnteredEventDetails"]["name"] for event in events if "stateEnteredEventDetails" in event}
                self.calls[machine].update(dict.fromkeys(of_machine(definition, entered)))
        cluster = self._catalog.cluster
        for where, task_definition in cluster.run:
            calls = of_task(where, task_definition, cluster.roles(task_definition))
            self.calls["ProvisionStateMachine"].update(dict.fromkeys(calls))

    def _machines(self):
        return {
            "ProvisionStateMachine": self._catalog.machine("provision"),
            "DeployStateMachine": self._catalog.machine("deploy"),
        }

    def _executions_of(self, machine):
        pages = self._catalog.states.get_paginator("list_executions").paginate(stateMachineArn=machine)
        return (execution["executionArn"] for page in pages for execution in page["executions"])

    def _account(self):
        outputs = self._catalog.outputs
        table = self._catalog.dynamodb.describe_table(TableName=outputs["TableName"])["Table"]
        keys = {None: table["KeySchema"]} | {
            index["IndexName"]: index["KeySchema"] for index in table["GlobalSecondaryIndexes"]
        }
        partition_keys = {
            (table["TableName"], index): next(key["AttributeName"] for key in schema if key["KeyType"] == "HASH")
            for index, schema in keys.items()
        }
        region, number = table["TableArn"].split(":")[3:5]
        return Account(region, number, partition_keys, self._machine_of, samples(outputs, region))

    def _machine_of(self, token):
        """The state machine that gave out a task token: that of the operation with which the token was written down."""
        if token == story.TASK_TOKEN:
            return None
        of_operations = {
            execution.rpartition(":")[2].encode(): machine
            for name, machine in self._machines().items()
            for execution in self._executions[name]
        }
        written = (sent.body for requests in self._sent.values() for sent in requests if sent.service == "dynamodb")
        for body in written:
            operation = token.encode() in body and re.search(rb"OPERATION#(op_\w+)", body)
            if operation and operation[1] in of_operations:
                return of_operations[operation[1]]
        raise Failure(f"a task token of which nobody knows who gave it out: {token}")


def samples(outputs, region):
    """The ARNs in the story of what does not exist, with what they stand for."""
    found = {}
    for machine in stack.NOBODY:
        for kind in ("stateMachine", "execution"):
            sample, real = stack.stand_in(outputs, machine), outputs[machine]
            found[sample.replace(":stateMachine:", f":{kind}:")] = real.replace(":stateMachine:", f":{kind}:")
    path = f"arn:aws:apigateway:{region}::/restapis"
    found[f"{path}/{story.API}/stages/{story.STAGE}"] = f"{path}/{outputs['ApiId']}/stages/proof"
    return found


def needs(policies, calls):
    """The rights of all, those that a call needed and those that none did, each with whose it is."""
    needed, unneeded = [], []
    for who, statements in policies.items():
        allowing = (statement for statement in statements if statement.effect == "Allow")
        for right in itertools.chain.from_iterable(statement.rights() for statement in allowing):
            served = any(right.serves(call) for call in calls.get(who, ()))
            (needed if served else unneeded).append((who, right))
    return needed, unneeded


def unaccounted(unneeded, spared):
    """Those of the rights that nothing needed of which nobody says why."""
    return [f"{who}, {right}" for who, right in unneeded if not any(entry.covers(who, right) for entry in spared)]


def _insist(what, wrong):
    if wrong:
        raise Failure("\n  ".join([f"{what}:", *map(str, wrong)]))
