"""Tells the story of the sample events, in the order of events/README.md, and insists on each answer.

`story.py --invoke-port 9000 --key … --concourse …` tells it to the functions that `make watch` serves.
"""

import argparse
import base64
import hashlib
import hmac
import json
import re
import struct
import sys
import time
import urllib.error
import urllib.request
from datetime import datetime, timezone
from pathlib import Path

from checks import check, passed
from emulators import HOST, Failure

EVENTS = Path("events")
PAGE = EVENTS / "README.md"

# What is known from the start, as the page says.
KEY, KEY_ID = "dev-key-12345", "key_0123456789abcdef0123"
CONCOURSE, CONCOURSE_PASSWORD = "https://ci.example.test", "not-a-real-password"
# Where the requests of the events came in.
API, STAGE = "api0example", "dev"
# Of a task that no state machine asks to be done.
TASK_TOKEN = "AQCEAAAAKgAAAAMAAAAAAAAAAaLm6tOqtoUkUmSEE0wbmQ"
PROVED_AT = "2026-09-01T09:55:00Z"


class Story:
    """What the page says: the events in order with their answers, and what is to be learnt from which answer."""

    def __init__(self, page=PAGE):
        text = page.read_text(encoding="utf-8")
        self.steps = [(cells[0], cells[1]) for cells in _rows(text, "## Order")]
        self._samples = {}
        for cells in _rows(text, "## What stands for something else"):
            if len(cells) == 3:
                sample, event, member = cells
                self._samples.setdefault(event, []).append((sample, member))

    def learn(self, event, answer):
        """What the answer to an event says of the samples in those after it."""
        return {sample: _member(answer, member) for sample, member in self._samples.get(event, [])}


def _rows(text, heading):
    """The rows of the tables below a heading whose first cell is code, without the marks of code."""
    section = text.split(heading, 1)[1].split("\n## ", 1)[0]
    for line in section.splitlines():
        if line.startswith("| `"):
            yield [cell.strip().replace("`", "") for cell in line.strip().strip("|").split(" | ")]


def known_at_first(key, concourse):
    """The samples that are known from the start; `key` is what `gatehouse key create --json` prints."""
    known = {KEY: key["key"], KEY_ID: key["key_id"]}
    if concourse:
        url, password = concourse
        known |= {CONCOURSE: url, CONCOURSE_PASSWORD: password}
    return known


def tell(invoke, known, step):
    """Invokes the functions with the events in order. `invoke(function, event)` returns the answer, and `step(title)` is
    what each of them happens in. Returns what is known at the end."""
    story, known = Story(), dict(known)
    for event, wanted in story.steps:
        with step(event) as line:
            function = event.split("/")[0]
            said = {**known, PROVED_AT: datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")}
            text = _put(said, (EVENTS / f"{event}.json").read_text(encoding="utf-8"))
            answer = invoke(function, text.encode())
            got = outcome(function, json.loads(text), answer)
            if got != wanted:
                raise Failure(f"the answer to {event}: wanted {wanted}, got {got}: {json.dumps(answer)[:2000]}")
            known |= story.learn(event, answer)
            line.append(got)
    return known


def _put(said, text):
    """The text with what is said in place of the samples, all at once: nothing that was put in is looked at again."""
    samples = sorted(said, key=len, reverse=True)
    return re.sub("|".join(map(re.escape, samples)), lambda found: said[found[0]], text)


# ── Answers ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def outcome(function, event, answer):
    """An answer in the words of the page."""
    if function == "authorizer":
        return check_authorizer_answer(answer)
    if function == "janitor":
        check_report(answer)
        return "swept"
    if "command" in event:
        error = answer.get("errorType") if isinstance(answer, dict) else "no object"
        return error or answer.get("outcome", "done")
    return check_proxy_answer(answer)


def check_proxy_answer(answer):
    """API Gateway accepts this answer; returns its status."""
    status = answer.get("statusCode") if isinstance(answer, dict) else None
    well_formed = (
        isinstance(status, int)
        and isinstance(answer.get("body") or "", str)
        and _is_strings(answer.get("headers") or {})
        and all(isinstance(many, list) for many in (answer.get("multiValueHeaders") or {}).values())
        and isinstance(answer.get("isBase64Encoded", False), bool)
    )
    if not well_formed:
        raise Failure(f"API Gateway would answer 502 to this: {json.dumps(answer)[:2000]}")
    return str(status)


def _is_strings(value):
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


def check_authorizer_answer(answer):
    """A policy, or the one error that is a 401."""
    if isinstance(answer, dict) and answer.get("errorMessage") == "Unauthorized":
        return "Unauthorized"
    policy = answer.get("policyDocument") if isinstance(answer, dict) else None
    statements = policy.get("Statement") if isinstance(policy, dict) else None
    if not statements or not answer.get("principalId") or not isinstance(answer.get("context", {}), dict):
        raise Failure(f"neither a policy nor Unauthorized: {json.dumps(answer)[:2000]}")
    return ", ".join(sorted({statement["Effect"] for statement in statements}))


def check_report(answer):
    """A report of what was done, and no error."""
    if not isinstance(answer, dict) or "errorMessage" in answer:
        raise Failure(f"no report: {json.dumps(answer)[:2000]}")
    return json.dumps(answer)[:200]


# ── What an answer says ─────────────────────────────────────────────────────────────────────────────────────────────


def _member(answer, member):
    """What stands in an answer under the words of the page: a path into its body, `etag`, `jti of` a token, or the
    `code of` a secret."""
    if member == "etag":
        return _header(answer, "etag").strip('"')
    kind, _, path = member.rpartition(" of ")
    found = json.loads(answer["body"]) if "statusCode" in answer else answer
    for name in path.split("."):
        found = found[name]
    if kind == "jti":
        payload = found.split(".")[1]
        return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["jti"]
    return totp(found) if kind == "code" else found


def _header(answer, name):
    many = {key.lower(): values[0] for key, values in (answer.get("multiValueHeaders") or {}).items()}
    one = {key.lower(): value for key, value in (answer.get("headers") or {}).items()}
    found = one.get(name) or many.get(name)
    if not found:
        raise Failure(f"the answer has no {name}: {json.dumps(answer)[:2000]}")
    return found


def totp(secret, now=None):
    """What a device with this secret shows (RFC 6238: SHA-1, six digits, 30 seconds)."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    counter = struct.pack(">Q", int(time.time() if now is None else now) // 30)
    digest = hmac.new(key, counter, hashlib.sha1).digest()
    start = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[start : start + 4])[0] & 0x7FFFFFFF) % 1_000_000:06}"


# ── To the functions that `make watch` serves ───────────────────────────────────────────────────────────────────────


def invoker(port):
    """Invokes functions at the port of `make watch`, as `cargo lambda invoke` does."""

    def invoke(function, event):
        url = f"http://{HOST}:{port}/2015-03-31/functions/{function}/invocations"
        try:
            with urllib.request.urlopen(urllib.request.Request(url, data=event, method="POST"), timeout=60) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return json.loads(error.read())
        except OSError as error:
            raise Failure(f"{url}: {error}; does `make watch` serve the functions?") from error

    return invoke


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--invoke-port", type=int, default=9000, help="where `make watch` listens")
    parser.add_argument("--key", type=Path, required=True, help="file with what `gatehouse key create --json` printed")
    parser.add_argument("--concourse", required=True, help="URL of a Concourse with the pipelines of the example")
    parser.add_argument("--concourse-password", default="s3cret", help="of its user ci-gateway")
    arguments = parser.parse_args()
    key = json.loads(arguments.key.read_text(encoding="utf-8"))
    known = known_at_first(key, (arguments.concourse, arguments.concourse_password))
    try:
        tell(invoker(arguments.invoke_port), known, check)
    except Failure:
        sys.exit(1)
    print(f"The story is told: {passed()} events.")


if __name__ == "__main__":
    main()
