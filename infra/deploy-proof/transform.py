"""Checks what CloudFormation's transforms make of the template.

A stream needs another call of Lambda and its own timeout, or API Gateway ends it after 29 s. SAM names a deployment of the
API after its body: what a parameter changes there must be resolved before SAM sees it, or the stage stays with the
deployment that it has. Every route is behind the authorizer or says that it is not, and one statement lets the API call a
function for all of them. Both transforms are run here with the code that AWS ships in SAM CLI.

`.ci/findings` looks at what comes out.
"""

import json
import logging
import re
import sys
from collections import Counter
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


def resources(text, parameters):
    """What the stack is made of, with both transforms."""
    expanded = expand_language_extensions(yaml_parse(text), parameters, enabled=True).expanded_template
    return translated(expanded, parameters)["Resources"]


def of_type(made, kind):
    """The resources of one type, by logical id."""
    return {id: resource for id, resource in made.items() if resource["Type"] == kind}


def properties_of(made, kind):
    """Their properties alone."""
    return {id: resource["Properties"] for id, resource in of_type(made, kind).items()}


def operations(made):
    """Every route, as API Gateway would be given it."""
    return {
        f"{method.upper()} {path}": operation
        for path, operations in made["Api"]["Properties"]["Body"]["paths"].items()
        for method, operation in operations.items()
    }


def fault(route, operation, streaming):
    """Why this route is not what it should be, or nothing."""
    if operation.get("security") not in ([{"GatehouseAuthorizer": []}], [{"NONE": []}]):
        return f"{route}: security {operation.get('security')}"
    integration = operation["x-amazon-apigateway-integration"]
    uri = str(integration["uri"])
    # Every route of this function streams, and no other.
    stream = streaming and "${StreamsFunction." in uri
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


def statements(made):
    """How often API Gateway is let call each function; the authorizer is none of those that routes lead to."""
    permissions = properties_of(made, "AWS::Lambda::Permission").values()
    allowed = [it for it in permissions if it["Principal"] == "apigateway.amazonaws.com"]
    return Counter(json.dumps(it["FunctionName"]) for it in allowed)


def main():
    logging.disable(logging.WARNING)
    text = template_text(sys.argv[1])
    deployments = []
    for switch in ("on", "off"):
        made = resources(text, {"ResponseStreaming": switch})
        routes = operations(made)
        faults = [why for route, it in routes.items() if (why := fault(route, it, switch == "on"))]
        faults += [f"{function}: {many} statements" for function, many in statements(made).items() if many > 1]
        if faults:
            sys.exit(f"ResponseStreaming={switch}:\n  " + "\n  ".join(faults))
        deployments += properties_of(made, "AWS::ApiGateway::Deployment")
        modes = [it["x-amazon-apigateway-integration"].get("responseTransferMode") for it in routes.values()]
        opened = sum(it["security"] == [{"NONE": []}] for it in routes.values())
        print(
            f"ResponseStreaming={switch}: {len(made)} resources, {len(routes)} routes, "
            f"{modes.count('STREAM')} of them streaming, {opened} for anybody"
        )
    if len(set(deployments)) != 2:
        sys.exit(f"switching ResponseStreaming makes no new deployment of the API: {deployments}")


if __name__ == "__main__":
    main()
