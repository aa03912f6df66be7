"""Checks what the parameters of the network make of the template: docs/OPERATIONS.md, "Private networks", "A name of the API's
own" and "A firewall before the API". No emulator has all of it, so what the transforms make is read."""

import logging
import sys

from samcli.yamlhelper import yaml_parse

from stack import CALL_OUTWARD
from transform import properties_of, resources, template_text, translated

GIVEN = {
    "VpcSubnetIds": "subnet-0a1b2c3d,subnet-1a2b3c4d",
    "VpcSecurityGroupIds": "sg-0a1b2c3d",
    "DomainName": "gatehouse.example.com",
    "DomainCertificateArn": "arn:aws:acm:eu-west-1:123456789012:certificate/01234567-89ab-cdef-0123-456789abcdef",
    "HostedZoneId": "Z0123456789ABCDEFGHIJ",
    "WebAclArn": "arn:aws:wafv2:eu-west-1:123456789012:regional/webacl/gatehouse/01234567-89ab-cdef-0123-456789abcdef",
}
RIGHT = "AWSLambdaVPCAccessExecutionRole"


def inside(made):
    """The functions that are in a VPC, and those whose roles have the right to its network interfaces."""
    functions = properties_of(made, "AWS::Lambda::Function")
    in_vpc = {name for name, properties in functions.items() if "VpcConfig" in properties}
    roles = properties_of(made, "AWS::IAM::Role")
    with_right = {name for name in functions if any(RIGHT in str(arn) for arn in roles[f"{name}Role"]["ManagedPolicyArns"])}
    return in_vpc, with_right


def disabled(made):
    """Whether the API cannot be called by the address of its stage."""
    servers = made["Api"]["Properties"]["Body"]["servers"]
    return [server["x-amazon-apigateway-endpoint-configuration"]["disableExecuteApiEndpoint"] for server in servers]


def faults(text):
    """What is not as it should be."""
    without, given = resources(text, {}), resources(text, GIVEN)
    for made, wanted in ((without, set()), (given, CALL_OUTWARD)):
        in_vpc, with_right = inside(made)
        if in_vpc != wanted:
            yield f"in a VPC: {sorted(in_vpc)}"
        if with_right != wanted:
            yield f"with the right to network interfaces: {sorted(with_right)}"
    for name in CALL_OUTWARD:
        network = given[name]["Properties"].get("VpcConfig")
        if network != {"SubnetIds": ["subnet-0a1b2c3d", "subnet-1a2b3c4d"], "SecurityGroupIds": ["sg-0a1b2c3d"]}:
            yield f"{name} is in {network}"
    if (disabled(without), disabled(given)) != ([False], [True]):
        yield f"the stage's address is disabled: {disabled(without)} without a name, {disabled(given)} with one"
    # What is said of the API's address holds from its next deployment on.
    if properties_of(without, "AWS::ApiGateway::Deployment").keys() & properties_of(given, "AWS::ApiGateway::Deployment").keys():
        yield "a name of the API's own makes no new deployment"


def waits(text):
    """What refers to the stage, and so comes after it. Not expanded first, which here, unlike at AWS, makes texts of such references."""
    made = translated(yaml_parse(text), dict(GIVEN))["Resources"]
    (stage,) = properties_of(made, "AWS::ApiGateway::Stage")
    reference = {"Ref": stage}
    mapping = made["DomainMapping"]["Properties"]["Stage"]
    if mapping != reference:
        yield f"the name leads to {mapping}"
    _, variables = made["WebAclAssociation"]["Properties"]["ResourceArn"]["Fn::Sub"]
    if variables != {"Stage": reference}:
        yield f"the firewall is before {variables}"


def main():
    logging.disable(logging.WARNING)
    text = template_text(sys.argv[1])
    found = [*faults(text), *waits(text)]
    if found:
        sys.exit("the parameters of the network:\n  " + "\n  ".join(found))
    print(f"network: {len(CALL_OUTWARD)} functions in a VPC, a name, a firewall")


if __name__ == "__main__":
    main()
