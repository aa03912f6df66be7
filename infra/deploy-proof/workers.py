"""Plays those who do the work: the provisioner in place of ECS, and whoever gets the call of a webhook."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import boto3

from checks import equal, until
from emulators import HOST, Failure

CLUSTER = "provisioner"


class Cluster:
    """The ECS cluster that workers are started in. Without Docker the emulator starts none, and lists the task."""

    def __init__(self, endpoint):
        self._ecs = boto3.client("ecs", endpoint_url=endpoint)
        # Nobody takes them on here.
        self.task_role, self.execution_role = (make_role(endpoint, name) for name in ("provisioner", "provisioner-execution"))
        # The clusters and revisions of tasks that were run.
        self.run = set()
        self.arn = self._ecs.create_cluster(clusterName=CLUSTER)["cluster"]["clusterArn"]
        self.register(1)

    def register(self, version):
        """Registers a revision of the task definition, which is the one to run from then on."""
        container = {"name": "provisioner", "image": f"example.invalid/provisioner:{version}"}
        registered = self._ecs.register_task_definition(
            family="provisioner",
            requiresCompatibilities=["FARGATE"],
            networkMode="awsvpc",
            cpu="512",
            memory="1024",
            taskRoleArn=self.task_role,
            executionRoleArn=self.execution_role,
            containerDefinitions=[container],
        )
        self.task_definition = registered["taskDefinition"]["taskDefinitionArn"]

    def worker(self, api, operation, attempt, task_definition=None):
        """The worker of an attempt, as soon as its task was run, of this revision or the newest."""
        what = f"the task of attempt {attempt} of {operation}"
        wanted = task_definition or self.task_definition
        return Worker(api, until(what, lambda: self._find(operation, str(attempt), wanted), 90))

    def roles(self, task_definition):
        """The roles that a revision of the task definition is run with."""
        described = self._ecs.describe_task_definition(taskDefinition=task_definition)["taskDefinition"]
        return [described["taskRoleArn"], described["executionRoleArn"]]

    def _find(self, operation, attempt, task_definition):
        arns = self._ecs.list_tasks(cluster=CLUSTER)["taskArns"]
        tasks = self._ecs.describe_tasks(cluster=CLUSTER, tasks=arns)["tasks"] if arns else []
        for task in tasks:
            (override,) = task["overrides"]["containerOverrides"]
            equal(override["name"], "provisioner", "the container")
            given = {variable["name"]: variable["value"] for variable in override["environment"]}
            if (given["GATEHOUSE_OPERATION_ID"], given["GATEHOUSE_ATTEMPT"]) == (operation, attempt):
                self.run.add((task["clusterArn"], task["taskDefinitionArn"]))
                equal(task["taskDefinitionArn"], task_definition, "what was run")
                self._ecs.stop_task(cluster=CLUSTER, task=task["taskArn"], reason="played by the proof")
                return given
        return None


def make_role(endpoint, name):
    """Makes a role with which ECS runs tasks; returns its ARN."""
    trusted = {"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [trusted]})
    iam = boto3.client("iam", endpoint_url=endpoint)
    return iam.create_role(RoleName=name, AssumeRolePolicyDocument=policy)["Role"]["Arn"]


class Reporter:
    """Whoever reports by callback."""

    def __init__(self, api, operation, attempt, url, token):
        self._api, self._path = api, below_stage(url)
        self._said = {"operation_id": operation, "attempt": int(attempt)}
        self._token = token
        self._sequence = 0
        self._last = None

    def try_to(self, command, **members):
        """Reports, and returns the answer whatever it says."""
        self._sequence += 1
        self._last = {**self._said, "sequence": self._sequence, "command": command, **members}
        return self._send()

    def report(self, command, **members):
        """Reports news; returns what is answered."""
        answer = self.try_to(command, **members).expect(200).json()
        equal(answer["applied"], True, f"whether {self._last} was news")
        return answer

    def repeat(self):
        """Reports the same again, as after an answer that was lost."""
        answer = self._send().expect(200).json()
        equal(answer["applied"], False, f"whether the repetition of {self._last} was news")

    def _send(self):
        return self._api.post(self._path, self._last, {"X-Callback-Token": self._token})


class Worker(Reporter):
    """One attempt of the provisioner, with the variables that its task was run with."""

    def __init__(self, api, variables):
        super().__init__(
            api,
            variables["GATEHOUSE_OPERATION_ID"],
            variables["GATEHOUSE_ATTEMPT"],
            variables["GATEHOUSE_CALLBACK_URL"],
            variables["GATEHOUSE_CALLBACK_TOKEN"],
        )
        self.phase = variables["GATEHOUSE_PHASE"]
        self._task_token = variables["GATEHOUSE_TASK_TOKEN"]

    def start(self):
        """Says that it works; returns the work order."""
        return self.report("started", task_token=self._task_token)["work"]

    def plan(self, add=0, change=0, destroy=0):
        """Does the work of a plan; returns the work order."""
        work = self.start()
        equal((self.phase, work["phase"]), ("plan", "plan"), "the phase")
        self.report("progress", step="plan", state="running", log=["Terraform will perform the following actions"])
        self.report("success", plan={"add": add, "change": change, "destroy": destroy})
        return work

    def apply(self, **outputs):
        """Does the work of an apply; returns the work order."""
        work = self.start()
        equal((self.phase, work["phase"]), ("apply", "apply"), "the phase")
        self.report("progress", step="apply", state="running", percentage=50)
        self.report("success", outputs=outputs)
        return work


class WebhookReceiver:
    """A webhook on this machine, which keeps what it was sent."""

    def __enter__(self):
        calls = self._calls = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):  # noqa: N802, the name is the library's
                body = self.rfile.read(int(self.headers["Content-Length"]))
                calls.append((self.headers["Idempotency-Key"], json.loads(body)))
                self.send_response(202)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer((HOST, 0), Handler)
        self.url = f"http://{HOST}:{self._server.server_address[1]}/deploy"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    def call(self, operation):
        """The one call for an operation, as soon as it is there."""
        of = lambda: [body for _, body in self._calls if body["operation_id"] == operation]  # noqa: E731
        (body,) = until(f"the webhook's call for {operation}", of, 90)
        return body

    def reporter(self, api, operation):
        """Whoever was called for an operation, with the token of the call."""
        body = self.call(operation)
        return Reporter(api, operation, body["attempt"], body["callback_url"], body["callback_token"])


def below_stage(url):
    """The path that a callback URL has below the API's stage."""
    host, path = urlsplit(url).netloc, urlsplit(url).path
    if ".execute-api." not in host:
        raise Failure(f"{url} is not an address of the API")
    return path[path.index("/", 1) :]
