variable "region" {
  description = "Region of everything, the same as the stack's."
  type        = string
}

variable "stage" {
  description = "Stage of Gatehouse: dev, prod. It is part of every name."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,15}$", var.stage))
    error_message = "A stage is a lower-case letter, then at most 15 lower-case letters, digits and dashes."
  }
}

variable "vpc_id" {
  description = "Network that the functions are to be in. Both of its DNS attributes must be on for interface_endpoints."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets of that network, best in two availability zones: functions have no public address, so one that leads to an internet gateway is no way out for them. Each interface endpoint is in all of them and paid for in each."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) > 0
    error_message = "Functions need a subnet."
  }
}

variable "route_table_ids" {
  description = "Route tables of these subnets, for the endpoint of DynamoDB; none where the network has that endpoint already."
  type        = list(string)
}

variable "interface_endpoints" {
  description = "Services that are reached by an interface endpoint. Leave out those that the network has already, since it can have one with private DNS only, and all of them where the subnets lead to a NAT."
  type        = set(string)
  default     = ["apigateway", "events", "secretsmanager", "states"]

  validation {
    condition     = length(setsubtract(var.interface_endpoints, ["apigateway", "events", "secretsmanager", "states"])) == 0
    error_message = "Functions call apigateway, events, secretsmanager and states."
  }
}

variable "destinations" {
  description = "What the functions may call beside AWS: CI systems with their ports and, by way of a NAT, webhooks and CI systems on the internet."
  type = list(object({
    cidr = string
    port = optional(number, 443)
  }))
  default = [{ cidr = "0.0.0.0/0" }]
}
