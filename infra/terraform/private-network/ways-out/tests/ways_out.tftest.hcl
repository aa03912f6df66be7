run "https_to_anywhere" {
  command = plan

  variables {
    destinations = [{ cidr = "0.0.0.0/0" }]
  }

  assert {
    condition     = jsonencode(output.rules) == jsonencode({ "0.0.0.0/0 443" = { cidr = "0.0.0.0/0", port = 443 } })
    error_message = "one rule was expected: ${jsonencode(output.rules)}"
  }
}

run "each_destination_once" {
  command = plan

  variables {
    destinations = [
      { cidr = "10.20.0.0/16", port = 8080 },
      { cidr = "10.20.0.0/16" },
      { cidr = "10.20.0.0/16", port = 8080 },
    ]
  }

  assert {
    condition = jsonencode(output.rules) == jsonencode({
      "10.20.0.0/16 443"  = { cidr = "10.20.0.0/16", port = 443 }
      "10.20.0.0/16 8080" = { cidr = "10.20.0.0/16", port = 8080 }
    })
    error_message = "two rules were expected: ${jsonencode(output.rules)}"
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

run "functions_have_no_ipv6" {
  command = plan

  variables {
    destinations = [{ cidr = "fd12:3456::/32" }]
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
