"""Starts and stops the programs that stand in for AWS and Concourse on this machine."""

import json
import os
import platform
import signal
import socket
import subprocess
import sysconfig
import time
import urllib.error
import urllib.request
from pathlib import Path

HOST = "127.0.0.1"


class Failure(Exception):
    """The proof does not hold."""


def free_port():
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


class Process:
    """A child process with all it starts, and its output in a file; gone when the `with` block ends."""

    def __init__(self, name, command, logs, env=None):
        self.name = name
        self.log = logs / f"{name}.log"
        self._command = [str(part) for part in command]
        self._env = {**os.environ, **(env or {})}

    def __enter__(self):
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._env,
                start_new_session=True,
            )
        return self

    def __exit__(self, *_):
        for sign, patience in ((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
            try:
                os.killpg(self._child.pid, sign)
                self._child.wait(patience)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue
        self._child.poll()

    def still_runs(self):
        return self._child.poll() is None

    def wait_for(self, url, seconds=30):
        """Returns when the address answers, whatever it answers."""
        end = time.monotonic() + seconds
        while True:
            if self._child.poll() is not None:
                raise Failure(f"{self.name} ended with {self._child.returncode}; its output is in {self.log}")
            try:
                urllib.request.urlopen(url, timeout=2).close()
                return
            except urllib.error.HTTPError:
                return
            except OSError as error:
                if time.monotonic() > end:
                    raise Failure(f"{self.name} did not answer at {url} within {seconds} s") from error
            time.sleep(0.1)


class MiniStack(Process):
    """An emulated AWS. Runs functions as child processes, which inherit its environment."""

    def __init__(self, program, work, logs, settings, host=HOST, port=None):
        self.port = port or free_port()
        self.url = f"http://{host}:{self.port}"
        work.mkdir(parents=True)
        super().__init__(
            "ministack",
            [program],
            logs,
            {
                "BIND_HOST": host,
                "GATEWAY_PORT": str(self.port),
                "HOME": str(work),
                "TMPDIR": str(work),
                "STATE_DIR": str(work / "state"),
                "S3_DATA_DIR": str(work / "s3"),
                **settings,
            },
        )

    def __enter__(self):
        super().__enter__()
        self.wait_for(f"{self.url}/_ministack/health")
        return self


class ConcourseTwin(Process):
    """A Concourse that pretends."""

    # Its user's.
    password = "s3cret"

    def __init__(self, gatehouse, logs, port=None):
        port = port or free_port()
        self.url = f"http://{HOST}:{port}"
        super().__init__("concourse-twin", [gatehouse, "concourse-twin", "--port", port], logs)

    def __enter__(self):
        super().__enter__()
        self.wait_for(f"{self.url}/api/v1/info")
        return self


class Lambda(Process):
    """One function's binary under the Runtime Interface Emulator that ships inside SAM CLI."""

    def __init__(self, name, bootstrap, logs, env):
        machine = {"x86_64": "x86_64", "aarch64": "arm64"}[platform.machine()]
        emulator = Path(sysconfig.get_paths()["purelib"]) / f"samcli/local/rapid/aws-lambda-rie-{machine}"
        self._address = f"{HOST}:{free_port()}"
        self._url = f"http://{self._address}/2015-03-31/functions/function/invocations"
        super().__init__(
            f"lambda-{name}",
            [
                emulator,
                *("--runtime-interface-emulator-address", self._address),
                *("--runtime-api-address", f"{HOST}:{free_port()}"),
                bootstrap.resolve(),
            ],
            logs,
            {"AWS_LAMBDA_FUNCTION_NAME": name, "AWS_LAMBDA_FUNCTION_TIMEOUT": "30", **env},
        )

    def __enter__(self):
        super().__enter__()
        self.wait_for(f"http://{self._address}/")
        return self

    def invoke(self, event):
        """What the function answers to an event, as API Gateway would read it."""
        request = urllib.request.Request(self._url, data=event, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=40) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            text = error.read()
        try:
            return json.loads(text)
        except ValueError as error:
            raise Failure(f"not JSON: {text[:500]!r}") from error
