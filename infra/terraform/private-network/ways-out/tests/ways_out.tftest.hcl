run "https_to_anywhere" {
  command = plan

  variables {
    destinations = [{ cidr = "0.0.0.0/0" }]
  }

  assert {
    condition     = jsonencode(output.rules) == jsonencode({ "0.0.0.0/0 443" = { ipv4 = "0.0.0.0/0", ipv6 = null, port = 443 } })
    error_message = "one rule was expected: ${jsonencode(output.rules)}"
  }
}

run "each_destination_once_and_by_its_version_of_ip" {
  command = plan

  variables {
    destinations = [
      { cidr = "10.20.0.0/16", port = 8080 },
      { cidr = "fd12:3456::/32" },
      { cidr = "10.20.0.0/16", port = 8080 },
      { cidr = "10.20.0.0/16" },
    ]
  }

  assert {
    condition = jsonencode(output.rules) == jsonencode({
      "10.20.0.0/16 443"   = { ipv4 = "10.20.0.0/16", ipv6 = null, port = 443 }
      "10.20.0.0/16 8080"  = { ipv4 = "10.20.0.0/16", ipv6 = null, port = 8080 }
      "fd12:3456::/32 443" = { ipv4 = null, ipv6 = "fd12:3456::/32", port = 443 }
    })
    error_message = "three rules were expected: ${jsonencode(output.rules)}"
  }
}

run "no_destination_is_none" {
  command = plan

  variables {
    destinations = []
  }

  assert {
    condition     = length(output.rules) == 0
    error_message = "no rule was expected: ${jsonencode(output.rules)}"
  }
}

run "a_name_is_no_block" {
  command = plan

  variables {
    destinations = [{ cidr = "ci.example.com" }]
  }

  expect_failures = [var.destinations]
}

run "a_block_begins_with_its_first_address" {
  command = plan

  variables {
    destinations = [{ cidr = "10.20.0.7/16" }]
  }

  expect_failures = [var.destinations]
}

run "a_port_is_one" {
  command = plan

  variables {
    destinations = [{ cidr = "10.20.0.0/16", port = 70000 }]
  }

  expect_failures = [var.destinations]
}
