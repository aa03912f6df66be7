# GitHub Actions deploys without a key: it shows a token of its own, which says for which repository and from
# where it runs.

locals {
  github_provider = (
    var.github_provider_arn == null
    ? one(aws_iam_openid_connect_provider.github[*].arn)
    : var.github_provider_arn
  )
}

module "github_subjects" {
  source = "./github-subjects"

  repository    = var.github_repository
  owner_id      = var.github_owner_id
  repository_id = var.github_repository_id
  branch        = var.github_branch
  environments  = var.github_environments
}

# An account has one of these. GitHub's certificate is trusted by AWS itself, so no thumbprint is needed.
resource "aws_iam_openid_connect_provider" "github" {
  count = var.github_provider_arn == null ? 1 : 0

  url            = "https://token.actions.githubusercontent.com"
  client_id_list = ["sts.amazonaws.com"]
}

data "aws_iam_policy_document" "trust_github" {
  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]

    principals {
      type        = "Federated"
      identifiers = [local.github_provider]
    }

    condition {
      test     = "StringEquals"
      variable = "token.actions.githubusercontent.com:aud"
      values   = ["sts.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "token.actions.githubusercontent.com:sub"
      values   = module.github_subjects.subjects
    }
  }
}

resource "aws_iam_role" "deploy" {
  name                 = "${local.name}-deploy"
  description          = "GitHub Actions of ${var.github_repository}."
  assume_role_policy   = data.aws_iam_policy_document.trust_github.json
  max_session_duration = 3600
}

data "aws_iam_policy_document" "deploy" {
  statement {
    sid       = "LogInToRegistry"
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"]
  }

  statement {
    sid = "PushImage"
    actions = [
      "ecr:BatchCheckLayerAvailability",
      "ecr:BatchGetImage",
      "ecr:CompleteLayerUpload",
      "ecr:DescribeImages",
      "ecr:GetDownloadUrlForLayer",
      "ecr:InitiateLayerUpload",
      "ecr:PutImage",
      "ecr:UploadLayerPart",
    ]
    resources = [aws_ecr_repository.provisioner.arn]
  }

  # Neither can be narrowed to a family of task definitions.
  statement {
    sid       = "RegisterWorker"
    actions   = ["ecs:DescribeTaskDefinition", "ecs:RegisterTaskDefinition"]
    resources = ["*"]

    condition {
      test     = "StringEquals"
      variable = "aws:RequestedRegion"
      values   = [var.region]
    }
  }

  statement {
    sid       = "GiveWorkerItsRoles"
    actions   = ["iam:PassRole"]
    resources = [aws_iam_role.provisioning.arn, aws_iam_role.execution.arn]

    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["ecs-tasks.amazonaws.com"]
    }
  }

  statement {
    sid = "DeployStack"
    actions = [
      "cloudformation:CreateChangeSet",
      "cloudformation:DeleteChangeSet",
      "cloudformation:DescribeChangeSet",
      "cloudformation:DescribeStackEvents",
      "cloudformation:DescribeStacks",
      "cloudformation:ExecuteChangeSet",
      "cloudformation:GetTemplate",
      "cloudformation:ListStackResources",
      "cloudformation:TagResource",
      "cloudformation:UntagResource",
    ]
    resources = [
      "arn:${local.partition}:cloudformation:${var.region}:${local.account}:stack/${local.name}/*",
      "arn:${local.partition}:cloudformation:${var.region}:${local.account}:stack/aws-sam-cli-managed-default/*",
      "arn:${local.partition}:cloudformation:${var.region}:aws:transform/*",
    ]
  }

  # What is asked about a template before there is a stack.
  statement {
    sid       = "CheckTemplate"
    actions   = ["cloudformation:GetTemplateSummary", "cloudformation:ValidateTemplate"]
    resources = ["*"]
  }

  statement {
    sid       = "LetCloudFormationWork"
    actions   = ["iam:PassRole"]
    resources = [aws_iam_role.stack.arn]

    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["cloudformation.amazonaws.com"]
    }
  }

  statement {
    sid       = "UploadCode"
    actions   = ["s3:GetBucketLocation", "s3:GetObject", "s3:ListBucket", "s3:PutObject"]
    resources = ["arn:${local.partition}:s3:::aws-sam-cli-managed-default-*"]
  }
}

resource "aws_iam_role_policy" "deploy" {
  name   = "deploy"
  role   = aws_iam_role.deploy.id
  policy = data.aws_iam_policy_document.deploy.json
}

# What CloudFormation does for the stack. GitHub can only have it carry out a template.

data "aws_iam_policy_document" "trust_cloudformation" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["cloudformation.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }
}

resource "aws_iam_role" "stack" {
  name               = "${local.name}-stack"
  description        = "CloudFormation, for the stack ${local.name}."
  assume_role_policy = data.aws_iam_policy_document.trust_cloudformation.json
}

resource "aws_iam_role_policy_attachment" "stack" {
  for_each = toset(var.stack_policy_arns)

  role       = aws_iam_role.stack.name
  policy_arn = each.value
}

data "aws_iam_policy_document" "stack" {
  # A role is made, and given something, only with the boundary: what a template can give is never more than that.
  statement {
    sid       = "RolesWithinTheBoundary"
    actions   = ["iam:AttachRolePolicy", "iam:CreateRole", "iam:PutRolePermissionsBoundary", "iam:PutRolePolicy"]
    resources = ["arn:${local.partition}:iam::${local.account}:role/${local.name}-*"]

    condition {
      test     = "StringEquals"
      variable = "iam:PermissionsBoundary"
      values   = [aws_iam_policy.stack_boundary.arn]
    }
  }

  statement {
    sid = "RolesOfTheStack"
    actions = [
      "iam:DeleteRole",
      "iam:DeleteRolePolicy",
      "iam:DetachRolePolicy",
      "iam:GetRole",
      "iam:GetRolePolicy",
      "iam:ListAttachedRolePolicies",
      "iam:ListInstanceProfilesForRole",
      "iam:ListRolePolicies",
      "iam:ListRoleTags",
      "iam:TagRole",
      "iam:UntagRole",
      "iam:UpdateAssumeRolePolicy",
      "iam:UpdateRole",
      "iam:UpdateRoleDescription",
    ]
    resources = ["arn:${local.partition}:iam::${local.account}:role/${local.name}-*"]
  }

  statement {
    sid       = "HandOnRolesOfTheStack"
    actions   = ["iam:PassRole"]
    resources = ["arn:${local.partition}:iam::${local.account}:role/${local.name}-*"]

    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["apigateway.amazonaws.com", "codedeploy.amazonaws.com", "lambda.amazonaws.com", "states.amazonaws.com"]
    }
  }

  # Also where somebody attaches more to this role.
  statement {
    sid       = "NeverLoseTheBoundary"
    effect    = "Deny"
    actions   = ["iam:DeleteRolePermissionsBoundary"]
    resources = ["*"]
  }

  statement {
    sid     = "NeverChangeABoundary"
    effect  = "Deny"
    actions = ["iam:CreatePolicyVersion", "iam:DeletePolicy*", "iam:SetDefaultPolicyVersion"]
    resources = [
      aws_iam_policy.boundary.arn,
      aws_iam_policy.stack_boundary.arn,
    ]
  }

  # Not its own roles, nor those of workers and of GitHub: a template must not give more than it has.
  statement {
    sid     = "NotTheseRoles"
    effect  = "Deny"
    actions = ["iam:AttachRolePolicy", "iam:DeleteRole*", "iam:DetachRolePolicy", "iam:PassRole", "iam:PutRole*", "iam:UpdateAssumeRolePolicy"]
    resources = [
      aws_iam_role.deploy.arn,
      aws_iam_role.execution.arn,
      aws_iam_role.provisioning.arn,
      aws_iam_role.stack.arn,
    ]
  }
}

resource "aws_iam_role_policy" "stack" {
  name   = "roles"
  role   = aws_iam_role.stack.id
  policy = data.aws_iam_policy_document.stack.json
}
