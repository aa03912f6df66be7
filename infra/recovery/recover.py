"""Takes the table of a deployed Gatehouse back to a point in time. docs/RECOVERY.md says when, and what has to be looked at.

    recover.py restore STACK --to 2026-01-31T12:00:00Z
    recover.py compare STACK
    recover.py adopt STACK --credentials keep
    recover.py resume STACK

Needs boto3, and credentials of AWS as its environment says. What `adopt` has done is written into a file beside, so that
the same command again goes on where it was interrupted.
"""

import argparse
import json
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

import boto3
from botocore.exceptions import ClientError, WaiterError

# What opens something, or says who may do what. A table that goes back in time would let revoked keys, passwords that were
# replaced and people who have left in again.
CREDENTIALS = ("USER#", "PLATFORM_ADMINS", "APIKEY#", "TOKEN#", "SIGNING_KEYS")
# Named one by one where they differ: what people decide, and what is provisioned. Others are counted.
NAMED = ("TENANTS", "PROJECT", "PROVIDERS", "MODULES", "JOB", "ENTITY", "SERVICE", "OPERATION", *[kind.rstrip("#") for kind in CREDENTIALS])
NAMES_SHOWN = 50
PATIENCE_SECONDS = 6 * 3600
# The longest that an invocation goes on which writes what must not be lost: the janitor's. Streams go on for longer, and write
# only what a CI system says.
DRAIN_SECONDS = 120


class Trouble(Exception):
    """Why it does not go on. Nothing is half done that the same command does not take up."""


class Recovery:
    """One stack, the table that it uses, and the one beside."""

    def __init__(self, stack, notes):
        self.stack, self.dynamodb = stack, boto3.client("dynamodb")
        outputs = boto3.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]["Outputs"]
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in outputs}
        self.table = self.outputs["TableName"]
        self.beside = f"{self.table}-restored"
        self.file = notes or Path(f"recovery-{stack}.json")
        self.notes = json.loads(self.file.read_text()) if self.file.exists() else {}

    # ── Beside ──────────────────────────────────────────────────────────────────────────────────────────────────

    def restore(self, to):
        """Restores the table, as it was then, beside itself. Nothing of the installation changes."""
        moment = {"RestoreDateTime": to} if to else {"UseLatestRestorableTime": True}
        self.dynamodb.restore_table_to_point_in_time(SourceTableName=self.table, TargetTableName=self.beside, **moment)
        self.wait_for(self.beside)
        say(f"{self.beside} is there")

    def compare(self):
        """What would be otherwise: counted by kind, and named where people decided it."""
        now, then = (self.items(table) for table in (self.table, self.beside))
        found = {}
        for key in now.keys() | then.keys():
            if now.get(key) != then.get(key):
                what = "comes back" if key not in now else "is lost" if key not in then else "is as it was"
                found.setdefault((key[0].split("#")[0], what), []).append(key)
        for (kind, what), keys in sorted(found.items()):
            say(f"{kind}: {len(keys)} {what}")
            if kind in NAMED:
                for partition, sort in sorted(keys)[:NAMES_SHOWN]:
                    say(f"    {partition} {sort}")
        return {f"{kind} {what}": len(keys) for (kind, what), keys in found.items()}

    # ── Adoption ────────────────────────────────────────────────────────────────────────────────────────────────

    def adopt(self, credentials, stop_executions, drain):
        """Puts the table beside in the place of the stack's, under the name that the stack knows."""
        settled = self.notes.get("credentials", credentials)
        if settled != credentials:
            raise Trouble(f"this adoption has begun with `--credentials {settled}`: go on with that")
        self.once("settings", self.settings)
        self.insist_on_no_executions(stop_executions)
        self.pause()
        # A key that is revoked by an invocation which goes on would be missed.
        say(f"waiting {drain} s for what was invoked before")
        time.sleep(drain)
        # One that began in between is not driven on: its functions are not invoked.
        self.insist_on_no_executions(stop_executions)
        if "restored" not in self.notes:
            self.once("damaged", lambda: self.back_up(self.table, "damaged"))
            self.once("credentials", lambda: self.settle_credentials(credentials))
            self.once("good", lambda: self.back_up(self.beside, "good"))
            self.once("deleted", self.delete)
            self.once("restored", self.take_place)
        self.once("set", self.set_again)
        self.end_pause()
        # What was done for this recovery is nothing that the next one may skip.
        self.file.rename(self.file.with_suffix(f".{datetime.now(timezone.utc):%Y%m%dT%H%M%SZ}.json"))
        say(f"done. The damaged table is kept as {self.notes['damaged']}; {self.beside} is not needed any more")

    def pause(self):
        """Nothing of the stack is invoked any more. What was reserved for each function is written down before."""
        functions = boto3.client("lambda")
        if "concurrency" not in self.notes:
            names = self.resources("AWS::Lambda::Function")
            reserved = {name: functions.get_function_concurrency(FunctionName=name) for name in names}
            self.note("concurrency", {name: had.get("ReservedConcurrentExecutions") for name, had in reserved.items()})
        for name in self.notes["concurrency"]:
            functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)

    def resume(self):
        """Takes the pause back, whatever else was done. Where the damaged table is still there, it goes on from here, so what
        was taken from it is taken anew by the next `adopt`: a key may be revoked meanwhile."""
        if self.is_there():
            for step in ("damaged", "credentials", "good"):
                self.notes.pop(step, None)
            self.write_notes()
        self.end_pause()

    def is_there(self):
        """Whether the damaged table is not deleted yet."""
        try:
            status = self.dynamodb.describe_table(TableName=self.table)["Table"]["TableStatus"]
        except self.dynamodb.exceptions.ResourceNotFoundException:
            return False
        return status != "DELETING" and "deleted" not in self.notes

    def end_pause(self):
        functions = boto3.client("lambda")
        for name, reserved in self.notes.get("concurrency", {}).items():
            if reserved is None:
                functions.delete_function_concurrency(FunctionName=name)
            else:
                functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=reserved)
        self.notes.pop("concurrency", None)
        self.write_notes()

    def insist_on_no_executions(self, stop):
        """An operation that goes on would report to a table that has never heard of it."""
        states = boto3.client("stepfunctions")
        for machine in self.resources("AWS::StepFunctions::StateMachine"):
            pages = states.get_paginator("list_executions").paginate(stateMachineArn=machine, statusFilter="RUNNING")
            for execution in (execution for page in pages for execution in page["executions"]):
                if not stop:
                    raise Trouble(
                        f"operation {execution['name']} goes on: let it end, cancel it, or stop all of them with "
                        "--stop-executions, which leaves what they apply as it then is"
                    )
                states.stop_execution(executionArn=execution["executionArn"], cause="The table is restored.")
                say(f"operation {execution['name']} is stopped")

    def settle_credentials(self, how):
        """`keep`: as they are now, so that nothing that was revoked comes back. `end`: none is left."""
        now = self.items(self.table, CREDENTIALS) if how == "keep" else {}
        then = self.items(self.beside, CREDENTIALS)
        for partition, sort in then.keys() - now.keys():
            self.dynamodb.delete_item(TableName=self.beside, Key={"pk": {"S": partition}, "sk": {"S": sort}})
        for key, item in now.items():
            if then.get(key) != item:
                self.dynamodb.put_item(TableName=self.beside, Item=item)
        return how

    def settings(self):
        """What a restored table does not have, as the stack's has it."""
        table = self.dynamodb.describe_table(TableName=self.table)["Table"]
        tags = self.dynamodb.list_tags_of_resource(ResourceArn=table["TableArn"]).get("Tags", [])
        return {
            "protected": table.get("DeletionProtectionEnabled", False),
            "stream": table.get("StreamSpecification"),
            "policy": self.policy(table["TableArn"]),
            # Those of CloudFormation cannot be given by others.
            "tags": [tag for tag in tags if not tag["Key"].startswith("aws:")],
        }

    def policy(self, arn):
        try:
            return self.dynamodb.get_resource_policy(ResourceArn=arn)["Policy"]
        except ClientError as error:
            # An emulator may not know them at all.
            if error.response["Error"]["Code"] in ("PolicyNotFoundException", "UnknownOperationException", "InvalidAction"):
                return None
            raise

    def back_up(self, table, word):
        """A backup of a table; returns its ARN."""
        name = f"{word}-{datetime.now(timezone.utc):%Y%m%dT%H%M%SZ}"

        def begin():
            try:
                return self.dynamodb.create_backup(TableName=table, BackupName=name)["BackupDetails"]["BackupArn"]
            except ClientError as error:
                # Of a table that was restored just now.
                if error.response["Error"]["Code"] in ("ContinuousBackupsUnavailableException", "TableInUseException"):
                    return None
                raise

        arn = until(f"the backup of {table} being begun", begin)
        there = lambda: self.dynamodb.describe_backup(BackupArn=arn)["BackupDescription"]  # noqa: E731
        until(f"the backup {arn}", lambda: there()["BackupDetails"]["BackupStatus"] == "AVAILABLE")
        return arn

    def delete(self):
        """Takes the damaged table away, of which there is a backup."""
        try:
            if self.dynamodb.describe_table(TableName=self.table)["Table"].get("DeletionProtectionEnabled"):
                self.dynamodb.update_table(TableName=self.table, DeletionProtectionEnabled=False)
                self.wait_for(self.table)
            self.dynamodb.delete_table(TableName=self.table)
        except self.dynamodb.exceptions.ResourceNotFoundException:
            pass  # An earlier try came so far.
        self.dynamodb.get_waiter("table_not_exists").wait(TableName=self.table)
        return True

    def take_place(self):
        """The good backup under the stack's own name; the stack, its roles and its alarms go by that."""
        try:
            self.dynamodb.restore_table_from_backup(TargetTableName=self.table, BackupArn=self.notes["good"])
        except self.dynamodb.exceptions.TableAlreadyExistsException:
            pass  # An earlier try came so far.
        self.wait_for(self.table)
        return True

    def set_again(self):
        """What a restored table does not have: CloudFormation believes that it does, and would not set it again."""
        settings, table = self.notes["settings"], {"TableName": self.table}
        expiry = self.dynamodb.describe_time_to_live(**table)["TimeToLiveDescription"]
        if expiry["TimeToLiveStatus"] not in ("ENABLED", "ENABLING"):
            expiry = {"AttributeName": "expires_at", "Enabled": True}
            self.dynamodb.update_time_to_live(**table, TimeToLiveSpecification=expiry)
        recovery = {"PointInTimeRecoveryEnabled": True}
        self.dynamodb.update_continuous_backups(**table, PointInTimeRecoverySpecification=recovery)
        arn = self.dynamodb.describe_table(**table)["Table"]["TableArn"]
        if settings["tags"]:
            self.dynamodb.tag_resource(ResourceArn=arn, Tags=settings["tags"])
        if settings["policy"]:
            self.dynamodb.put_resource_policy(ResourceArn=arn, Policy=settings["policy"])
        if settings["stream"]:
            self.dynamodb.update_table(**table, StreamSpecification=settings["stream"])
            self.wait_for(self.table)
        if settings["protected"]:
            self.dynamodb.update_table(**table, DeletionProtectionEnabled=True)
            self.wait_for(self.table)
        # API Gateway forgets what it remembers of callers with the janitor's next sweep.
        now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.dynamodb.put_item(**table, Item={"pk": {"S": "FLUSH"}, "sk": {"S": "FLUSH"}, "owed_since": {"S": now}})
        return True

    # ── What all of it takes ────────────────────────────────────────────────────────────────────────────────────

    def once(self, step, do):
        """Does a step and writes down what came of it, unless that is written down already."""
        if step not in self.notes:
            say(f"{step} …")
            self.note(step, do())

    def note(self, step, outcome):
        self.notes[step] = outcome
        self.write_notes()

    def write_notes(self):
        self.file.write_text(json.dumps(self.notes, indent=2) + "\n")

    def resources(self, kind):
        """The physical ids of what the stack has of a kind."""
        pages = boto3.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=self.stack)
        found = (resource for page in pages for resource in page["StackResourceSummaries"])
        return [resource["PhysicalResourceId"] for resource in found if resource["ResourceType"] == kind]

    def items(self, table, partitions=("",)):
        """Every item of a table, of partitions that begin so, by its key."""
        pages = self.dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
        every = ((item["pk"]["S"], item["sk"]["S"], item) for page in pages for item in page["Items"])
        return {(partition, sort): item for partition, sort, item in every if partition.startswith(partitions)}

    def wait_for(self, table):
        status = lambda: self.dynamodb.describe_table(TableName=table)["Table"]["TableStatus"]  # noqa: E731
        until(f"{table} being active", lambda: status() == "ACTIVE")


def say(text):
    print(text, flush=True)


def moment(text):
    """A moment of RFC 3339, in UTC where it does not say otherwise."""
    read = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return read if read.tzinfo else read.replace(tzinfo=timezone.utc)


def until(what, look):
    """Looks again and again; a restore takes from minutes to hours."""
    end, pause = time.monotonic() + PATIENCE_SECONDS, 1
    while not (seen := look()):
        if time.monotonic() > end:
            raise Trouble(f"{what}: not within {PATIENCE_SECONDS} s; the same command again goes on waiting")
        time.sleep(pause)
        pause = min(pause * 2, 30)
    return seen


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--notes", type=Path, help="where is written what was done; recovery-STACK.json without it")
    commands = parser.add_subparsers(dest="command", required=True)
    about = {
        "restore": "restore the table beside itself",
        "compare": "say what would be otherwise",
        "adopt": "put the restored table in the place of the stack's",
        "resume": "let the functions be invoked again, whatever else was done",
    }
    parsers = {name: commands.add_parser(name, help=text) for name, text in about.items()}
    for command in parsers.values():
        command.add_argument("stack", help="the name of the stack")
    parsers["restore"].add_argument("--to", type=moment, help="the moment, RFC 3339, in UTC; the latest that there is without it")
    parsers["adopt"].add_argument(
        "--credentials",
        choices=("keep", "end"),
        required=True,
        help="keep: people, keys and tokens stay as they are now. end: none is left; make the first platform admin anew",
    )
    parsers["adopt"].add_argument("--stop-executions", action="store_true", help="stop operations that go on")
    parsers["adopt"].add_argument(
        "--drain", type=int, default=DRAIN_SECONDS, metavar="SECONDS", help="how long to wait for what was invoked before"
    )
    given = parser.parse_args(arguments)
    recovery = Recovery(given.stack, given.notes)
    try:
        match given.command:
            case "restore":
                recovery.restore(given.to)
            case "compare":
                recovery.compare()
            case "adopt":
                recovery.adopt(given.credentials, given.stop_executions, given.drain)
            case "resume":
                recovery.resume()
    except (Trouble, ClientError, WaiterError) as trouble:
        sys.exit(f"recover.py: {trouble}")


if __name__ == "__main__":
    main()
