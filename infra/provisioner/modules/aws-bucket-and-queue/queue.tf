resource "aws_sqs_queue" "this" {
  name = local.queue_name

  message_retention_seconds  = var.keep_messages_days * 86400
  receive_wait_time_seconds  = 20
  visibility_timeout_seconds = var.handling_seconds

  sqs_managed_sse_enabled = var.kms_key_arn == null ? true : null
  kms_master_key_id       = var.kms_key_arn

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.unhandled.arn
    maxReceiveCount     = var.attempts
  })
}

# What was tried `attempts` times waits here for a person.
resource "aws_sqs_queue" "unhandled" {
  name = "${local.queue_name}-unhandled"

  message_retention_seconds = 14 * 86400

  sqs_managed_sse_enabled = var.kms_key_arn == null ? true : null
  kms_master_key_id       = var.kms_key_arn
}

resource "aws_sqs_queue_redrive_allow_policy" "unhandled" {
  queue_url = aws_sqs_queue.unhandled.id

  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [aws_sqs_queue.this.arn]
  })
}

data "aws_iam_policy_document" "queue" {
  for_each = {
    this      = aws_sqs_queue.this.arn
    unhandled = aws_sqs_queue.unhandled.arn
  }

  statement {
    sid       = "OnlyOverTls"
    effect    = "Deny"
    actions   = ["sqs:*"]
    resources = [each.value]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_sqs_queue_policy" "this" {
  queue_url = aws_sqs_queue.this.id
  policy    = data.aws_iam_policy_document.queue["this"].json
}

resource "aws_sqs_queue_policy" "unhandled" {
  queue_url = aws_sqs_queue.unhandled.id
  policy    = data.aws_iam_policy_document.queue["unhandled"].json
}
