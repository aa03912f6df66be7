"""What schemathesis is told beyond the API description."""

import os
from urllib.parse import urlsplit, urlunsplit

import schemathesis

# Nobody listens there.
NOWHERE = "127.0.0.1:1"

# The id of the API key that calls.
OWN_KEY = os.environ["OWN_KEY"]


def on_loopback(value):
    """The value with every URL in it on this machine: what is made up here must not be called."""
    if isinstance(value, dict):
        return {name: on_loopback(member) for name, member in value.items()}
    if isinstance(value, list):
        return [on_loopback(member) for member in value]
    if isinstance(value, str) and "//" in value:
        try:
            parts = urlsplit(value)
        except ValueError:
            return value
        return urlunsplit(parts._replace(netloc=NOWHERE)) if parts.netloc else value
    return value


@schemathesis.hook
def before_call(context, case, kwargs):
    case.body = on_loopback(case.body)
    # Whoever revokes the key that they call with is nobody from then on.
    if case.operation.definition.raw.get("operationId") == "revoke_api_key" and case.path_parameters.get("key_id") == OWN_KEY:
        case.path_parameters["key_id"] = "key_00000000000000000000"


@schemathesis.check
def undeclared_method(ctx, response, case):
    """What API Gateway answers for a method that a path does not have; TRACE, which no path has, is not allowed."""
    declared = case.operation.schema.raw_schema["paths"].get(case.operation.path, {})
    method = response.request.method.lower()
    if method in declared or method in ("head", "options"):
        return
    slug = response.json().get("type") if "json" in response.headers.get("content-type", [""])[0] else None
    expected = (405, "/problems/method-not-allowed") if method == "trace" else (404, "/problems/no-such-route")
    assert (response.status_code, slug) == expected, f"{method} is answered {response.status_code}"
