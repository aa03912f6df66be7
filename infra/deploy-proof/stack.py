"""The template, deployed into an emulated AWS, and what functions are told that run outside of it."""

import platform
import shutil
import subprocess
from pathlib import Path

import boto3

from checks import equal

# The alias that the template gives each function, and that everybody calls.
ALIAS = "live"
# The functions that call CI systems and webhooks: they may be in a VPC, and read what providers are called with.
CALL_OUTWARD = {"DeployerFunction", "JanitorFunction", "JobsFunction", "RunsFunction", "StreamsFunction"}


def deploy(folder, endpoint, name, parameters, log, wanted="CREATE_COMPLETE"):
    """Deploys the template of a folder, with the binaries beside it, as it is, or updates its stack; returns the stack's outputs."""
    architecture = "x86_64" if platform.machine() == "x86_64" else "arm64"
    overrides = {"Architecture": architecture, "ResponseStreaming": "off", "AwsEndpointUrl": endpoint, **parameters}
    with log.open("wb") as output:
        subprocess.run(
            [
                shutil.which("sam"),
                "deploy",
                *("--template-file", folder / "template.yaml", "--config-file", Path("samconfig.toml").resolve()),
                *("--stack-name", name, "--s3-prefix", name, "--no-confirm-changeset", "--no-progressbar"),
                "--parameter-overrides",
                *(f"{parameter}={value}" for parameter, value in overrides.items()),
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    stacks = boto3.client("cloudformation", endpoint_url=endpoint).describe_stacks(StackName=name)["Stacks"]
    equal(stacks[0]["StackStatus"], wanted, f"the stack (see {log})")
    return {output["OutputKey"]: output["OutputValue"] for output in stacks[0]["Outputs"]}


# State machines that do not exist, by the outputs with those in whose place they are named.
NOBODY = {"ProvisionStateMachineArn": "nobody-provisions", "DeployStateMachineArn": "nobody-deploys"}


def stand_in(outputs, machine):
    """The ARN of the state machine that does not exist in place of one that does."""
    # A stack without a provisioner has one state machine only.
    return f"{outputs['DeployStateMachineArn'].rpartition(':')[0]}:{NOBODY[machine]}"


def variables(outputs, name, stage):
    """The variables of a stack's functions, for those that run outside of it. Their state machines do not exist: who tells
    the story of the sample events does what those would do, and a real one would be in its way."""
    return {
        "GATEHOUSE_TABLE": outputs["TableName"],
        "GATEHOUSE_SECRET_PREFIX": outputs["SecretPrefix"],
        "GATEHOUSE_RESPONSE_MODE": "buffered",
        "GATEHOUSE_ISSUER": f"urn:gatehouse:{name}:{stage}",
        "GATEHOUSE_AUTHORIZER_CACHE_SECONDS": "2",
        "GATEHOUSE_API_ID": outputs["ApiId"],
        "GATEHOUSE_STAGE": stage,
        "GATEHOUSE_EVENT_BUS": outputs["EventBusName"],
        "GATEHOUSE_UNUSED_DAYS": "90",
        "GATEHOUSE_LOOPBACK_PROVIDERS": "allowed",
        "GATEHOUSE_CALLBACK_URL": outputs["ApiUrl"],
        "STEP_FUNCTION_ARN": stand_in(outputs, "ProvisionStateMachineArn"),
        "DEPLOY_STEP_FUNCTION_ARN": stand_in(outputs, "DeployStateMachineArn"),
    }
