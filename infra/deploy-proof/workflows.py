"""Takes the deployed workflows along each of their paths, and insists that each ends in a recorded outcome."""

import contextlib
import itertools
import json

import boto3

from calls import of_task
from checks import check, equal, section, side_by_side, until
from emulators import Failure
from workers import WebhookReceiver

# With which the functions speak to the Concourse.
TOKEN = "{SecretPrefix}/provider/concourse/token"

# Of the paths on which nobody answers: how long the copy of the definition waits, in seconds.
SHORT = 8


def drive_workflows(catalog, update):
    """Every path of both state machines, those side by side that do not disturb each other. `update` deploys the stack
    once more."""
    catalog.rights.let_answers_pass()
    with WebhookReceiver() as webhook:
        section("Provisioning")
        provisioning = create_provisioned(catalog)
        side_by_side(
            lambda: live_through(provisioning),
            lambda: fail_to_plan(provisioning),
            lambda: fail_to_apply(provisioning),
            lambda: wait_for_approval(provisioning),
            lambda: stop_while_waiting(provisioning),
            lambda: stop_while_working(provisioning),
        )
        section("Deploying")
        deploying = create_deployed(catalog, webhook)
        side_by_side(
            lambda: deploy_by_job(deploying),
            lambda: deploy_by_webhook(deploying, webhook),
            lambda: deploy_with_approval(deploying, webhook),
            lambda: stop_deploying(deploying),
        )
        section("Nobody answers")
        silence(provisioning, deploying, webhook)
        section("The stack is updated")
        update_under_way(provisioning, update)
        section("What is lost on the way")
        lose_start(provisioning)
        lose_decision(provisioning)
        lose_worker(provisioning)
        lose_outcome(provisioning)
        lose_time(provisioning)
        lose_deploys(deploying, webhook)


# ── Provisioning ────────────────────────────────────────────────────────────────────────────────────────────────────


MODULE = {"inputs": {"greeting": {"type": "string"}, "password": {"type": "string", "sensitive": True}}}


def create_provisioned(catalog):
    with check("publish a module"):
        catalog.creates.put("/v1/modules/example", MODULE).expect(200)
        listed = catalog.asks.get("/v1/modules").expect(200).json()["modules"]
        equal([module["name"] for module in listed], ["example"], "the modules")
    plain = {"module": "example", "inputs": {"greeting": "hello", "password": "secret-of-the-proof"}}
    asked = {**plain, "approval_required": True}
    environments = {
        **{name: plain for name in ("live", "no-plan", "no-apply", "stopped", "silent-plan", "silent-apply", "lost")},
        "short-lived": {**plain, "ttl_hours": 1},
        **{name: asked for name in ("approved", "refused", "withdrawn", "unanswered", "unheard", "unrecorded")},
    }
    with check("create a service with environments to provision"):
        service = catalog.create("proof-shop", environments)
    with check("find it by its name"):
        found = catalog.asks.get("/services", name="proof-shop").expect(200).json()["services"]
        equal([it["id"] for it in found], [service.id], "the services of this name")
    return service


def live_through(service):
    """Provisioned, looked at for drift, provisioned again without a change, and deprovisioned."""
    with check("provision an environment"):
        operation = service.ask("provision", "live", inputs={"greeting": "good morning"})
        work = operation.worker(1).plan(add=2)
        inputs = {"greeting": "good morning", "password": "secret-of-the-proof"}
        wanted = ("example", service.name, "live", "example", inputs, ["password"])
        names = ("tenant", "service", "environment", "module", "inputs", "secret_inputs")
        equal(tuple(work[name] for name in names), wanted, "the work order")
        operation.worker(2).apply(address={"value": "https://shop.example.test"}, password={"sensitive": True})
        shown = operation.ended("succeeded")
        equal(shown["plan"], {"add": 2, "change": 0, "destroy": 0}, "the plan")
        stands = service.environment("live")["infrastructure"]
        equal((stands["state"], stands["outputs"]), ("present", shown["outputs"]), "what the environment has")
        equal(shown["outputs"]["password"], {"sensitive": True}, "the sensitive output")
        equal((shown["inputs"], shown["secret_inputs"]), ({"greeting": "good morning"}, ["password"]), "what is shown")
    with check("its workflow invoked the callbacks function directly"):
        path = ["BeginPlan", "Plan", "WhatNext", "BeginApply", "Apply", "Finish", "Done"]
        equal(operation.history(), path, "the states")
        insist_on_direct_calls(operation)
    with check("check its drift"):
        operation = service.ask("drift", "live")
        operation.worker(1).plan(change=1)
        operation.ended("succeeded")
        equal(service.environment("live")["drift"]["state"], "detected", "the drift")
    with check("a plan without changes is not applied, and needs no approval"):
        operation = service.ask("provision", "live")
        operation.worker(1).plan()
        shown = operation.ended("succeeded")
        equal((shown["attempt"], "BeginApply" in operation.history()), (1, False), "what was done")
        equal(shown["outputs"]["address"], {"value": "https://shop.example.test"}, "what came out before")
    with check("deprovision it"):
        operation = service.ask("deprovision", "live")
        equal(operation.worker(1).plan(destroy=2)["kind"], "deprovision", "the kind")
        operation.worker(2).apply()
        operation.ended("succeeded")
        equal(service.environment("live")["infrastructure"]["state"], "absent", "the environment")


def insist_on_direct_calls(operation):
    """The function that takes reports over HTTP has logged the commands, which no route of the API takes."""
    catalog = operation.catalog
    logs = boto3.client("logs", endpoint_url=catalog.states.meta.endpoint_url)
    function = catalog.outputs["CallbacksFunctionName"]
    group = catalog.functions.get_function_configuration(FunctionName=function)["LoggingConfig"]["LogGroup"]
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group)
    lines = [event["message"] for page in pages for event in page["events"]]
    begun = [line for line in lines if operation.id in line and "attempt begun" in line]
    equal(len(begun), 2, "attempts that the function logged")
    command = {"command": "finish", "operation_id": operation.id}
    catalog.api.post("/provisioning/callback", command).expect_problem(401, "callback-token-invalid")


def fail_to_plan(service):
    with check("a worker that cannot plan fails the operation"):
        operation = service.ask("provision", "no-plan")
        worker = operation.worker(1)
        worker.start()
        worker.report("failure", reason="the module does not exist")
        worker.repeat()
        operation.ended("failed", "the module does not exist")
        equal(service.environment("no-plan")["infrastructure"]["state"], "absent", "the environment")
        worker.try_to("heartbeat").expect_problem(409, "operation-ended")


def fail_to_apply(service):
    with check("a worker that fails to apply leaves a part behind"):
        operation = service.ask("provision", "no-apply")
        planner = operation.worker(1)
        planner.plan(add=1)
        worker = operation.worker(2)
        planner.try_to("heartbeat").expect_problem(409, "attempt-superseded")
        worker.start()
        worker.report("failure", reason="AccessDenied: not authorised to create it")
        operation.ended("failed", "AccessDenied")
        equal(service.environment("no-apply")["infrastructure"]["state"], "partial", "the environment")
    with check("and what is left is deprovisioned"):
        operation = service.ask("deprovision", "no-apply")
        operation.worker(1).plan(destroy=1)
        operation.worker(2).apply()
        operation.ended("succeeded")


def wait_for_approval(service):
    with check("whoever asked may not approve"):
        operation = service.ask("provision", "approved")
        operation.worker(1).plan(add=1)
        operation.reach("awaiting_approval")
        service.catalog.asks.post(f"{operation.path}/approve", {}).expect_problem(403, "forbidden")
    with check("approved by somebody else, it is applied"):
        equal(operation.decide("approve", "go ahead")["approval"]["approved"], True, "the verdict")
        operation.worker(2).apply()
        equal(operation.ended("succeeded")["approval"]["comment"], "go ahead", "the comment")
    with check("refused, it is not"):
        operation = service.ask("provision", "refused")
        operation.worker(1).plan(add=1)
        operation.decide("reject", "not on a Friday")
        operation.ended("rejected", "not on a Friday")
        equal("BeginApply" in operation.history(), False, "whether it was applied")


def stop_while_waiting(service):
    with check("cancelled while it waits for approval, it ends at once"):
        operation = service.ask("provision", "withdrawn")
        operation.worker(1).plan(add=1)
        operation.reach("awaiting_approval")
        equal(operation.cancel()["status"], "cancelled", "the status")
        operation.ended("cancelled")


def stop_while_working(service):
    with check("cancelled while a worker works, it ends when that has stopped"):
        operation = service.ask("provision", "stopped")
        worker = operation.worker(1)
        worker.start()
        equal(worker.report("heartbeat")["cancel"], False, "whether it is to stop")
        equal(operation.cancel()["status"], "cancelling", "the status")
        equal(worker.report("heartbeat")["cancel"], True, "whether it is to stop")
        worker.report("failure", reason="Terraform was interrupted", cancelled=True)
        operation.ended("cancelled")


# ── Deploying ───────────────────────────────────────────────────────────────────────────────────────────────────────


def create_deployed(catalog, webhook):
    by_job = lambda job: {"deploy": {"job": job}}  # noqa: E731
    by_webhook = {"deploy": {"webhook": webhook.url}}
    environments = {
        "job": by_job("job_hello"),
        "failing-job": by_job("job_failing"),
        "slow-job": by_job("job_slow"),
        "webhook": by_webhook,
        "asked": {**by_webhook, "approval_required": True},
        "silent": by_webhook,
    }
    with check("create a service with environments to deploy to"):
        # So that the deployer has to get one itself.
        catalog.secrets.delete_secret(SecretId=TOKEN.format(**catalog.outputs), ForceDeleteWithoutRecovery=True)
        return catalog.create("proof-site", environments)


def deploy_by_job(service):
    with check("deploy by a job of the Concourse"):
        operation = service.ask("deploy", "job", version="1.4.2")
        run = operation.ended("succeeded")["run_id"]
        equal(service.catalog.asks.get(f"/v1/runs/{run}").expect(200).json()["run"]["status"], "succeeded", "the run")
        equal(service.environment("job")["deployed"]["version"], "1.4.2", "what is deployed")
    with check("a job that fails fails the deploy"):
        operation = service.ask("deploy", "failing-job", version="1.4.2")
        shown = operation.ended("failed")
        if shown["run_id"] not in shown["reason"]:
            raise Failure(f"the reason does not name the run: {shown['reason']}")


def deploy_by_webhook(service, webhook):
    with check("deploy by a webhook, which reports by callback"):
        operation = service.ask("deploy", "webhook", version="2.0.0")
        called = webhook.call(operation.id)
        equal((called["environment"], called["version"]), ("webhook", "2.0.0"), "what was posted")
        reporter = webhook.reporter(service.catalog.api, operation.id)
        reporter.report("progress", step="rollout", state="running", percentage=50)
        reporter.report("success", message="2.0.0 is live")
        operation.ended("succeeded")
        equal(service.environment("webhook")["deployed"]["version"], "2.0.0", "what is deployed")
    with check("one that reports a failure fails the deploy"):
        operation = service.ask("deploy", "webhook", version="2.0.1")
        webhook.reporter(service.catalog.api, operation.id).report("failure", reason="the health check failed")
        operation.ended("failed", "the health check failed")
        equal(service.environment("webhook")["deployed"]["version"], "2.0.0", "what is deployed")


def deploy_with_approval(service, webhook):
    with check("approved, a deploy goes on"):
        operation = service.ask("deploy", "asked", version="3.0.0")
        operation.decide("approve")
        webhook.reporter(service.catalog.api, operation.id).report("success")
        operation.ended("succeeded")
    with check("refused, it does not"):
        operation = service.ask("deploy", "asked", version="3.0.1")
        operation.decide("reject")
        operation.ended("rejected")
    with check("cancelled while it waits, it ends at once"):
        operation = service.ask("deploy", "asked", version="3.0.2")
        operation.reach("awaiting_approval")
        operation.cancel()
        operation.ended("cancelled")


def stop_deploying(service):
    with check("cancelled while a run deploys, it stops the run"):
        operation = service.ask("deploy", "slow-job", version="1.4.2")
        run = until("the run", lambda: operation.show().get("run_id"), 60)
        operation.cancel()
        operation.ended("cancelled")
        shown = service.catalog.asks.get(f"/v1/runs/{run}").expect(200).json()["run"]
        equal(shown["status"], "cancelled", "the run")


# ── Nobody answers ──────────────────────────────────────────────────────────────────────────────────────────────────


@contextlib.contextmanager
def impatient(catalog, kind, *states):
    """Has executions that begin in the `with` block wait in these states for a short while only: the emulator has no
    heartbeats, and nobody here has seven days. Everything else is as it was deployed."""
    machine = catalog.machine(kind)
    deployed = catalog.states.describe_state_machine(stateMachineArn=machine)["definition"]
    copy = json.loads(deployed)
    for state in states:
        copy["States"][state]["TimeoutSeconds"] = SHORT
    catalog.states.update_state_machine(stateMachineArn=machine, definition=json.dumps(copy))
    try:
        yield
    finally:
        catalog.states.update_state_machine(stateMachineArn=machine, definition=deployed)


def begun(operation):
    """Waits until its execution has read its definition; returns the operation."""
    until(f"the beginning of {operation.id}", lambda: operation.show()["status"] != "queued", 60)
    return operation


def silence(provisioning, deploying, webhook):
    catalog = provisioning.catalog
    with impatient(catalog, "provision", "Plan"):
        unplanned = begun(provisioning.ask("provision", "silent-plan"))
    with impatient(catalog, "provision", "Apply", "AwaitApproval"), impatient(catalog, "deploy", "CallWebhook"):
        unapplied = begun(provisioning.ask("provision", "silent-apply"))
        unanswered = begun(provisioning.ask("provision", "unanswered"))
        undeployed = begun(deploying.ask("deploy", "silent", version="1.4.2"))
    with impatient(catalog, "deploy", "AwaitApproval"):
        unapproved = begun(deploying.ask("deploy", "asked", version="3.0.3"))
    side_by_side(
        lambda: plan_in_silence(unplanned),
        lambda: apply_in_silence(provisioning, unapplied),
        lambda: answer_nothing(unanswered, unapproved),
        lambda: deploy_in_silence(undeployed, webhook),
    )


def plan_in_silence(operation):
    with check("a plan whose worker is silent is tried three times"):
        first = operation.worker(1)
        first.start()
        operation.worker(2)
        first.try_to("heartbeat").expect_problem(409, "attempt-superseded")
        operation.worker(3)
        shown = operation.ended("timed_out", "not heard of")
        equal((shown["attempt"], operation.history().count("Plan")), (3, 3), "the attempts")


def apply_in_silence(service, operation):
    with check("an apply whose worker falls silent is not tried again"):
        operation.worker(1).plan(add=1)
        operation.worker(2).start()
        operation.ended("timed_out", "not heard of")
        equal(operation.history().count("Apply"), 1, "the attempts")
        equal(service.environment(operation.environment)["infrastructure"]["state"], "partial", "the environment")


def answer_nothing(provision, deploy):
    with check("what nobody approves in time is not done"):
        provision.worker(1).plan(add=1)
        provision.ended("timed_out", "nobody approved it in time")
        deploy.ended("timed_out", "nobody approved it in time")


def deploy_in_silence(operation, webhook):
    with check("a webhook that took the call and says no more fails the deploy"):
        webhook.call(operation.id)
        operation.ended("timed_out", "not heard of")


# ── The stack is updated ────────────────────────────────────────────────────────────────────────────────────────────


def update_under_way(service, update):
    """A deployment registers a revision of the worker and updates the stack, while executions go on with the definition
    that they began with."""
    catalog = service.catalog
    cluster, older = catalog.cluster, catalog.cluster.task_definition
    with check("the stack is updated while an operation waits for approval and another works"):
        waiting = service.ask("provision", "refused")
        waiting.worker(1).plan(add=1)
        waiting.reach("awaiting_approval")
        working = service.ask("provision", "no-plan")
        planner = working.worker(1)
        planner.start()
        cluster.register(2)
        equal(update(), catalog.outputs, "the outputs")
    with check("the state machine may run the older revision as well"):
        both = (of_task(cluster.arn, revision, cluster.roles(revision)) for revision in (older, cluster.task_definition))
        catalog.rights.insist_on_calls("ProvisionStateMachine", itertools.chain(*both))
    with check("both operations go on with it"):
        planner.report("success", plan={"add": 1, "change": 0, "destroy": 0})
        working.worker(2, older).apply()
        working.ended("succeeded")
        waiting.decide("approve")
        waiting.worker(2, older).apply()
        waiting.ended("succeeded")
    with check("what is asked for from then on runs the newer one"):
        operation = service.ask("deprovision", "no-plan")
        operation.worker(1).plan(destroy=1)
        operation.worker(2).apply()
        operation.ended("succeeded")


# ── What is lost on the way ─────────────────────────────────────────────────────────────────────────────────────────


def lose_start(service):
    """The catalog function recorded the operation, and did not get as far as to begin its execution."""
    catalog = service.catalog
    with check("a start that was lost is made up for by the janitor, once"):
        with catalog.denied("CatalogFunctionName", "states:StartExecution"):
            operation = service.ask("provision", "lost")
        equal(operation.execution(), None, "the execution")
        equal(catalog.sweep()["told"], 1, "workflows that were told")
        operation.worker(1).plan(add=1)
        equal(catalog.sweep()["told"], 0, "workflows that were told")
        operation.worker(2).apply()
        shown = operation.ended("succeeded")
        equal((shown["attempt"], operation.history().count("BeginPlan")), (2, 1), "the attempts")


def lose_decision(service):
    """The catalog function recorded what somebody said, and did not get as far as to tell the workflow."""
    catalog = service.catalog
    with check("an approval that did not arrive is passed on by the janitor"):
        operation = service.ask("provision", "unheard")
        operation.worker(1).plan(add=1)
        with catalog.denied("CatalogFunctionName", "states:SendTaskSuccess"):
            operation.decide("approve")
        equal(catalog.sweep()["told"], 1, "workflows that were told")
        operation.worker(2).apply()
        operation.ended("succeeded")
    with check("so is a refusal"):
        operation = service.ask("provision", "unheard")
        operation.worker(1).plan(add=1)
        with catalog.denied("CatalogFunctionName", "states:SendTaskFailure"):
            operation.decide("reject")
        equal(catalog.sweep()["told"], 1, "workflows that were told")
        operation.ended("rejected")


def lose_worker(service):
    """Nobody is left who could hear that the operation was cancelled."""
    catalog = service.catalog
    with check("cancelled before its workflow began, it ends at once"):
        with catalog.denied("CatalogFunctionName", "states:StartExecution"):
            operation = service.ask("provision", "lost")
        equal(operation.cancel()["status"], "cancelled", "the status")
        operation.ended("cancelled", execution=None)
        equal(catalog.sweep()["told"], 0, "workflows that were told")
    with check("cancelled, and its worker does not stop: the janitor ends it"):
        operation = service.ask("provision", "stopped")
        worker = operation.worker(1)
        worker.start()
        operation.cancel()
        equal(catalog.sweep()["ended"], 0, "operations that were ended before the worker had its time")
        operation.age("cancel.at", minutes=16)
        equal(catalog.sweep()["ended"], 1, "operations that were ended")
        operation.ended("cancelled", "did not answer", execution=("ABORTED", "Stopped"))
        worker.try_to("heartbeat").expect_problem(409, "operation-ended")


def lose_outcome(service):
    """The callbacks function can write nothing, until the workflow has given up."""
    catalog = service.catalog
    with check("an outcome that could not be recorded is found by the janitor"):
        operation = service.ask("provision", "unrecorded")
        operation.worker(1).plan(add=1)
        operation.reach("awaiting_approval")
        with catalog.denied("CallbacksFunctionName", "dynamodb:PutItem", "dynamodb:UpdateItem"):
            operation.decide("approve")
            execution = operation.execution_ended()
        equal((execution["status"], execution["error"]), ("FAILED", "OutcomeNotRecorded"), "the execution")
        equal(catalog.sweep()["ended"], 0, "operations that were ended before they were quiet for long")
        operation.age("updated_at", minutes=6)
        equal(catalog.sweep()["ended"], 1, "operations that were ended")
        operation.ended("failed", "OutcomeNotRecorded", execution=("FAILED", "OutcomeNotRecorded"))
    with check("and its environment can be used again"):
        operation = service.ask("provision", "unrecorded")
        operation.worker(1).plan()
        operation.ended("succeeded")


def lose_time(service):
    """An environment was made for an hour, and the hour is over."""
    catalog = service.catalog
    with check("an environment whose time is over is deprovisioned by the janitor"):
        operation = service.ask("provision", "short-lived")
        operation.worker(1).plan(add=1)
        operation.worker(2).apply()
        operation.ended("succeeded")
        equal(catalog.sweep()["expired"], 0, "environments whose time was over")
        service.outlive("short-lived")
        equal(catalog.sweep()["expired"], 1, "environments whose time was over")
        operation = service.running("short-lived")
        equal((operation.kind, operation.show()["requested_by"]), ("deprovision", "gatehouse:janitor"), "what goes on")
        operation.worker(1).plan(destroy=1)
        operation.worker(2).apply()
        operation.ended("succeeded")
        equal(service.environment("short-lived")["infrastructure"]["state"], "absent", "the environment")


def lose_deploys(service, webhook):
    """The same on the way to a deploy, which another state machine drives."""
    catalog = service.catalog
    with check("what was lost of a deploy is made up for as well: its start"):
        with catalog.denied("CatalogFunctionName", "states:StartExecution"):
            operation = service.ask("deploy", "webhook", version="4.0.0")
        equal(catalog.sweep()["told"], 1, "workflows that were told")
        webhook.reporter(catalog.api, operation.id).report("success")
        operation.ended("succeeded")
    with check("what was decided about it"):
        for answer, action, ending in (
            ("approve", "states:SendTaskSuccess", "succeeded"),
            ("reject", "states:SendTaskFailure", "rejected"),
        ):
            operation = service.ask("deploy", "asked", version="4.0.1")
            operation.reach("awaiting_approval")
            # So long that the janitor asks whether its execution is still there.
            operation.age("updated_at", minutes=61)
            equal(catalog.sweep()["ended"], 0, "operations that were ended")
            with catalog.denied("CatalogFunctionName", action):
                operation.decide(answer)
            equal(catalog.sweep()["told"], 1, "workflows that were told")
            if ending == "succeeded":
                webhook.reporter(catalog.api, operation.id).report("success")
            operation.ended(ending)
    with check("that it is cancelled before it began"):
        with catalog.denied("CatalogFunctionName", "states:StartExecution"):
            operation = service.ask("deploy", "webhook", version="4.0.2")
        equal(operation.cancel()["status"], "cancelled", "the status")
        operation.ended("cancelled", execution=None)
    with check("and that its deployer does not work: the janitor ends it"):
        operation = service.ask("deploy", "slow-job", version="4.0.3")
        run = until("the run", lambda: operation.show().get("run_id"), 60)
        with catalog.denied("DeployerFunctionName", "dynamodb:GetItem"):
            operation.cancel()
            operation.age("cancel.at", minutes=16)
            equal(catalog.sweep()["ended"], 1, "operations that were ended")
            operation.ended("cancelled", "did not answer", execution=("ABORTED", "Stopped"))
        catalog.asks.post(f"/v1/runs/{run}/cancel").expect(202)
