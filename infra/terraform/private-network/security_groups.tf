# Nothing calls a function by its network, so the group of the functions lets nothing in.

resource "aws_security_group" "functions" {
  name        = "${local.name}-functions"
  description = "Functions of ${local.name} that call outward: no way in."
  vpc_id      = var.vpc_id
}

module "ways_out" {
  source = "./ways-out"

  destinations = var.destinations
}

resource "aws_vpc_security_group_egress_rule" "destinations" {
  for_each = module.ways_out.rules

  security_group_id = aws_security_group.functions.id
  description       = "CI systems and webhooks."
  cidr_ipv4         = each.value.cidr
  ip_protocol       = "tcp"
  from_port         = each.value.port
  to_port           = each.value.port
}

resource "aws_vpc_security_group_egress_rule" "dynamodb" {
  count = length(aws_vpc_endpoint.dynamodb)

  security_group_id = aws_security_group.functions.id
  description       = "DynamoDB, by its endpoint."
  prefix_list_id    = aws_vpc_endpoint.dynamodb[0].prefix_list_id
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

# With private DNS, whatever in the network calls one of these services does so by the endpoint, so all of the network is let in.

resource "aws_security_group" "endpoints" {
  count = length(var.interface_endpoints) > 0 ? 1 : 0

  name        = "${local.name}-endpoints"
  description = "Endpoints of AWS that functions of ${local.name} use."
  vpc_id      = var.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "endpoints" {
  for_each = length(aws_security_group.endpoints) > 0 ? toset(data.aws_vpc.this.cidr_block_associations[*].cidr_block) : []

  security_group_id = aws_security_group.endpoints[0].id
  description       = "All of the network."
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_egress_rule" "endpoints" {
  count = length(aws_security_group.endpoints)

  security_group_id            = aws_security_group.functions.id
  description                  = "AWS, by its endpoints."
  referenced_security_group_id = aws_security_group.endpoints[0].id
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
}
