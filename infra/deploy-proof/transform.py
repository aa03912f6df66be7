"""Checks what CloudFormation's transforms make of the template.

SAM compares `ResponseTransferMode` as text. It must be resolved before SAM sees it, or every route is silently
buffered; and a stream needs its own timeout, or API Gateway ends it after 29 s. Both transforms are run here with the
code that AWS ships in SAM CLI.

`.ci/findings` looks at what comes out.
"""

import logging
import re
import sys
from pathlib import Path

from samcli.lib.cfn_language_extensions.sam_integration import expand_language_extensions
from samcli.yamlhelper import yaml_parse
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

STREAM_MS = 900_000
BUFFERED_MS = 29_000


def translated(template, parameters):
    template.pop("Transform", None)
    return Translator({}, Parser()).translate(template, parameters)


def integrations(text, parameters):
    """The integration of every route, as API Gateway would be given it."""
    expanded = expand_language_extensions(yaml_parse(text), parameters, enabled=True).expanded_template
    body = translated(expanded, parameters)["Resources"]["Api"]["Properties"]["Body"]
    return {
        f"{method.upper()} {path}": operation["x-amazon-apigateway-integration"]
        for path, operations in body["paths"].items()
        for method, operation in operations.items()
    }


def fault(route, integration, streaming):
    """Why this integration is not what it should be, or nothing."""
    uri = str(integration["uri"])
    # Every route of this function streams, and no other.
    stream = streaming and "${StreamsFunction.Arn}" in uri
    mode = integration.get("responseTransferMode", "BUFFERED")
    timeout = integration.get("timeoutInMillis", BUFFERED_MS)
    if mode != ("STREAM" if stream else "BUFFERED"):
        return f"{route}: transfer mode {mode}"
    if ("/response-streaming-invocations" in uri) != stream:
        return f"{route}: {uri}"
    if timeout != (STREAM_MS if stream else BUFFERED_MS):
        return f"{route}: timeout {timeout} ms"
    return None


def template_text(path):
    """The template, with such addresses as `sam deploy` puts there: the transform wants uploaded code."""
    return re.sub(r"(CodeUri|DefinitionUri): .*", r"\1: s3://bucket/key", Path(path).read_text(encoding="utf-8"))


def main():
    logging.disable(logging.WARNING)
    text = template_text(sys.argv[1])
    for switch in ("on", "off"):
        routes = integrations(text, {"ResponseStreaming": switch})
        faults = [why for route, it in routes.items() if (why := fault(route, it, switch == "on"))]
        if faults:
            sys.exit(f"ResponseStreaming={switch}:\n  " + "\n  ".join(faults))
        streams = sum(it.get("responseTransferMode") == "STREAM" for it in routes.values())
        print(f"ResponseStreaming={switch}: {len(routes)} routes, {streams} of them streaming")


if __name__ == "__main__":
    main()
