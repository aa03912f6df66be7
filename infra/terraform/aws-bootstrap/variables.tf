variable "region" {
  description = "Region of everything, the same as the stack's."
  type        = string
}

variable "stage" {
  description = "Stage of Gatehouse: dev, prod. It is part of every name, and the stack must be called gatehouse-<stage>."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,15}$", var.stage))
    error_message = "A stage is a lower-case letter, then at most 15 lower-case letters, digits and dashes."
  }
}

variable "vpc_id" {
  description = "Network that workers run in."
  type        = string
}

variable "subnet_ids" {
  description = "Subnets of that network with a way out: private ones behind a NAT, or public ones with assign_public_ip."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) > 0
    error_message = "Workers need a subnet."
  }
}

variable "assign_public_ip" {
  description = "Whether workers get a public address, which public subnets need. Nothing can reach them either way."
  type        = bool
  default     = false
}

variable "image_tag" {
  description = "Image of the first task definition. Each deployment registers one of its own."
  type        = string
  default     = "none"
}

variable "keep_images" {
  description = "Number of images that are kept."
  type        = number
  default     = 50
}

variable "cpu_architecture" {
  description = "What images are built for: ARM64 or X86_64."
  type        = string
  default     = "ARM64"

  validation {
    condition     = contains(["ARM64", "X86_64"], var.cpu_architecture)
    error_message = "Fargate has ARM64 and X86_64."
  }
}

variable "cpu" {
  description = "CPU of a worker, in 1/1024. The AWS provider alone needs a good part of one."
  type        = number
  default     = 1024
}

variable "memory" {
  description = "Memory of a worker, in MiB."
  type        = number
  default     = 2048
}

variable "log_level" {
  description = "Log filter of workers: error, warn, info, debug."
  type        = string
  default     = "info"
}

variable "log_retention_days" {
  description = "Days that logs of workers are kept."
  type        = number
  default     = 90
}

variable "container_insights" {
  description = "Whether ECS measures workers, which costs a little for each of them."
  type        = bool
  default     = false
}

variable "keep_old_states_days" {
  description = "Days that an old version of a state is kept. The newest 20 are kept in any case."
  type        = number
  default     = 365
}

variable "module_rights" {
  description = "What modules may do. `{account}`, `{partition}` and `{region}` in a resource are filled in. The default is what the modules of this repository need: buckets, queues and policies whose names begin with `gh-`."
  type = list(object({
    sid       = string
    actions   = list(string)
    resources = list(string)
  }))
  default = [
    {
      sid = "Buckets"
      actions = [
        "s3:CreateBucket",
        "s3:DeleteBucket",
        "s3:DeleteBucketPolicy",
        "s3:Get*Configuration",
        "s3:GetBucket*",
        "s3:ListBucket*",
        "s3:PutBucket*",
        "s3:PutEncryptionConfiguration",
        "s3:PutLifecycleConfiguration",
      ]
      resources = ["arn:{partition}:s3:::gh-*"]
    },
    {
      sid       = "EmptyBuckets"
      actions   = ["s3:DeleteObject", "s3:DeleteObjectVersion"]
      resources = ["arn:{partition}:s3:::gh-*/*"]
    },
    {
      sid = "Queues"
      actions = [
        "sqs:AddPermission",
        "sqs:CreateQueue",
        "sqs:DeleteQueue",
        "sqs:GetQueueAttributes",
        "sqs:GetQueueUrl",
        "sqs:ListQueueTags",
        "sqs:RemovePermission",
        "sqs:SetQueueAttributes",
        "sqs:TagQueue",
        "sqs:UntagQueue",
      ]
      resources = ["arn:{partition}:sqs:{region}:{account}:gh-*"]
    },
    {
      sid = "Policies"
      actions = [
        "iam:CreatePolicy",
        "iam:CreatePolicyVersion",
        "iam:DeletePolicy",
        "iam:DeletePolicyVersion",
        "iam:GetPolicy",
        "iam:GetPolicyVersion",
        "iam:ListPolicyTags",
        "iam:ListPolicyVersions",
        "iam:TagPolicy",
        "iam:UntagPolicy",
      ]
      resources = ["arn:{partition}:iam::{account}:policy/gatehouse/services/*"]
    },
  ]
}

variable "boundary_actions" {
  description = "The most that modules can ever be allowed: the permissions boundary of the provisioning role. Widen it before module_rights. Gatehouse's own resources, other roles, and everything of IAM but services' policies stay denied whatever stands here."
  type        = list(string)
  default     = ["iam:*Policy*", "s3:*", "sqs:*"]
}

variable "operators" {
  description = "ARNs of who may look at workers and deployments, without changing anything; nobody without them."
  type        = list(string)
  default     = []
}

variable "github_repository" {
  description = "Repository that deploys: owner/name."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9._-]+/[A-Za-z0-9._-]+$", var.github_repository))
    error_message = "A repository is owner/name, without wildcards."
  }
}

variable "github_owner_id" {
  description = "GitHub's number of the repository's owner. Tokens of a repository that was made or renamed since July 2026 say it."
  type        = string
  default     = null

  validation {
    condition     = var.github_owner_id == null || can(regex("^[0-9]+$", var.github_owner_id))
    error_message = "The id of an owner is a number."
  }

  validation {
    condition     = (var.github_owner_id == null) == (var.github_repository_id == null)
    error_message = "A token says both ids or none: give github_owner_id and github_repository_id."
  }
}

variable "github_repository_id" {
  description = "GitHub's number of the repository."
  type        = string
  default     = null

  validation {
    condition     = var.github_repository_id == null || can(regex("^[0-9]+$", var.github_repository_id))
    error_message = "The id of a repository is a number."
  }
}

variable "github_branch" {
  description = "Branch that deploys where no environment does."
  type        = string
  default     = "main"

  validation {
    condition     = can(regex("^[A-Za-z0-9._/-]+$", var.github_branch))
    error_message = "A branch is named without wildcards."
  }
}

variable "github_environments" {
  description = "GitHub environments that deploy to this stage, in place of github_branch. Each must admit that branch alone."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for name in var.github_environments : can(regex("^[A-Za-z0-9._-]+$", name))])
    error_message = "Environments are named without wildcards."
  }
}

variable "github_provider_arn" {
  description = "ARN of the account's OIDC provider for GitHub, if there is one already."
  type        = string
  default     = null
}

variable "stack_policy_arns" {
  description = "What CloudFormation may do for the stack, roles apart, which it may make under the stack's name and within the boundary."
  type        = list(string)
  default     = ["arn:aws:iam::aws:policy/PowerUserAccess"]
}

variable "functions_in_vpc" {
  description = "Whether functions may be in a VPC: before the stack is given VpcSubnetIds and VpcSecurityGroupIds."
  type        = bool
  default     = false
}
