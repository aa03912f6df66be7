# The most that the roles of the stack can do, whatever a template gives them: what functions and state machines need, and
# of this stage alone. CloudFormation can make no role without it, so whoever may deploy cannot give themselves more.

locals {
  # What AWSLambdaVPCAccessExecutionRole, AWS's own policy for functions in a VPC, gives beside logs.
  network_interface_actions = [
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
  ]
}

data "aws_iam_policy_document" "stack_boundary" {
  statement {
    sid = "Table"
    actions = [
      "dynamodb:BatchGetItem",
      "dynamodb:ConditionCheckItem",
      "dynamodb:DeleteItem",
      "dynamodb:GetItem",
      "dynamodb:PutItem",
      "dynamodb:Query",
      "dynamodb:UpdateItem",
    ]
    # With its index.
    resources = ["arn:${local.partition}:dynamodb:${var.region}:${local.account}:table/${local.name}-*"]
  }

  statement {
    sid = "Secrets"
    actions = [
      "secretsmanager:CreateSecret",
      "secretsmanager:DeleteSecret",
      "secretsmanager:GetSecretValue",
      "secretsmanager:PutSecretValue",
    ]
    resources = ["arn:${local.partition}:secretsmanager:${var.region}:${local.account}:secret:gatehouse/${var.stage}/*"]
  }

  statement {
    sid = "Workflows"
    actions = [
      "states:DescribeExecution",
      "states:SendTaskFailure",
      "states:SendTaskHeartbeat",
      "states:SendTaskSuccess",
      "states:StartExecution",
      "states:StopExecution",
    ]
    resources = [
      "arn:${local.partition}:states:${var.region}:${local.account}:execution:${local.name}-*",
      "arn:${local.partition}:states:${var.region}:${local.account}:stateMachine:${local.name}-*",
    ]
  }

  statement {
    sid       = "Functions"
    actions   = ["lambda:InvokeFunction"]
    resources = ["arn:${local.partition}:lambda:${var.region}:${local.account}:function:${local.name}-*"]
  }

  # What CodeDeploy does with a new version.
  statement {
    sid       = "RollOut"
    actions   = ["lambda:GetAlias", "lambda:GetProvisionedConcurrencyConfig", "lambda:UpdateAlias"]
    resources = ["arn:${local.partition}:lambda:${var.region}:${local.account}:function:${local.name}-*"]
  }

  statement {
    sid       = "LookAtAlarms"
    actions   = ["cloudwatch:DescribeAlarms"]
    resources = ["*"]
  }

  # X-Ray knows no resources here.
  statement {
    sid = "Trace"
    actions = [
      "xray:GetSamplingRules",
      "xray:GetSamplingTargets",
      "xray:PutTelemetryRecords",
      "xray:PutTraceSegments",
    ]
    resources = ["*"]
  }

  statement {
    sid       = "Workers"
    actions   = ["ecs:RunTask"]
    resources = ["arn:${local.partition}:ecs:${var.region}:${local.account}:task-definition/${local.name}-provisioner:*"]

    condition {
      test     = "ArnEquals"
      variable = "ecs:cluster"
      values   = [aws_ecs_cluster.this.arn]
    }
  }

  statement {
    sid       = "GiveWorkersTheirRoles"
    actions   = ["iam:PassRole"]
    resources = [aws_iam_role.provisioning.arn, aws_iam_role.execution.arn]

    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["ecs-tasks.amazonaws.com"]
    }
  }

  # The id of the API is not known before the stack is there.
  statement {
    sid       = "FlushAuthorizerCache"
    actions   = ["apigateway:DELETE"]
    resources = ["arn:${local.partition}:apigateway:${var.region}::/restapis/*/stages/${var.stage}/cache/authorizers"]
  }

  statement {
    sid       = "Announce"
    actions   = ["events:PutEvents"]
    resources = ["arn:${local.partition}:events:${var.region}:${local.account}:event-bus/${local.name}-*"]
  }

  # Lambda makes the network interfaces of a function by the function's own role, and asks for these rights on all resources.
  # They are given where they are needed, and never to the code of a function.
  dynamic "statement" {
    for_each = var.functions_in_vpc ? [local.network_interface_actions] : []

    content {
      sid       = "NetworkInterfaces"
      actions   = statement.value
      resources = ["*"]
    }
  }

  dynamic "statement" {
    for_each = var.functions_in_vpc ? [local.network_interface_actions] : []

    content {
      sid       = "LeaveNetworkInterfacesToLambda"
      effect    = "Deny"
      actions   = statement.value
      resources = ["*"]

      condition {
        test     = "ArnLike"
        variable = "lambda:SourceFunctionArn"
        values   = ["arn:${local.partition}:lambda:${var.region}:${local.account}:function:*"]
      }
    }
  }

  # As AWS's own policies for Lambda and API Gateway have it, of which each role gets one.
  statement {
    sid = "Logs"
    actions = [
      "logs:CreateLogGroup",
      "logs:CreateLogStream",
      "logs:DescribeLogGroups",
      "logs:DescribeLogStreams",
      "logs:FilterLogEvents",
      "logs:GetLogEvents",
      "logs:PutLogEvents",
    ]
    resources = ["*"]
  }
}

resource "aws_iam_policy" "stack_boundary" {
  name        = "${local.name}-stack-boundary"
  description = "The most that roles of the stack ${local.name} can ever do."
  policy      = data.aws_iam_policy_document.stack_boundary.json
}
