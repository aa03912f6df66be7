# Named as the parameters of template.yaml.

output "ProvisionerClusterArn" {
  description = "Cluster that workers run in."
  value       = aws_ecs_cluster.this.arn
}

output "ProvisionerTaskDefinitionArn" {
  description = "Task definition of workers. A deployment registers a newer one of the same family."
  value       = aws_ecs_task_definition.provisioner.arn
}

output "ProvisionerSubnets" {
  description = "Subnets that workers run in, with commas between them."
  value       = join(",", var.subnet_ids)
}

output "ProvisionerSecurityGroups" {
  description = "Security groups of workers, with commas between them."
  value       = aws_security_group.provisioner.id
}

output "ProvisionerAssignPublicIp" {
  description = "Whether workers get a public address: ENABLED or DISABLED."
  value       = var.assign_public_ip ? "ENABLED" : "DISABLED"
}

output "ProvisionerTaskRoleArn" {
  description = "Provisioning role: what modules may do."
  value       = aws_iam_role.provisioning.arn
}

output "ProvisionerExecutionRoleArn" {
  description = "Role that ECS starts workers with."
  value       = aws_iam_role.execution.arn
}

# For GitHub's environment and for people.

output "StateBucket" {
  description = "Bucket of Terraform's state."
  value       = aws_s3_bucket.this["state"].id
}

output "ArtifactsBucket" {
  description = "Bucket of plans."
  value       = aws_s3_bucket.this["artifacts"].id
}

output "ImageRepository" {
  description = "Where images of the worker are pushed to."
  value       = aws_ecr_repository.provisioner.repository_url
}

output "TaskFamily" {
  description = "Family of the worker's task definitions."
  value       = aws_ecs_task_definition.provisioner.family
}

output "DeployRoleArn" {
  description = "Role that GitHub Actions deploys with."
  value       = aws_iam_role.deploy.arn
}

output "StackRoleArn" {
  description = "Role that CloudFormation works with: sam deploy --role-arn."
  value       = aws_iam_role.stack.arn
}

output "PermissionsBoundaryArn" {
  description = "The most that roles of the stack can do, without which CloudFormation can make none."
  value       = aws_iam_policy.stack_boundary.arn
}

output "OperationsRoleArn" {
  description = "Role to look at workers and deployments with; null without operators."
  value       = one(aws_iam_role.operations[*].arn)
}
