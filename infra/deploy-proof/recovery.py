"""Takes the deployed stack's table back to a point in time, as docs/RECOVERY.md has it, with infra/recovery/recover.py.

MiniStack restores a table as it is, whatever moment is asked for; so what is restored is the table as it was when that was
asked for, and what comes after is the damage.
"""

import sys
from pathlib import Path

import boto3

from checks import check, equal, run, section
from emulators import Failure

PROGRAM = Path("infra/recovery/recover.py")


def drive_recovery(api, outputs, stack, work):
    """`api` is called by a platform admin's key. The table is named as before afterwards, and has what it had."""
    section("Recovery")
    dynamodb, functions = boto3.client("dynamodb"), boto3.client("lambda")
    table, notes = outputs["TableName"], work / "recovery.json"

    def recover(*arguments):
        return run(sys.executable, PROGRAM, "--notes", notes, *arguments)

    with check("what is to come back, and what is not"):
        project = {"tenant": "example", "description": "as it was"}
        api.put("/v1/projects/recovered", project, {"If-None-Match": "*"}).expect(201)
        leaked = {"name": "leaked", "scopes": ["jobs:read"], "tenants": "*"}
        leaked = api.post("/v1/api-keys", leaked).expect(201).json()
        api.with_key(leaked["key"]).get("/v1/jobs").expect(200)
    with check("restore the table beside itself"):
        recover("restore", stack)
    with check("damage"):
        tag = api.get("/v1/projects/recovered").expect(200).headers["etag"]
        api.call("DELETE", "/v1/projects/recovered", None, {"If-Match": tag}).expect(204, None)
        api.post(f"/v1/api-keys/{leaked['api_key']['key_id']}/revoke", {"reason": "leaked"}).expect(200)
    with check("compare them"):
        said = recover("compare", stack)
        for wanted in ("PROJECT: 1 comes back", "PROJECT#recovered PROJECT", "APIKEY: 1 is as it was"):
            if wanted not in said:
                raise Failure(f"not said: {wanted!r}\n{said}")
    # The emulator keeps the parameter's text in its place.
    dynamodb.update_table(TableName=table, DeletionProtectionEnabled=True)
    before = dynamodb.describe_table(TableName=table)["Table"]
    functions.put_function_concurrency(FunctionName=outputs["StreamsFunctionName"], ReservedConcurrentExecutions=3)
    with check("adopt what was restored"):
        # Nothing else is invoked here.
        recover("adopt", stack, "--credentials", "keep", "--drain", "0")
    with check("what was deleted is there again"):
        equal(api.get("/v1/projects/recovered").expect(200).json()["project"]["description"], "as it was", "the project")
    with check("and what was revoked stays revoked"):
        # Written in another way: the emulator remembers the verdict on the header as it was.
        api.get("/v1/jobs", {"Authorization": f"bearer   {leaked['key']}"}).expect(401)
    with check("the table is as the template has it"):
        after = dynamodb.describe_table(TableName=table)["Table"]
        for what in ("AttributeDefinitions", "KeySchema"):
            equal(after[what], before[what], what)
        equal(after["DeletionProtectionEnabled"], True, "deletion protection")
        equal([index["IndexName"] for index in after["GlobalSecondaryIndexes"]], ["gsi1"], "indexes")
        expiry = dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
        equal((expiry["TimeToLiveStatus"], expiry["AttributeName"]), ("ENABLED", "expires_at"), "expiry")
        backups = dynamodb.describe_continuous_backups(TableName=table)["ContinuousBackupsDescription"]
        equal(backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"], "ENABLED", "recovery")
    with check("a flush is owed, and the functions have what was reserved for them"):
        owed = {"TableName": table, "Key": {"pk": {"S": "FLUSH"}, "sk": {"S": "FLUSH"}}}
        # The emulator knows no flush, and each sweep would fail for it.
        equal("Attributes" in dynamodb.delete_item(**owed, ReturnValues="ALL_OLD"), True, "whether it is owed")
        reserved = lambda name: functions.get_function_concurrency(FunctionName=outputs[name]).get("ReservedConcurrentExecutions")  # noqa: E731
        equal((reserved("StreamsFunctionName"), reserved("JobsFunctionName")), (3, None), "what is reserved")
        functions.delete_function_concurrency(FunctionName=outputs["StreamsFunctionName"])
    dynamodb.update_table(TableName=table, DeletionProtectionEnabled=False)
    with check("the damaged table is kept, with its trail"):
        kept = {backup["BackupName"].split("-")[0] for backup in dynamodb.list_backups()["BackupSummaries"]}
        equal(kept, {"damaged", "good"}, "the backups")
        dynamodb.delete_table(TableName=f"{table}-restored")
