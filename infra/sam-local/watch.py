"""Serves every function as Lambda would: the Lambda API that `cargo lambda invoke` speaks to, and each function beside it,
which takes its invocations from there. A function whose binary is written anew is started anew.

`cargo lambda watch` by itself would run the functions with `cargo run`, which takes one package, and not several.
"""

import argparse
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

HOST = "127.0.0.1"
# How often it is looked whether a binary was written, or a function has ended.
PAUSE = 0.5


class Function:
    """A function's process."""

    def __init__(self, name, binary, environment, logs):
        self.name, self._binary, self._environment = name, binary, environment
        self._log = logs / f"{name}.log"
        self._child = None
        self._built = None

    @property
    def is_served(self):
        return self._child is not None and self._child.poll() is None

    def look(self):
        """Starts it where its binary is new; says so where it has ended."""
        built = self._binary.stat().st_mtime_ns if self._binary.exists() else None
        if built != self._built:
            if self._built is not None and built is not None:
                print(f"{self.name}: starts anew", flush=True)
            self.stop()
            self._built = built
            if built is None:
                print(f"{self.name}: {self._binary} is not there", flush=True)
            else:
                self._start()
        elif self._child is not None and self._child.poll() is not None:
            print(f"{self.name}: ended with {self._child.returncode}: {self._last_line()}", flush=True)
            self._child = None

    def _start(self):
        with self._log.open("wb") as log:
            # In the group of this process, so that what ends it ends them all.
            self._child = subprocess.Popen(
                [self._binary], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=self._environment
            )

    def stop(self):
        if self.is_served:
            self._child.terminate()
            try:
                self._child.wait(5)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
        self._child = None

    def _last_line(self):
        lines = self._log.read_text(errors="replace").split("\n")
        return next((line for line in reversed(lines) if line.strip()), f"see {self._log}")


def environment(name, port, told):
    """What Lambda would tell a function, and what its template does."""
    known = {
        "AWS_LAMBDA_RUNTIME_API": f"http://{HOST}:{port}/.rt/{name}",
        "AWS_LAMBDA_FUNCTION_NAME": name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": "local",
    }
    if told.get("AWS_ENDPOINT_URL"):
        # An emulator is never shown the credentials of whoever uses it.
        known |= {"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
        os.environ.pop("AWS_SESSION_TOKEN", None)
    return {**os.environ, **known, **told}


def read(env_vars):
    """What `make table` has written, or nothing."""
    if not env_vars.exists():
        print(f"{env_vars} is not there: functions take their variables from this shell. `make table` writes it.")
        return {}
    return json.loads(env_vars.read_text(encoding="utf-8"))["Parameters"]


def wait_for(port, api, log):
    """Returns when the Lambda API is there."""
    end = time.monotonic() + 60
    while True:
        if api.poll() is not None or time.monotonic() > end:
            sys.exit(f"cargo lambda watch does not listen on {HOST}:{port}:\n{log.read_text(errors='replace')}")
        with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
            return
        time.sleep(0.1)


def binary(folder, name):
    """Where a function is: `NAME` of a build, or `NAME/bootstrap` of a build for Lambda."""
    return folder / name if (folder / name).is_file() else folder / name / "bootstrap"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binaries", type=Path, required=True, help="folder with the functions' binaries")
    parser.add_argument("--env-vars", type=Path, required=True, help="file with the functions' variables")
    parser.add_argument("--served", type=Path, required=True, help="file to write to which functions are served")
    parser.add_argument("--invoke-port", type=int, required=True)
    parser.add_argument("--logs", type=Path, required=True)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    arguments.logs.mkdir(parents=True, exist_ok=True)
    arguments.served.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(KeyboardInterrupt):
        serve(arguments)


def serve(arguments):
    port, log = arguments.invoke_port, arguments.logs / "lambda-api.log"
    told = read(arguments.env_vars)
    names = sorted(path.parent.name for path in Path("functions").glob("*/Cargo.toml"))
    command = ["cargo", "lambda", "watch", "--only-lambda-apis", "--ignore-changes"]
    with contextlib.ExitStack() as running:
        running.callback(arguments.served.unlink, missing_ok=True)
        with log.open("wb") as output:
            api = subprocess.Popen(
                [*command, "--invoke-address", HOST, "--invoke-port", str(port)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        running.callback(api.terminate)
        wait_for(port, api, log)
        functions = []
        for name in names:
            function = Function(name, binary(arguments.binaries, name), environment(name, port, told), arguments.logs)
            running.callback(function.stop)
            functions.append(function)
        last = None
        while api.poll() is None:
            for function in functions:
                function.look()
            served = [function.name for function in functions if function.is_served]
            if served != last:
                arguments.served.write_text("".join(f"{name}\n" for name in served), encoding="utf-8")
                print(f"On port {port}: {', '.join(served) or 'nothing'}. Logs: {arguments.logs}", flush=True)
                last = served
            time.sleep(PAUSE)
        sys.exit(f"cargo lambda watch has ended:\n{log.read_text(errors='replace')}")


if __name__ == "__main__":
    main()
