"""Deploys the template into an emulated AWS and drives what stands there over HTTP.

Run by run.sh, which has put template.yaml and the binaries side by side in the stage folder. Every check prints one
line; the first that fails ends the proof with the logs of everything that ran.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
import zipfile
from pathlib import Path

import boto3

import rollout
import stack
import story
from api import PROBLEM, Api
from catalog import Catalog
from checks import check, equal, passed, run, section, show, until
from emulators import ConcourseTwin, Failure, Lambda, MiniStack, Process, free_port
from moving import drive_moving
from recorder import Recorder
from recovery import drive_recovery
from rights import Rights
from seen import Seen
from workers import Cluster
from workflows import drive_workflows

STACK = "gatehouse-proof"
WORK = Path("target/deploy-proof/run")
EMULATOR = {
    # Every call is checked against the policies of its role, item by item in transactions.
    "AUTH": "true",
    # Waits of state machines and pauses before their retries pass fifty times as fast.
    "SFN_WAIT_SCALE": "0.02",
}
JOBS_YAML = """\
jobs:
  - job_id: job_hello
    project: example
    display_name: Hello
    environment: prod
    provider: { kind: concourse, ref: { team: main, pipeline: example-pipeline, job: hello-job } }
  - job_id: job_slow
    project: example
    display_name: Slow
    environment: prod
    provider: { kind: concourse, ref: { team: main, pipeline: example-pipeline, job: slow-job } }
  - job_id: job_failing
    project: example
    display_name: Failing
    environment: prod
    provider: { kind: concourse, ref: { team: main, pipeline: example-pipeline, job: failing-job } }
"""
CONCOURSE_USER = {"grant": "password", "username": "ci-gateway", "password": ConcourseTwin.password}

# ── Packages and deployment ─────────────────────────────────────────────────────────────────────────────────────────


def weigh_package(stage, name):
    """What a cold start of the function that was built for release has to fetch."""
    bootstrap = stage / f"target/lambda/{name}/bootstrap"
    package = WORK / f"{name}.zip"
    with zipfile.ZipFile(package, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(bootstrap, "bootstrap")
    print(f"  {name}: {bootstrap.stat().st_size / 1e6:.2f} MB, {package.stat().st_size / 1e6:.2f} MB zipped")


def deploy(stage, endpoint, recorded, cluster, wanted="CREATE_COMPLETE"):
    """Deploys the template as it is, or updates its stack; returns the stack's outputs. The functions find AWS where their
    calls are `recorded`."""
    parameters = {
        "StageName": "proof",
        "AwsEndpointUrl": recorded,
        "AuthorizerCacheSeconds": "2",
        "Dashboard": "true",
        "ProvisionerClusterArn": cluster.arn,
        "ProvisionerTaskDefinitionArn": cluster.task_definition,
        "ProvisionerTaskRoleArn": cluster.task_role,
        "ProvisionerExecutionRoleArn": cluster.execution_role,
        "ProvisionerSubnets": "subnet-0example1,subnet-0example2",
        "ProvisionerSecurityGroups": "sg-0example",
    }
    log = WORK / f"logs/sam-deploy-{wanted.lower()}.log"
    return stack.deploy(stage, endpoint, STACK, parameters, log, wanted)


def redeploy_one(stage, outputs, endpoint, api):
    """The code of one function by `cargo lambda deploy`, as docs/OPERATIONS.md has it for people: published as a version, to
    which the alias then points. Without `--alias` nobody would call it."""
    section("One function alone")
    function, name = "meta", outputs["MetaFunctionName"]
    functions = boto3.client("lambda", endpoint_url=endpoint)
    before = functions.get_function_configuration(FunctionName=name, Qualifier=stack.ALIAS)
    folder = WORK / "redeployed"
    shutil.copytree(stage / f"target/lambda/{function}", folder / f"target/lambda/{function}")
    rollout.change_code(folder, function)
    with check("cargo lambda deploy"):
        command = ["cargo", "lambda", "deploy", "--lambda-dir", folder / "target/lambda", "--endpoint-url", endpoint]
        run(*command, "--alias", stack.ALIAS, "--binary-name", function, name)
    with check("whoever calls the function gets other code, and all else as the template says"):
        after = functions.get_function_configuration(FunctionName=name, Qualifier=stack.ALIAS)
        if after["CodeSha256"] == before["CodeSha256"]:
            raise Failure("the code is what it was")
        for what in ("Architectures", "Environment", "Handler", "LoggingConfig", "MemorySize", "Role", "Runtime", "Timeout"):
            equal(after.get(what), before.get(what), what)
    with check("and answers"):
        until("its answer", lambda: api.get("/health").status == 200)


def drive_watch(stage, environment):
    """`make watch` and `make invoke`, as somebody types them."""
    section("make watch, make invoke")
    settings, served = WORK / "watch/env.json", WORK / "watch/served"
    settings.parent.mkdir()
    settings.write_text(json.dumps({"Parameters": {**environment, "AWS_ENDPOINT_URL": os.environ["AWS_ENDPOINT_URL"]}}))
    given = {
        "BINARIES": str(stage / "target/lambda"),
        "ENV_VARS": str(settings),
        "SERVED": str(served),
        "INVOKE_PORT": str(free_port()),
    }
    names = sorted(path.parent.name for path in Path("functions").glob("*/Cargo.toml"))
    with Process("make-watch", ["make", "--silent", "watch"], WORK / "logs", given) as watch:
        with check("make watch serves every function"):
            every = lambda: not watch.still_runs() or served.exists() and served.read_text().split() == names  # noqa: E731
            until("all functions being served", every, 60)
            equal(watch.still_runs(), True, "whether it runs")
        for function, case in (("meta", "show-health"), ("jobs", "list-jobs"), ("catalog", "list-services")):
            with check(f"make invoke FUNCTION={function}") as line:
                answer = make_invoke(function, f"events/{function}/{case}.json", given)
                equal(answer.returncode, 0, f"the exit code, {answer.stdout}{answer.stderr}")
                line.append(story.check_proxy_answer(json.loads(answer.stdout)))
                equal(line[-1], "200", f"the status, {answer.stdout}")
        with check("make invoke of a function that is not there fails, and does not wait"):
            answer = make_invoke("nobody", "events/meta/show-health.json", given)
            equal(answer.returncode != 0 and "nobody" in answer.stderr, True, f"the refusal, {answer.stderr}")


def make_invoke(function, event, given):
    command = ["make", "--silent", "invoke", f"FUNCTION={function}", f"EVENT={event}"]
    environment = {**os.environ, **given}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def check_resources(outputs, endpoint):
    """What the template says about state and logs holds for what stands there."""
    # Expiry and recovery of the table are taken by the emulator and not put into effect.
    with check("the table has its index"):
        dynamodb = boto3.client("dynamodb", endpoint_url=endpoint)
        table = dynamodb.describe_table(TableName=outputs["TableName"])["Table"]
        equal([index["IndexName"] for index in table["GlobalSecondaryIndexes"]], ["gsi1"], "indexes")
    with check("the dashboard is one that CloudWatch can read"):
        dashboard = boto3.client("cloudwatch", endpoint_url=endpoint).get_dashboard(DashboardName=f"{STACK}-proof")
        widgets = json.loads(dashboard["DashboardBody"])["widgets"]
        equal({widget["type"] for widget in widgets}, {"alarm", "log", "metric"}, "the kinds of widgets")
    with check("every log group forgets"):
        logs = boto3.client("logs", endpoint_url=endpoint)
        groups = logs.describe_log_groups(logGroupNamePrefix=f"/gatehouse/{STACK}/")["logGroups"]
        equal(len(groups), 1 + len(list((Path("functions")).glob("*/Cargo.toml"))), "log groups")
        eternal = [group["logGroupName"] for group in groups if "retentionInDays" not in group]
        equal(eternal, [], "log groups without retention")


# ── Driving the API ─────────────────────────────────────────────────────────────────────────────────────────────────


def create_key(gatehouse, table, scopes):
    """Puts an API key into the deployed table, as an operator would; returns the `key` and its `key_id`."""
    made = run(gatehouse, "key", "create", "--table", table, "--tenants", "*", "--scopes", scopes, "--json")
    return json.loads(made)


def drive_without_key(api):
    section("Without a credential")
    with check("GET /health"):
        api.get("/health").expect(200)
    with check("GET /openapi.json is the checked-in description"):
        served = api.get("/openapi.json").expect(200).json()
        if served != json.loads(Path("infra/openapi.json").read_text()):
            raise Failure("what is served differs from infra/openapi.json")
    # The template's own bodies for these are stored by the emulator and not used; the local stack tests them.
    with check("401 without a credential"):
        api.get("/v1/jobs").expect(401)
    with check("401 with a credential that opens nothing"):
        api.with_key("gh_nosuchkey").get("/v1/jobs").expect(401)


def create_admin(gatehouse, table, name, password):
    """Makes the first platform admin, as an operator would."""
    command = [gatehouse, "admin", "create", "--table", table, "--name", name, "--password-stdin"]
    done = subprocess.run(command, input=password, capture_output=True, text=True)
    if done.returncode:
        raise Failure(f"admin create ended with {done.returncode}\n{done.stderr}")


def drive_people(api, outputs, gatehouse):
    """Somebody logs in, mints a token for a service, and takes it away again."""
    section("People and service tokens")
    name, password = "proof-admin", "blue skies only"
    with check("make the first platform admin, once"):
        create_admin(gatehouse, outputs["TableName"], name, password)
        try:
            create_admin(gatehouse, outputs["TableName"], "somebody-else", password)
        except Failure:
            pass
        else:
            raise Failure("a second one was made")
    with check("a wrong password is refused"):
        api.post("/auth/login", {"username": name, "password": "a wrong guess"}).expect_problem(401, "login-refused")
    with check("log in"):
        session = api.post("/auth/login", {"username": name, "password": password}).expect(200).json()["token"]
        admin = api.with_key(session)
        equal(admin.get("/auth/me").expect(200).json()["roles"], {"*": "admin"}, "the roles")
    with check("the signing key is kept as a secret, and its public half is published"):
        keys = api.get("/.well-known/jwks.json").expect(200).json()["keys"]
        wanted = [f"signing-key/{key['kid']}" for key in keys]
        equal([name for name in secrets(outputs) if name.startswith("signing-key/")], wanted, "the secrets")
    with check("mint a service token"):
        minted = admin.post("/v1/tokens", {"project": "example", "service": "worker"}).expect(201).json()
        service = api.with_key(minted["token"])
    with check("the service is known"):
        equal(service.get("/auth/me").expect(200).json()["service"], "worker", "the service")
        service.get("/v1/jobs").expect(403, None)
    with check("rotate its token: the first use of the new one ends the old one"):
        rotated = admin.post(f"/v1/tokens/{minted['jti']}/rotate", {}).expect(201).json()
        api.with_key(rotated["token"]).get("/auth/me").expect(200)
        asked_again(api, minted["token"]).expect(401)
    with check("revoke it") as line:
        revoked = admin.post(f"/v1/tokens/{rotated['jti']}/revoke", {"reason": "proven"}).expect(200).json()
        line.append("flushed" if revoked["flushed"] else "not flushed, which this emulator may not know")
    with check("it is refused"):
        asked_again(api, rotated["token"]).expect(401)
    with check("the trail has all of it"):
        entries = admin.get("/v1/audit", actor=f"user:{name}").expect(200).json()["entries"]
        done = [(entry["action"], entry["outcome"]) for entry in reversed(entries)]
        wanted = [
            ("session.login", "refused"),
            ("session.login", "done"),
            ("token.mint", "done"),
            ("token.rotate", "done"),
            ("token.revoke", "done"),
        ]
        equal(done, wanted, "what was done")
    with check("log out, and be nobody"):
        admin.post("/auth/logout").expect(200)
        asked_again(api, session).expect(401)


def make_developers(api, *names):
    """Makes people and logs them in; returns the API as each of them calls it."""
    section("Those who use the catalog")
    password = "skies of blue"
    sessions = []
    with check("make two developers, who log in"):
        for name in names:
            user = {"user_name": name, "password": password, "roles": {"example": "developer"}}
            api.post("/v1/users", user).expect(201)
            # Somebody else chose the password; the emulator remembers what was open to the first session.
            first = log_in(api, name, password)
            chosen = {"current_password": password, "new_password": f"{password} and fields of green"}
            api.with_key(first).post("/auth/password", chosen).expect(200)
            sessions.append(log_in(api, name, chosen["new_password"]))
    return [api.with_key(session) for session in sessions]


def use_session_again(catalog, name):
    """A session that was last used a while ago is used, which the authorizer writes down."""
    with check("that a session is used after a while is written down"):
        sessions = lambda: catalog.item(f"USER#{name}", "USER")["sessions"]["M"]  # noqa: E731
        then = str(int((time.time() - 600) * 1000))
        for session in sessions():
            catalog.dynamodb.update_item(
                TableName=catalog.outputs["TableName"],
                Key={"pk": {"S": f"USER#{name}"}, "sk": {"S": "USER"}},
                UpdateExpression="SET sessions.#session.last_used_at = :then",
                ExpressionAttributeNames={"#session": session},
                ExpressionAttributeValues={":then": {"N": then}},
            )

        def is_written_down():
            catalog.asks.get("/auth/me").expect(200)
            return any(session["M"]["last_used_at"]["N"] != then for session in sessions().values())

        # Not before API Gateway has forgotten what the authorizer answered last.
        until("its use being written down", is_written_down)


def log_in(api, name, password):
    login = api.with_key(None).post("/auth/login", {"username": name, "password": password})
    return login.expect(200).json()["token"]


def asked_again(api, token):
    """Who is calling, written in another way: the emulator has no flush and remembers the header as it was."""
    return api.get("/auth/me", {"Authorization": f"bearer  {token}"})


def forget_owed_flush(outputs, endpoint):
    """Takes back a flush that this emulator does not know, and each sweep would fail for; whether there was one."""
    dynamodb = boto3.client("dynamodb", endpoint_url=endpoint)
    owed = {"TableName": outputs["TableName"], "Key": {"pk": {"S": "FLUSH"}, "sk": {"S": "FLUSH"}}}
    return "Attributes" in dynamodb.delete_item(**owed, ReturnValues="ALL_OLD")


def drive_janitor(api, outputs, endpoint):
    """The janitor runs on schedule, and what it announces arrives on the bus."""
    section("The janitor")
    with check("it is called on schedule"):
        events = boto3.client("events", endpoint_url=endpoint)
        scheduled = [rule for rule in events.list_rules()["Rules"] if rule.get("ScheduleExpression")]
        targets = [
            target["Arn"].split(":function:")[-1]
            for rule in scheduled
            for target in events.list_targets_by_rule(Rule=rule["Name"])["Targets"]
        ]
        equal(targets, [f"{outputs['JanitorFunctionName']}:{stack.ALIAS}"], "what is called on schedule")
        # From here on it is called by the proof alone, which counts what it does.
        for rule in scheduled:
            events.disable_rule(Name=rule["Name"])
    with check("a flush that this emulator does not know stays owed, and is an error"):
        equal(sweep(outputs, endpoint).get("errorType"), "SweepFailed", "the report")
        if not forget_owed_flush(outputs, endpoint):
            raise Failure("it is not owed any more")
    with check("it announces a token that ends soon, once"):
        soon = {"project": "example", "service": "worker", "expiresInDays": 1}
        api.post("/v1/tokens", soon).expect(201)
        first, second = (sweep(outputs, endpoint) for _ in range(2))
        story.check_report(first)
        equal((first["announced"], first["published"]), (1, 1), f"the first sweep, {first}")
        equal((second["announced"], second["published"]), (0, 0), f"the second sweep, {second}")


def sweep(outputs, endpoint):
    """Calls the deployed janitor, as the schedule does; returns its report."""
    functions = boto3.client("lambda", endpoint_url=endpoint)
    answer = functions.invoke(FunctionName=outputs["JanitorFunctionName"], Qualifier=stack.ALIAS, Payload=b"{}")
    return json.loads(answer["Payload"].read())


def drive_jobs(api, concourse):
    section("Jobs and providers")
    with check("404 for a job that was never there"):
        api.get("/v1/jobs/job_nothing").expect_problem(404, "not-found")
    with check("PUT a Concourse"):
        provider = {"kind": "concourse", "url": concourse, "auth": CONCOURSE_USER, "open_to_all": True}
        answer = api.put("/v1/providers/concourse", provider).expect(201)
        if CONCOURSE_USER["password"] in answer.text + api.get("/v1/providers/concourse").expect(200).text:
            raise Failure("the password came back")
    with check("PUT the tenant of the jobs"):
        api.put("/v1/tenants/example", {"display_name": "Example"}).expect(200)
    with check("PUT a project, and DELETE it while it has nothing"):
        made = api.put("/v1/projects/passing", {"tenant": "example"}).expect(201)
        api.call("DELETE", "/v1/projects/passing", None, {"If-Match": made.headers["etag"]}).expect(204, None)
    with check("import jobs.yaml, which makes the project"):
        yaml = {"Content-Type": "application/yaml"}
        answer = api.post("/v1/jobs/import", JOBS_YAML, yaml, tenant="example").expect(200)
        equal(answer.json()["summary"]["created"], 3, "jobs created")
    with check("list the jobs"):
        listed = api.get("/v1/jobs", project="example").expect(200).json()
        equal([job["job_id"] for job in listed["jobs"]], ["job_failing", "job_hello", "job_slow"], "the jobs")
    with check("a body with unknown fields is refused, and nothing is written"):
        answer = api.put("/v1/jobs/job_bad", {"nonsense": True})
        answer.expect(answer.status if answer.status in (400, 422) else 422, PROBLEM)
        api.get("/v1/jobs/job_bad").expect_problem(404, "not-found")


def drive_providers(api, outputs):
    section("The Concourse itself")
    with check("ask it who we are and what we may do there"):
        found = api.post("/v1/providers/concourse/check").expect(200).json()["check"]
        equal(found["ok"], True, f"what the check says, {json.dumps(found, indent=1)}")
    with check("ask it for its jobs"):
        found = api.post("/v1/jobs/discover", {"project": "example"}).expect(200).json()["jobs"]
        if not found:
            raise Failure("it has none")
    with check("replace and delete a job"):
        shown = api.get("/v1/jobs/job_slow").expect(200)
        job = next(entry for entry in found if entry["provider"]["ref"]["job"] == "failing-job")
        body = {"project": "example", "provider": job["provider"]}
        changed = api.put("/v1/jobs/job_slow", body, {"If-Match": shown.headers["etag"]}).expect(200)
        api.call("DELETE", "/v1/jobs/job_slow", None, {"If-Match": changed.headers["etag"]}).expect(204, None)
        api.get("/v1/jobs/job_slow").expect_problem(404, "not-found")
    with check("list and delete the provider, and its secrets with it"):
        equal(len(api.get("/v1/providers").expect(200).json()["providers"]), 1, "providers")
        shown = api.get("/v1/providers/concourse").expect(200)
        api.call("DELETE", "/v1/providers/concourse", None, {"If-Match": shown.headers["etag"]}).expect(204, None)
        equal([name for name in secrets(outputs) if name.startswith("provider/")], [], "the secrets")


def trigger(api, job, key):
    return api.post(f"/v1/jobs/{job}/runs", {}, {"Idempotency-Key": key}).expect(201)


def secrets(outputs):
    """The names of the stack's secrets, without what they all begin with."""
    client = boto3.client("secretsmanager", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    prefix = outputs["SecretPrefix"] + "/"
    return sorted(secret["Name"].removeprefix(prefix) for secret in client.list_secrets()["SecretList"])


def status(api, run_id):
    return api.get(f"/v1/runs/{run_id}").expect(200).json()["run"]["status"]


def drive_runs(api, reader, outputs):
    section("Runs")
    with check("trigger, and the same again starts nothing new"):
        first = trigger(api, "job_hello", "proof-1").json()["run"]
        again = trigger(api, "job_hello", "proof-1")
        equal(again.json()["run"]["run_id"], first["run_id"], "the second answer's run")
        equal(again.headers.get("idempotency-replayed"), "true", "idempotency-replayed")
        listed = api.get("/v1/jobs/job_hello/runs").expect(200).json()["runs"]
        equal([run["run_id"] for run in listed], [first["run_id"]], "the job's runs")
    with check("the Concourse's token is kept for all functions"):
        kept = [name for name in secrets(outputs) if name.startswith("provider/")]
        equal(kept, ["provider/concourse/credentials", "provider/concourse/token"], "the secrets")
    with check("who watches logs in where nobody else has, and writes down how a run ended"):
        client = boto3.client("secretsmanager", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
        token = f"{outputs['SecretPrefix']}/provider/concourse/token"
        client.delete_secret(SecretId=token, ForceDeleteWithoutRecovery=True)
        watched = trigger(api, "job_hello", "proof-watched").json()["run"]["run_id"]
        # It ends while the first reads, and the second finds it so.
        for _ in range(2):
            events = api.get(f"/v1/runs/{watched}/events").expect(200, "text/event-stream").text
            if "event: end" not in events:
                raise Failure(f"no end: {events[-1000:]}")
        equal("provider/concourse/token" in secrets(outputs), True, "whether the token is kept again")
    with check("it ends well"):
        until("the run's success", lambda: status(api, first["run_id"]) == "succeeded")
    with check("its log has text"):
        if not api.get(f"/v1/runs/{first['run_id']}/log").expect(200, "text/plain").text.strip():
            raise Failure("the log is empty")
    with check("its events end"):
        events = api.get(f"/v1/runs/{first['run_id']}/events").expect(200, "text/event-stream").text
        if "event: end" not in events:
            raise Failure(f"no end: {events[-1000:]}")
    with check("run it again"):
        again = api.post(f"/v1/runs/{first['run_id']}/rerun", None, {"Idempotency-Key": "proof-rerun"}).expect(201)
        equal(again.json()["run"]["rerun_of"], first["run_id"], "rerun_of")
    with check("cancel a slow one"):
        slow = trigger(api, "job_slow", "proof-2").json()["run"]["run_id"]
        until("the slow run's start", lambda: status(api, slow) == "running")
        api.post(f"/v1/runs/{slow}/cancel").expect(202)
        until("its cancellation", lambda: status(api, slow) == "cancelled")
    with check("404 for a run that was never there"):
        api.get("/v1/runs/main:example-pipeline:hello-job:999999").expect_problem(404, "not-found")
        api.get("/v1/runs/main:example-pipeline:hello-job:999999/events").expect_problem(404, "not-found")
    with check("a key for reading reads"):
        reader.get("/v1/jobs", project="example").expect(200)
    with check("and gets 403 for a trigger"):
        # Refused by the authorizer's policy or by the function: the emulator's own body differs.
        reader.post("/v1/jobs/job_hello/runs", {}, {"Idempotency-Key": "proof-3"}).expect(403, None)


# ── Events ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def tell_story(stage, environment, key, concourse, recorder):
    """Every sample event against its binary, in the order and with the answers of events/README.md."""
    section("The story of the sample events")
    with contextlib.ExitStack() as running:
        functions = {}
        for bootstrap in sorted(stage.glob("target/lambda/*/bootstrap")):
            name = bootstrap.parent.name
            recorded = {"AWS_ENDPOINT_URL": recorder.listen(f"{name.capitalize()}Function")}
            functions[name] = running.enter_context(Lambda(name, bootstrap, WORK / "logs", environment | recorded))
        known = story.known_at_first(key, (concourse.url, concourse.password))
        story.tell(lambda function, event: functions[function].invoke(event), known, check)


def compare_rights(catalog, recorder):
    """What each function and state machine may do is what it has done, by the policies that stand there."""
    section("The rights, and what was done with them")
    seen = Seen(catalog, recorder)
    with check("every policy allows each call that was made, down to the resource and the keys") as line:
        line.append(f"{seen.insist_on_allowed()} calls")
    with check("and nothing that no call needed, but for what is accounted for") as line:
        line.append(f"{seen.insist_on_needed()} rights")
    with check("and none of the calls that somebody else may make, or nobody") as line:
        line.append(f"{seen.insist_on_refused()} calls")


# ── The proof ───────────────────────────────────────────────────────────────────────────────────────────────────────


def prove(stage, released, ministack_program, gatehouse):
    section("Package")
    weigh_package(stage, released)
    with contextlib.ExitStack() as running:
        section("Deployment")
        with check("start an emulated AWS"):
            work = WORK.resolve() / "ministack"
            aws = running.enter_context(MiniStack(ministack_program, work, WORK / "logs", EMULATOR))
        # From here on every tool, the `gatehouse` binary and the functions find AWS at the emulator.
        os.environ["AWS_ENDPOINT_URL"] = aws.url
        recorder = running.enter_context(Recorder(aws.url))
        recorded = recorder.listen()
        with check("sam deploy"):
            cluster = Cluster(aws.url)
            outputs = deploy(stage, aws.url, recorded, cluster)
        check_resources(outputs, aws.url)
        with check("start a Concourse"):
            concourse = running.enter_context(ConcourseTwin(gatehouse, WORK / "logs"))
        with check("make API keys"):
            admin_key = create_key(gatehouse, outputs["TableName"], "*")
            admin = admin_key["key"]
            reader = create_key(gatehouse, outputs["TableName"], "jobs:read")["key"]
        api = Api(aws.port, outputs["ApiId"], "proof")
        try:
            drive_without_key(api)
            drive_jobs(api.with_key(admin), concourse.url)
            # Before anything else speaks with the Concourse: the runs function must be able to fetch the first token.
            drive_runs(api.with_key(admin), api.with_key(reader), outputs)
            drive_people(api, outputs, gatehouse)
            drive_janitor(api.with_key(admin), outputs, aws.url)
            asks, decides = make_developers(api.with_key(admin), "proof-asks", "proof-decides")
            # Choosing a password has ended sessions.
            forget_owed_flush(outputs, aws.url)
            aliases = rollout.Aliases(outputs, aws.url)
            before, changed = aliases.versions(), "MetaFunctionName"
            rollout.change_code(stage, "meta")
            rights = Rights(STACK, outputs, aws.url)
            catalog = Catalog(outputs, aws.url, cluster, rights, api, api.with_key(admin), asks, decides)
            use_session_again(catalog, "proof-asks")
            drive_workflows(catalog, lambda: deploy(stage, aws.url, recorded, cluster, "UPDATE_COMPLETE"))
            section("What the update rolled out")
            old, new = rollout.follow_update(aliases, before, changed)
            event = Path("events/meta/show-health.json").read_bytes()
            rollout.go_back_and_forth(aliases, changed, old, new, event, api)
            drive_providers(api.with_key(admin), outputs)
            drive_recovery(api.with_key(admin), outputs, STACK, WORK)
            environment = stack.variables(outputs, STACK, "proof")
            tell_story(stage, environment, admin_key, concourse, recorder)
            compare_rights(catalog, recorder)
            drive_watch(stage, environment)
            redeploy_one(stage, outputs, aws.url, api)
            # Last: another tenant closes providers of which nobody has said who may use them.
            drive_moving(gatehouse, api.url, admin, WORK / "moving")
            rollout.delete_stack(STACK, aws.url)
            with check("and the secrets that the functions have made"):
                equal({name.split("/")[0] for name in secrets(outputs)}, {"provider", "signing-key"}, "the kinds of secrets")
        except Exception:
            save_function_logs(aws.url)
            raise


def save_function_logs(endpoint):
    """Writes what the deployed functions logged beside the other logs."""
    logs = boto3.client("logs", endpoint_url=endpoint)
    for group in logs.describe_log_groups()["logGroups"]:
        name = group["logGroupName"]
        lines = logs.filter_log_events(logGroupName=name, limit=200)["events"]
        if lines:
            file = WORK / "logs" / f"function{name.replace('/', '-')}.log"
            file.write_text("".join(line["message"].rstrip() + "\n" for line in lines))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stage", type=Path, required=True, help="folder with template.yaml and target/lambda")
    parser.add_argument("--released", required=True, help="the function that was built for release")
    parser.add_argument("--ministack", type=Path, required=True, help="the emulator's program")
    parser.add_argument("--gatehouse", type=Path, required=True, help="the local stack's binary")
    arguments = parser.parse_args()
    # So that `with` blocks end, and the processes with them, when somebody ends this one.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    shutil.rmtree(WORK, ignore_errors=True)
    (WORK / "logs").mkdir(parents=True)
    start = time.monotonic()
    try:
        prove(arguments.stage, arguments.released, arguments.ministack, arguments.gatehouse)
    except Exception as error:
        if not isinstance(error, Failure):
            traceback.print_exc()
        for log in sorted((WORK / "logs").glob("*.log")):
            show(log)
        print(f"\nThe deploy proof failed after {passed()} checks.\n{passed()} passed, 1 failed")
        sys.exit(1)
    print(f"\nThe deploy proof holds, in {time.monotonic() - start:.0f} s.\n{passed()} passed, 0 failed")


if __name__ == "__main__":
    main()
