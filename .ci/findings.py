"""Compares what scanners find with what is accepted: fails on what is new, and on what is accepted and no longer found.

The template is looked at as it is written and as SAM translates it. cfn-lint follows the conditions by itself. checkov takes
an `Fn::If` for whatever it holds, so it is given the translated template twice: with every condition true, and false.

Comments that tell a scanner to look away count for nothing: what is accepted is in one list, with the reason.
"""

import argparse
import copy
import json
import logging
import os
import shutil
import subprocess
import sys
import time
import tomllib
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ACCEPTED = ROOT / ".ci/accepted-findings.toml"
TEMPLATE = "template.yaml"
TERRAFORM = ("infra/terraform", "infra/provisioner/modules")
WORK = ROOT / "target/findings"
NO_VALUE = {"Ref": "AWS::NoValue"}

sys.path.insert(0, str(ROOT / "infra/deploy-proof"))

from samcli.yamlhelper import yaml_parse  # noqa: E402
from transform import template_text, translated  # noqa: E402


def run(command, folder, **environment):
    """What a scanner writes. It gets no settings from the home folder or the environment of whoever runs it."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPYCACHEPREFIX", "AWS_DEFAULT_REGION")}
    done = subprocess.run(
        [str(it) for it in command], cwd=folder, env=kept | {"HOME": str(WORK)} | environment, capture_output=True, text=True
    )
    try:
        # All three are told that findings are no failure, so another status is one.
        done.check_returncode()
        return json.loads(done.stdout)
    except (subprocess.CalledProcessError, ValueError) as error:
        sys.exit(f"{error}\n{done.stdout}{done.stderr}")


def cfn_lint(program, files):
    """Errors and warnings, by the resource or parameter that they are of."""
    for found in run([program, "--non-zero-exit-code", "none", "--format", "json", *files], WORK):
        path = found["Location"]["Path"] or []
        yield found["Rule"]["Id"], f"{TEMPLATE} {path[1] if len(path) > 1 else '-'}", found["Message"]


def checkov(program, folder):
    """What fails of CloudFormation, by logical id, and of Terraform, by address."""
    command = [program, "--framework", "cloudformation", "terraform", "--directory", "."]
    quiet = ["--skip-download", "--soft-fail", "--compact", "--output", "json"]
    # Or it asks PyPI for a newer version of itself.
    reports = run(command + quiet, folder, LOG_LEVEL="ERROR", SKIP_PACKAGE_UPDATE_CHECK="true")
    seen = set()
    for report in reports if isinstance(reports, list) else [reports]:
        results = report["results"]
        if results.get("parsing_errors"):
            sys.exit(f"checkov cannot read {results['parsing_errors']}")
        seen |= {it["file_path"].lstrip("/") for it in results["passed_checks"] + results["failed_checks"]}
        for found in results["failed_checks"] + results["skipped_checks"]:
            file, resource = found["file_path"].lstrip("/"), found["resource"]
            if report["check_type"] == "cloudformation":
                file, resource = TEMPLATE, resource.rpartition(".")[2]
            yield found["check_id"], f"{file} {resource}", found["check_name"]
    wanted = {it.name for it in folder.glob("*.json")}
    if not wanted <= seen or not any(it.endswith(".tf") for it in seen):
        sys.exit(f"checkov has not looked at all that it was given, but at {sorted(seen)}")


def zizmor(program):
    """All that it knows without asking GitHub, by the place in the workflow."""
    strict = ["--offline", "--persona", "auditor", "--no-ignores", "--no-config", "--strict-collection"]
    for found in run([program, *strict, "--quiet", "--no-exit-codes", "--format", "json-v1", ".github"], ROOT):
        place = next(it["symbolic"] for it in found["locations"] if it["symbolic"]["kind"] == "Primary")
        route = ".".join(str(value) for step in place["route"]["route"] for value in step.values())
        yield found["ident"], f"{place['key']['Local']['verbatim_path']} {route}", place["annotation"] or found["desc"]


def decided(node, truth):
    """A part of the template as it is where every condition is `truth`."""
    if isinstance(node, list):
        return [it for it in (decided(it, truth) for it in node) if it != NO_VALUE]
    if not isinstance(node, dict):
        return node
    if list(node) == ["Fn::If"]:
        return decided(node["Fn::If"][1 if truth else 2], truth)
    parts = {name: decided(it, truth) for name, it in node.items()}
    return {name: it for name, it in parts.items() if it != NO_VALUE}


def without_routes(template):
    """checkov has no check of an API's routes, and would spend most of its time on them."""
    template = copy.deepcopy(template)
    for resource in template["Resources"].values():
        for body in ("Body", "DefinitionBody"):
            resource.get("Properties", {}).pop(body, None)
    return template


def inputs():
    """Writes what the scanners are to read, and gives the translated template's file and checkov's folder."""
    folder = WORK / "checkov"
    shutil.rmtree(folder, ignore_errors=True)
    for name in TERRAFORM:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns(".terraform", "tests"))
    text = template_text(ROOT / TEMPLATE)
    translation = translated(yaml_parse(text), {})
    without = decided(translation, False)
    without["Resources"] = {name: it for name, it in without["Resources"].items() if "Condition" not in it}
    documents = {"as-written": yaml_parse(text), "conditions-true": decided(translation, True), "conditions-false": without}
    for name, document in documents.items():
        (folder / f"{name}.json").write_text(json.dumps(without_routes(document), indent=1))
    whole = WORK / "translated.json"
    whole.write_text(json.dumps(translation, indent=1))
    return whole, folder


def accepted():
    """Every finding that is accepted, and what is wrong with the list itself."""
    keys, faults = set(), []
    for entry in tomllib.loads(ACCEPTED.read_text(encoding="utf-8")).get("accepted", []):
        if not entry.get("why", "").strip():
            faults.append(f"{entry['check']} is accepted without a reason")
        for where in entry["where"]:
            if (entry["check"], where) in keys:
                faults.append(f"{entry['check']} of {where} is accepted twice")
            keys.add((entry["check"], where))
    return keys, faults


def pasteable(check, found):
    """New findings of a check as an entry of the list, which lacks the reason."""
    says = sorted({f"# {' '.join(message.split())}" for _, message in found})
    where = [f"    {json.dumps(it)}," for it in sorted({where for where, _ in found})]
    return "\n".join(["[[accepted]]", *says, f'check = "{check}"', "where = [", *where, "]", 'why = ""'])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--cfn-lint", "--checkov", "--zizmor"):
        parser.add_argument(name, required=True, type=Path)
    programs = parser.parse_args()
    logging.disable(logging.WARNING)

    whole, folder = inputs()
    scans = {
        "cfn-lint": lambda: cfn_lint(programs.cfn_lint, [ROOT / TEMPLATE, whole]),
        "checkov": lambda: checkov(programs.checkov, folder),
        "zizmor": lambda: zizmor(programs.zizmor),
    }
    found = defaultdict(set)
    for name, scan in scans.items():
        began = time.monotonic()
        for check, where, message in (results := list(scan())):
            found[check, where].add(message)
        print(f"{name}: {len({it[:2] for it in results})} findings, in {time.monotonic() - began:.0f} s", flush=True)

    keys, faults = accepted()
    new = defaultdict(list)
    for check, where in sorted(found.keys() - keys):
        new[check] += [(where, message) for message in found[check, where]]
    gone = sorted(keys - found.keys())

    for fault in faults:
        print(f"\n{fault}")
    if new:
        print(f"\nNew. Mend these, or say in {ACCEPTED.relative_to(ROOT)} why not:\n")
        print("\n\n".join(pasteable(check, those) for check, those in new.items()))
    if gone:
        print(f"\nNo longer found. Take these out of {ACCEPTED.relative_to(ROOT)}:\n")
        print("\n".join(f"{check}    {json.dumps(where)}," for check, where in gone))
    if new or gone or faults:
        sys.exit(1)
    print(f"no others than the {len(keys)} that are accepted")


if __name__ == "__main__":
    main()
