"""Tells the story of the sample events with `sam local invoke`, and asks `sam local start-api`, with a real Docker.

Run by run.sh: with `--daemon` in namespaces of its own, where it starts a Docker; otherwise with the Docker that is there. A
machine that runs no containers is told from one whose answers are wrong: `not checked`, and success.
"""

import argparse
import contextlib
import ipaddress
import json
import multiprocessing
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
import traceback
import urllib.error
import urllib.request
from pathlib import Path

import docker
import yaml

# SAM reads the template twice for each command, with PyYAML's parser in Python, in half of its time. This is the one in C.
yaml.SafeLoader = yaml.CSafeLoader
# It asks STS whose account this is, and nobody answers here; asking again and again would take most of the time.
os.environ["AWS_MAX_ATTEMPTS"] = "1"

# SAM CLI and all that it imports, once; each `sam local invoke` is a fork of this process.
from samcli.cli.main import cli  # noqa: E402
from samcli.commands.local.invoke import cli as _invoke  # noqa: E402, F401
from samcli.local.docker.lambda_image import LambdaImage, Runtime  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "deploy-proof"))

import story  # noqa: E402
from checks import check, equal, passed, run, section, show, until  # noqa: E402
from emulators import ConcourseTwin, Failure, Process  # noqa: E402

ARCHITECTURE = {"x86_64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}[platform.machine()]
# The image that SAM runs functions in, by its own word.
IMAGE = f"{LambdaImage._INVOKE_REPO_PREFIX}/{Runtime.get_image_name_tag('provided.al2023', ARCHITECTURE)}"
# What Amazon Linux 2023 has.
C_LIBRARY = (2, 34)
CONCOURSE_PORT = 8081
API_PORT = 3000
# An invocation, on a machine that compiles meanwhile.
PATIENCE = 180


class NotHere(Exception):
    """This machine runs no containers, and why."""


# ── Docker ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class Daemon(Process):
    """A Docker of our own, with all that it keeps in a folder."""

    def __init__(self, folder, logs):
        super().__init__("dockerd", ["dockerd", "--log-level", "warn", "--data-root", folder], logs)

    def __enter__(self):
        self.log.unlink(missing_ok=True)
        super().__enter__()
        end = time.monotonic() + 60
        while not is_there():
            if not self.still_runs() or time.monotonic() > end:
                raise NotHere(f"Docker does not start: {last_line(self.log)}")
            time.sleep(0.2)
        return self


def is_there():
    with contextlib.suppress(docker.errors.DockerException):
        return docker.from_env(timeout=20).ping()
    return False


def last_line(log):
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else "it says nothing"


def provide_image(client, archive):
    """An archive under the name of Amazon's image; without one, that very image."""
    if archive is None:
        try:
            client.images.get(IMAGE)
        except docker.errors.ImageNotFound:
            pull_image(client)
        return
    repository, tag = IMAGE.rsplit(":", 1)
    changes = ["ENV LAMBDA_TASK_ROOT=/var/task", "WORKDIR /var/task"]
    client.api.import_image_from_file(str(archive), repository=repository, tag=tag, changes=changes)
    client.images.get(IMAGE)


def pull_image(client):
    try:
        client.images.pull(IMAGE)
    except docker.errors.DockerException as error:
        raise NotHere(f"{IMAGE} is not there, and cannot be pulled: {error}") from error


def insist_on_containers(client):
    """That this machine runs containers at all, before anything that is wrong is held against the functions."""
    try:
        said = client.containers.run(IMAGE, entrypoint=["/bin/sh", "-c", "echo here"], remove=True)
    except docker.errors.DockerException as error:
        raise NotHere(f"Docker runs no container: {error}") from error
    equal(said.strip(), b"here", "what a container says")


def bridge(client):
    """The address of this machine on Docker's bridge."""
    settings = client.networks.get("bridge").attrs["IPAM"]["Config"][0]
    # A Docker that has just begun names the network alone; its own address is the first in it.
    return settings.get("Gateway") or str(ipaddress.ip_network(settings["Subnet"])[1])


def insist_on_no_container(client):
    """SAM makes containers of an image of its own with this one below."""
    left = lambda: client.containers.list(all=True, filters={"ancestor": IMAGE}, ignore_removed=True)  # noqa: E731
    until("the end of all containers", lambda: not left())


# ── SAM ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Sam:
    """`sam local` with what docs/SAM.md says to say to it."""

    def __init__(self, stage, work, address):
        self._work = work / "invoke"
        self._options = [
            *("--template-file", str(stage / "template.yaml"), "--env-vars", str(work / "env.json")),
            *("--region", "eu-west-1", "--skip-pull-image", "--add-host", f"localhost:{address}"),
            *("--parameter-overrides", f"Architecture={ARCHITECTURE} ResponseStreaming=off"),
        ]
        shutil.rmtree(self._work, ignore_errors=True)
        self._work.mkdir(parents=True)
        self._count = 0

    def invoke(self, function, event):
        """`sam local invoke`; returns what the function answers."""
        self._count += 1
        base = self._work / f"{self._count:03}-{function}"
        base.with_suffix(".json").write_bytes(event)
        command = ["local", "invoke", logical_id(function), "--event", str(base.with_suffix(".json")), *self._options]
        sys.stdout.flush()
        child = multiprocessing.get_context("fork").Process(target=be_sam, args=(command, base))
        child.start()
        child.join(PATIENCE)
        if child.exitcode is None:
            child.kill()
        said = base.with_suffix(".out").read_text(errors="replace")
        log = base.with_suffix(".log")
        if child.exitcode != 0:
            raise Failure(f"sam local invoke ended with {child.exitcode}: {log.read_text(errors='replace')[-2000:]}")
        try:
            return json.loads(said)
        except ValueError as error:
            raise Failure(f"not JSON: {said[:500]!r}; {log.read_text(errors='replace')[-2000:]}") from error

    def start_api(self, logs):
        return StartApi(["local", "start-api", *self._options], logs)


def logical_id(function):
    return f"{function.capitalize()}Function"


def be_sam(command, base):
    """What the program `sam` does, in a process that has imported it already."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for end, stream in (("out", 1), ("log", 2)):
        file = os.open(base.with_suffix(f".{end}"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(file, stream)
    cli.main(command, prog_name="sam")


class StartApi(Process):
    """`sam local start-api`, until it is told to end."""

    def __init__(self, command, logs):
        self.url = f"http://127.0.0.1:{API_PORT}"
        super().__init__(
            "start-api",
            [shutil.which("sam"), *command, "--port", str(API_PORT), "--warm-containers", "LAZY"],
            logs,
        )

    def __enter__(self):
        super().__enter__()
        self.wait_for(self.url, 120)
        return self

    def __exit__(self, *ended):
        # With more patience than for others: it takes its containers away.
        with contextlib.suppress(Failure):
            self.end()
        super().__exit__(*ended)

    def end(self):
        """By SIGTERM; returns when it has ended by itself."""
        self._child.terminate()
        try:
            self._child.wait(60)
        except subprocess.TimeoutExpired as error:
            raise Failure("it does not end by SIGTERM within 60 s") from error

    def ask(self, method, path, key=None):
        """The status and the body of an answer."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        request = urllib.request.Request(self.url + path, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()


# ── The proof ───────────────────────────────────────────────────────────────────────────────────────────────────────


def insist_on_c_library(stage):
    """That the binaries need none newer than Amazon Linux 2023 has, as those of a dev build do on a newer machine."""
    needed = {path.parent.name: needs(path) for path in sorted(stage.glob("target/lambda/*/bootstrap"))}
    name, newest = max(needed.items(), key=lambda item: item[1])
    shown = "GLIBC_" + ".".join(map(str, newest))
    if newest > C_LIBRARY:
        raise NotHere(f"{name} was built with a newer C library than Amazon Linux 2023 has, {shown}")
    print(f"The functions need {shown} at most, which Amazon Linux 2023 has", flush=True)


def needs(binary):
    """The newest version of the C library that a binary names."""
    words = run("readelf", "--version-info", "--wide", binary).replace("(", " ").replace(")", " ").split()
    versions = [word.removeprefix("GLIBC_") for word in words if word.startswith("GLIBC_2")]
    return max(tuple(map(int, version.split("."))) for version in versions)


def prove(client, arguments):
    work, logs = arguments.work, arguments.work / "logs"
    address = bridge(client)
    section("sam local, with Docker")
    with contextlib.ExitStack() as running:
        with check("make table, on the bridge"):
            table = [
                *(sys.executable, Path(__file__).parents[1] / "table.py", "--work", work),
                *("--env-vars", work / "env.json", "--ministack", arguments.ministack, "--gatehouse", arguments.gatehouse),
                *("--address", address, "--concourse-port", str(CONCOURSE_PORT)),
            ]
            (work / "key.json").unlink(missing_ok=True)
            table = running.enter_context(Process("table", table, logs))
            until("the table", lambda: not table.still_runs() or (work / "key.json").exists(), 180)
            equal(table.still_runs(), True, f"whether it runs (see {table.log})")
            key = json.loads((work / "key.json").read_text(encoding="utf-8"))
        sam = Sam(work / "stage", work, address)
        section("sam local invoke: the story of the sample events")
        concourse = f"http://localhost:{CONCOURSE_PORT}", ConcourseTwin.password
        known = story.tell(sam.invoke, story.known_at_first(key, concourse), check)
        with check("its containers are gone"):
            insist_on_no_container(client)
        ask_api(sam, logs, client, key["key"], known)


def ask_api(sam, logs, client, key, known):
    section("sam local start-api")
    service = known["svc_0k6p2q9v8m4t1c7d3f5g0h2j4k"]
    # A route of each function, with something that only its answer has. SAM's own 401 has no problem in it.
    routes = [
        ("GET /v1/jobs", None, 401, b"Unauthorized"),
        ("GET /health", None, 200, b"ok"),
        ("POST /provisioning/callback", None, 401, b"/problems/"),
        ("GET /auth/me", key, 200, b"api_key"),
        ("GET /v1/tokens", key, 200, b"tok_"),
        ("GET /v1/jobs", key, 200, b"job_"),
        ("GET /v1/jobs/nobody/runs", key, 404, b"/problems/not-found"),
        ("GET /services", key, 200, service.encode()),
        (f"GET /services/{service}/actions/status", key, 200, service.encode()),
    ]
    with contextlib.ExitStack() as running:
        with check("it starts"):
            api = running.enter_context(sam.start_api(logs))
        for route, credential, wanted, part in routes:
            with check(f"{route}{', with a key' if credential else ''}: {wanted}"):
                status, body = api.ask(*route.split(), credential)
                equal((status, part in body), (wanted, True), f"the answer, {body[:500]!r}")
        with check("SIGTERM ends it, and its containers"):
            api.end()
            insist_on_no_container(client)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder with the stage, and for all that is written")
    parser.add_argument("--ministack", type=Path, required=True, help="the emulator's program")
    parser.add_argument("--gatehouse", type=Path, required=True, help="the local stack's binary")
    parser.add_argument("--daemon", type=Path, default=None, help="folder for a Docker of our own; or else the one there")
    parser.add_argument("--image", type=Path, default=None, help="archive to import into it as the image of the functions")
    arguments = parser.parse_args()
    # So that `with` blocks end, and the processes with them, when somebody ends this one.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    logs = arguments.work / "logs"
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(parents=True)
    start = time.monotonic()
    try:
        insist_on_c_library(arguments.work / "stage")
        with contextlib.ExitStack() as running:
            if arguments.daemon:
                running.enter_context(Daemon(arguments.daemon, logs))
            elif not is_there():
                raise NotHere("no Docker answers, and only root can start one")
            client = docker.from_env(timeout=PATIENCE)
            provide_image(client, arguments.image)
            insist_on_containers(client)
            print(f"Docker runs containers, after {time.monotonic() - start:.0f} s", flush=True)
            prove(client, arguments)
    except KeyboardInterrupt:
        sys.exit(130)
    except NotHere as why:
        print(f"not checked: sam local with Docker ({' '.join(str(why).split())[:400]})")
    except Exception as error:
        if not isinstance(error, Failure):
            traceback.print_exc()
        for log in sorted(logs.glob("*.log")):
            show(log)
        print(f"\n{passed()} passed, 1 failed")
        sys.exit(1)
    else:
        print(f"\nsam local holds, in {time.monotonic() - start:.0f} s.\n{passed()} passed, 0 failed")


if __name__ == "__main__":
    main()
