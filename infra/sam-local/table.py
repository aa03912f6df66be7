"""An emulated AWS with the template in it, for functions that run on this machine: under `sam local` or `make watch`.

Runs until it is stopped, and forgets everything then. Below the work folder are

    env.json    what the functions are told: `sam local … --env-vars`, and `make watch`
    key.json    an API key for everything
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "deploy-proof"))

import stack  # noqa: E402
from checks import run  # noqa: E402
from emulators import HOST, ConcourseTwin, Failure, MiniStack  # noqa: E402
from relay import relayed  # noqa: E402

STACK, STAGE = "gatehouse-local", "dev"
# Docker's bridge on Linux: this machine and its containers reach what listens there, and nobody else does.
BRIDGE = "172.17.0.1"


def address():
    """Where both containers and programs of this machine find the emulator, or programs alone where there is no bridge."""
    with socket.socket() as probe:
        try:
            probe.bind((BRIDGE, 0))
        except OSError:
            return HOST
    return BRIDGE


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder with the stage, and for all that is written")
    parser.add_argument("--env-vars", type=Path, required=True, help="file to write the variables to")
    parser.add_argument("--ministack", type=Path, required=True, help="the emulator's program")
    parser.add_argument("--gatehouse", type=Path, required=True, help="the local stack's binary")
    parser.add_argument("--address", default=None, help="to listen on; the bridge of Docker or else loopback")
    parser.add_argument("--port", type=int, default=4566)
    parser.add_argument("--concourse-port", type=int, default=8081)
    arguments = parser.parse_args()
    # So that `with` blocks end, and the processes with them, when somebody ends this one.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with contextlib.suppress(KeyboardInterrupt):
        try:
            serve(arguments)
        except Failure as failure:
            sys.exit(str(failure))


def serve(arguments):
    work, logs = arguments.work, arguments.work / "logs"
    shutil.rmtree(work / "ministack", ignore_errors=True)
    logs.mkdir(parents=True, exist_ok=True)
    host = arguments.address or address()
    with contextlib.ExitStack() as running:
        emulator = MiniStack(arguments.ministack, work / "ministack", logs, {}, host, arguments.port)
        aws = running.enter_context(emulator)
        os.environ["AWS_ENDPOINT_URL"] = aws.url
        concourse = running.enter_context(ConcourseTwin(arguments.gatehouse, logs, arguments.concourse_port))
        if host != HOST:
            # Plain HTTP is for `localhost` alone: `--add-host` makes that name this address as well, in a container.
            running.enter_context(relayed(host, arguments.concourse_port))
        print("Deploying the template …", flush=True)
        parameters = {"StageName": STAGE, "AuthorizerCacheSeconds": "2"}
        outputs = stack.deploy(work / "stage", aws.url, STACK, parameters, logs / "sam-deploy.log")
        told = {**stack.variables(outputs, STACK, STAGE), "AWS_ENDPOINT_URL": aws.url}
        write(running, arguments.env_vars, {"Parameters": told})
        made = run(
            arguments.gatehouse,
            *("key", "create", "--table", outputs["TableName"], "--tenants", "*", "--scopes", "*", "--json"),
        )
        write(running, work / "key.json", json.loads(made))
        print(f"""
An emulated AWS is at {aws.url}, with the stack {STACK}; a pretend Concourse at {concourse.url}.
    variables   {arguments.env_vars}
    API key     {work / "key.json"}

    make watch
    sam local …, as docs/SAM.md says

Ctrl-C stops it, and everything that was written is forgotten.""", flush=True)
        while aws.still_runs():
            time.sleep(1)
        raise Failure(f"the emulator has ended; its output is in {aws.log}")


def write(running, file, value):
    """Writes a file that is good for as long as all of this runs, and readable by its owner alone."""
    file.unlink(missing_ok=True)
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as opened:
        json.dump(value, opened, indent=2)
    running.callback(file.unlink, missing_ok=True)


if __name__ == "__main__":
    main()
