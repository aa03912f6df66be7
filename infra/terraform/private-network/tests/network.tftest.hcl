# With a provider that calls nobody.
mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = {
      json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}"
    }
  }

  mock_data "aws_vpc" {
    defaults = {
      cidr_block_associations = [
        { association_id = "vpc-cidr-assoc-1", cidr_block = "10.0.0.0/16", state = "associated" },
        { association_id = "vpc-cidr-assoc-2", cidr_block = "100.64.0.0/16", state = "associated" },
      ]
    }
  }
}

variables {
  region          = "eu-west-1"
  stage           = "dev"
  vpc_id          = "vpc-0a1b2c3d"
  subnet_ids      = ["subnet-0a1b2c3d", "subnet-1a2b3c4d"]
  route_table_ids = ["rtb-0a1b2c3d"]
}

run "without_a_nat_every_service_has_an_endpoint" {
  command = plan

  assert {
    condition     = keys(aws_vpc_endpoint.interface) == ["apigateway", "events", "secretsmanager", "states"]
    error_message = "four endpoints were expected: ${jsonencode(keys(aws_vpc_endpoint.interface))}"
  }

  assert {
    condition     = alltrue([for endpoint in aws_vpc_endpoint.interface : endpoint.private_dns_enabled])
    error_message = "functions find services by their usual names"
  }

  assert {
    condition     = keys(aws_vpc_security_group_ingress_rule.endpoints) == ["10.0.0.0/16", "100.64.0.0/16"]
    error_message = "private DNS leads all of the network there: ${jsonencode(keys(aws_vpc_security_group_ingress_rule.endpoints))}"
  }

  assert {
    condition     = output.VpcSubnetIds == "subnet-0a1b2c3d,subnet-1a2b3c4d"
    error_message = "a list with commas was expected: ${output.VpcSubnetIds}"
  }
}

run "behind_a_nat_dynamodb_alone_has_one" {
  command = plan

  variables {
    interface_endpoints = []
  }

  assert {
    condition     = length(aws_vpc_endpoint.interface) == 0 && length(aws_security_group.endpoints) == 0
    error_message = "no interface endpoint was expected"
  }

  assert {
    condition     = length(aws_vpc_endpoint.dynamodb) == 1 && length(aws_vpc_security_group_egress_rule.dynamodb) == 1
    error_message = "a gateway endpoint was expected"
  }
}

run "what_is_there_already_is_left_out" {
  command = plan

  variables {
    route_table_ids     = []
    interface_endpoints = ["states"]
    destinations        = [{ cidr = "10.20.0.0/16", port = 8080 }]
  }

  assert {
    condition     = length(aws_vpc_endpoint.dynamodb) == 0 && keys(aws_vpc_endpoint.interface) == ["states"]
    error_message = "one endpoint was expected"
  }

  assert {
    condition     = keys(aws_vpc_security_group_egress_rule.destinations) == ["10.20.0.0/16 8080"]
    error_message = "one destination was expected: ${jsonencode(keys(aws_vpc_security_group_egress_rule.destinations))}"
  }
}

run "no_other_service_is_called" {
  command = plan

  variables {
    interface_endpoints = ["s3"]
  }

  expect_failures = [var.interface_endpoints]
}
