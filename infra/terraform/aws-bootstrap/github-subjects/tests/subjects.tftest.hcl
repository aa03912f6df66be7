variables {
  repository   = "acme/gatehouse"
  branch       = "main"
  environments = []
}

run "a_branch_deploys_where_there_are_no_environments" {
  command = plan

  assert {
    condition     = output.subjects == ["repo:acme/gatehouse:ref:refs/heads/main"]
    error_message = "one subject was expected: ${jsonencode(output.subjects)}"
  }
}

run "both_forms_of_the_subject_are_let_in" {
  command = plan

  variables {
    owner_id      = "123456"
    repository_id = "456789"
  }

  assert {
    condition = output.subjects == [
      "repo:acme/gatehouse:ref:refs/heads/main",
      "repo:acme@123456/gatehouse@456789:ref:refs/heads/main",
    ]
    error_message = "both forms were expected: ${jsonencode(output.subjects)}"
  }
}

run "no_branch_comes_past_the_reviewers_of_an_environment" {
  command = plan

  variables {
    owner_id      = "123456"
    repository_id = "456789"
    environments  = ["dev", "prod"]
  }

  assert {
    condition = output.subjects == [
      "repo:acme/gatehouse:environment:dev",
      "repo:acme/gatehouse:environment:prod",
      "repo:acme@123456/gatehouse@456789:environment:dev",
      "repo:acme@123456/gatehouse@456789:environment:prod",
    ]
    error_message = "environments alone were expected: ${jsonencode(output.subjects)}"
  }
}
