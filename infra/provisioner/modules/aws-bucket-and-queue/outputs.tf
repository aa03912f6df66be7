output "bucket" {
  description = "Name of the bucket."
  value       = aws_s3_bucket.this.id
}

output "queue_url" {
  description = "Where messages are sent to and taken from."
  value       = aws_sqs_queue.this.url
}

output "unhandled_queue_url" {
  description = "Where messages end that could not be handled."
  value       = aws_sqs_queue.unhandled.url
}

output "access_policy_arn" {
  description = "ARN of the policy to attach to the service's role."
  value       = aws_iam_policy.access.arn
}
