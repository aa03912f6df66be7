# Who may do what. The worker changes things, people and dashboards look, GitHub deploys: three roles, of which
# none can become another.

data "aws_iam_policy_document" "trust_tasks" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }

    condition {
      test     = "ArnLike"
      variable = "aws:SourceArn"
      values   = ["arn:${local.partition}:ecs:${var.region}:${local.account}:*"]
    }
  }
}

# Execution: what ECS itself needs to start a worker.

resource "aws_iam_role" "execution" {
  name               = "${local.name}-provisioner-execution"
  description        = "ECS, when it starts a worker."
  assume_role_policy = data.aws_iam_policy_document.trust_tasks.json
}

data "aws_iam_policy_document" "execution" {
  statement {
    sid       = "LogIn"
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"]
  }

  statement {
    sid       = "GetImage"
    actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    resources = [aws_ecr_repository.provisioner.arn]
  }

  statement {
    sid       = "WriteLog"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.provisioner.arn}:*"]
  }
}

resource "aws_iam_role_policy" "execution" {
  name   = "execution"
  role   = aws_iam_role.execution.id
  policy = data.aws_iam_policy_document.execution.json
}

# Provisioning: what workers, and with them the modules, may do.

resource "aws_iam_role" "provisioning" {
  name                 = "${local.name}-provisioning"
  description          = "Workers: Terraform and its modules."
  assume_role_policy   = data.aws_iam_policy_document.trust_tasks.json
  permissions_boundary = aws_iam_policy.boundary.arn
}

data "aws_iam_policy_document" "own_files" {
  statement {
    sid       = "FindState"
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.this["state"].arn]

    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      # Terraform also asks for workspaces, of which there are none.
      values = ["env:/*", "tenants/*"]
    }
  }

  statement {
    sid       = "UseState"
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = ["${aws_s3_bucket.this["state"].arn}/tenants/*"]
  }

  statement {
    sid       = "Unlock"
    actions   = ["s3:DeleteObject"]
    resources = ["${aws_s3_bucket.this["state"].arn}/tenants/*.tflock"]
  }

  # Without it, S3 says of a plan or module that is not there that it must not be read.
  statement {
    sid       = "FindArtifacts"
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.this["artifacts"].arn]

    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = ["modules/*", "plans/*"]
    }
  }

  statement {
    sid       = "UsePlans"
    actions   = ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
    resources = ["${aws_s3_bucket.this["artifacts"].arn}/plans/*"]
  }

  # What was applied is taken away with the module that it was applied with, so that is kept.
  statement {
    sid       = "UseModules"
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = ["${aws_s3_bucket.this["artifacts"].arn}/modules/*"]
  }
}

resource "aws_iam_role_policy" "own_files" {
  name   = "own-files"
  role   = aws_iam_role.provisioning.id
  policy = data.aws_iam_policy_document.own_files.json
}

locals {
  # `{account}`, `{partition}` and `{region}` in a resource are filled in.
  module_rights = [
    for right in var.module_rights : {
      sid     = right.sid
      actions = right.actions
      resources = [
        for resource in right.resources : replace(replace(replace(resource,
          "{account}", local.account),
          "{partition}", local.partition),
        "{region}", var.region)
      ]
    }
  ]
}

data "aws_iam_policy_document" "modules" {
  dynamic "statement" {
    for_each = local.module_rights

    content {
      sid       = statement.value.sid
      actions   = statement.value.actions
      resources = statement.value.resources
    }
  }
}

resource "aws_iam_role_policy" "modules" {
  count = length(var.module_rights) > 0 ? 1 : 0

  name   = "modules"
  role   = aws_iam_role.provisioning.id
  policy = data.aws_iam_policy_document.modules.json
}

locals {
  # What Gatehouse is made of, all of it with its name in it.
  own_services = ["cloudformation", "dynamodb", "ecs", "events", "lambda", "logs", "secretsmanager", "states"]
}

# The boundary: what workers can never do, whatever somebody attaches to their role.

data "aws_iam_policy_document" "boundary" {
  source_policy_documents = [data.aws_iam_policy_document.own_files.json]

  statement {
    sid       = "AtMost"
    actions   = var.boundary_actions
    resources = ["*"]
  }

  statement {
    sid       = "NeverBecomeSomebodyElse"
    effect    = "Deny"
    actions   = ["account:*", "organizations:*", "sts:AssumeRole"]
    resources = ["*"]
  }

  # Policies of services, and nothing else of IAM: what a worker could give away, it could also take.
  statement {
    sid           = "OnlyPoliciesOfServices"
    effect        = "Deny"
    actions       = ["iam:*"]
    not_resources = ["arn:${local.partition}:iam::${local.account}:policy/gatehouse/services/*"]
  }

  statement {
    sid     = "NeverGatehouseItself"
    effect  = "Deny"
    actions = [for service in local.own_services : "${service}:*"]
    resources = [
      for service in local.own_services : "arn:${local.partition}:${service}:*:*:*gatehouse*"
    ]
  }

  # Its own files, but not the buckets that they are in, nor what they were before.
  statement {
    sid    = "NeverGatehousesBuckets"
    effect = "Deny"
    actions = [
      "s3:DeleteBucket*",
      "s3:DeleteObjectVersion*",
      "s3:PutBucket*",
      "s3:PutEncryptionConfiguration",
      "s3:PutLifecycleConfiguration",
      "s3:PutReplicationConfiguration",
    ]
    resources = [
      "arn:${local.partition}:s3:::gatehouse-*",
      "arn:${local.partition}:s3:::gatehouse-*/*",
    ]
  }
}

resource "aws_iam_policy" "boundary" {
  name        = "${local.name}-provisioning-boundary"
  description = "The most that workers of ${local.name} can ever do."
  policy      = data.aws_iam_policy_document.boundary.json
}

# Operations: looking at what workers do, for people and dashboards.

data "aws_iam_policy_document" "trust_operators" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "AWS"
      identifiers = var.operators
    }
  }
}

resource "aws_iam_role" "operations" {
  count = length(var.operators) > 0 ? 1 : 0

  name               = "${local.name}-operations"
  description        = "People who look at what is provisioned and deployed, and change nothing."
  assume_role_policy = data.aws_iam_policy_document.trust_operators.json
}

data "aws_iam_policy_document" "operations" {
  statement {
    sid       = "FindWorkers"
    actions   = ["ecs:DescribeTaskDefinition", "ecs:ListTaskDefinitions", "ecs:ListTasks"]
    resources = ["*"]

    condition {
      test     = "StringEquals"
      variable = "aws:RequestedRegion"
      values   = [var.region]
    }
  }

  statement {
    sid     = "SeeWorkers"
    actions = ["ecs:DescribeClusters", "ecs:DescribeTasks"]
    resources = [
      aws_ecs_cluster.this.arn,
      "arn:${local.partition}:ecs:${var.region}:${local.account}:task/${local.name}/*",
    ]
  }

  statement {
    sid       = "ReadLog"
    actions   = ["logs:DescribeLogStreams", "logs:FilterLogEvents", "logs:GetLogEvents"]
    resources = ["${aws_cloudwatch_log_group.provisioner.arn}:*"]
  }

  statement {
    sid     = "SeeWorkflows"
    actions = ["states:DescribeExecution", "states:DescribeStateMachine", "states:GetExecutionHistory", "states:ListExecutions"]
    resources = [
      "arn:${local.partition}:states:${var.region}:${local.account}:execution:${local.name}-*",
      "arn:${local.partition}:states:${var.region}:${local.account}:stateMachine:${local.name}-*",
    ]
  }

  statement {
    sid       = "SeeDeployments"
    actions   = ["cloudformation:DescribeStackEvents", "cloudformation:DescribeStackResources", "cloudformation:DescribeStacks"]
    resources = ["arn:${local.partition}:cloudformation:${var.region}:${local.account}:stack/${local.name}/*"]
  }

  statement {
    sid       = "SeeImages"
    actions   = ["ecr:DescribeImageScanFindings", "ecr:DescribeImages", "ecr:ListImages"]
    resources = [aws_ecr_repository.provisioner.arn]
  }
}

resource "aws_iam_role_policy" "operations" {
  count = length(aws_iam_role.operations)

  name   = "operations"
  role   = aws_iam_role.operations[0].id
  policy = data.aws_iam_policy_document.operations.json
}
