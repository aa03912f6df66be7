# The rules of the security group, from what functions may call. No provider is needed, so `terraform test` works it out
# anywhere.

variable "destinations" {
  description = "Blocks of addresses, each with a port."
  type = list(object({
    cidr = string
    port = optional(number, 443)
  }))

  validation {
    condition     = alltrue([for to in var.destinations : can(cidrnetmask(to.cidr))])
    error_message = "A destination is a block of IPv4 addresses, such as 10.20.0.0/16: functions have no others."
  }

  # AWS would take such a block for the one below, and Terraform then finds a difference each time.
  validation {
    condition = alltrue([
      for to in var.destinations : try(cidrsubnet(to.cidr, 0, 0) == to.cidr, true)
    ])
    error_message = "A block begins with its first address: 10.20.0.0/16, and not 10.20.0.7/16."
  }

  validation {
    condition     = alltrue([for to in var.destinations : to.port == floor(to.port) && to.port >= 1 && to.port <= 65535])
    error_message = "A port is a whole number from 1 to 65535."
  }
}

output "rules" {
  description = "Each rule by its block and port, which AWS lets a group have once."
  value = {
    for to in toset(var.destinations) : "${to.cidr} ${to.port}" => to
  }
}
