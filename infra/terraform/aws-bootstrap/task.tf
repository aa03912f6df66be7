# Where workers run. Nothing runs, and nothing is paid, between operations.

resource "aws_ecs_cluster" "this" {
  name = local.name

  setting {
    name  = "containerInsights"
    value = var.container_insights ? "enabled" : "disabled"
  }
}

resource "aws_cloudwatch_log_group" "provisioner" {
  name              = "/${local.name}/provisioner"
  retention_in_days = var.log_retention_days
}

# Workers call and are never called.
resource "aws_security_group" "provisioner" {
  name        = "${local.name}-provisioner"
  description = "Workers of ${local.name}: no way in."
  vpc_id      = var.vpc_id
}

resource "aws_vpc_security_group_egress_rule" "https" {
  security_group_id = aws_security_group.provisioner.id
  description       = "Gatehouse, AWS and whatever else modules manage."
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

locals {
  # CloudWatch's own way of writing a query into a URL: `$25` for `%`.
  log_link = join("", [
    "https://${var.region}.console.aws.amazon.com/cloudwatch/home?region=${var.region}#logsV2:log-groups/log-group/",
    replace(urlencode(aws_cloudwatch_log_group.provisioner.name), "%", "$25"),
    "/log-events$3FfilterPattern$3D$2522{operation_id}$2522",
  ])

  environment = {
    AWS_REGION          = var.region
    GATEHOUSE_ARTIFACTS = "s3://${aws_s3_bucket.this["artifacts"].id}"
    GATEHOUSE_LOG       = var.log_level
    GATEHOUSE_LOG_LINK  = local.log_link
    GATEHOUSE_STATE     = "s3://${aws_s3_bucket.this["state"].id}"
  }
}

# `GATEHOUSE_MODULES` and `GATEHOUSE_TERRAFORM` are the image's; what differs from operation to operation is an
# override by the workflow.
resource "aws_ecs_task_definition" "provisioner" {
  family                   = "${local.name}-provisioner"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.cpu
  memory                   = var.memory
  task_role_arn            = aws_iam_role.provisioning.arn
  execution_role_arn       = aws_iam_role.execution.arn

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.cpu_architecture
  }

  ephemeral_storage {
    size_in_gib = 21
  }

  container_definitions = jsonencode([
    {
      name      = "provisioner"
      image     = "${aws_ecr_repository.provisioner.repository_url}:${var.image_tag}"
      essential = true

      environment = [for name, value in local.environment : { name = name, value = value }]

      # The most that Fargate gives Terraform to finish what it is doing.
      stopTimeout = 120

      logConfiguration = {
        logDriver = "awslogs"
        options = {
          awslogs-group         = aws_cloudwatch_log_group.provisioner.name
          awslogs-region        = var.region
          awslogs-stream-prefix = "worker"
        }
      }
    },
  ])
}
