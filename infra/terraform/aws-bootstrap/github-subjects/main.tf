# What the tokens of GitHub Actions say they are from (`sub`), of every run that may deploy. No provider is needed, so
# `terraform test` works it out anywhere.

variable "repository" {
  description = "owner/name."
  type        = string
}

variable "owner_id" {
  description = "GitHub's number of the owner; null where only the name is known."
  type        = string
  default     = null
}

variable "repository_id" {
  description = "GitHub's number of the repository; null where only the name is known."
  type        = string
  default     = null
}

variable "branch" {
  description = "Branch that deploys where no environment does."
  type        = string
}

variable "environments" {
  description = "GitHub environments that deploy."
  type        = list(string)
}

locals {
  names = split("/", var.repository)

  # Tokens of a repository that was made or renamed since July 2026 have the numbers of owner and repository in the
  # subject, those of older ones once their admins say so.
  by_number = (
    var.owner_id == null || var.repository_id == null
    ? []
    : ["${local.names[0]}@${var.owner_id}/${local.names[1]}@${var.repository_id}"]
  )
  repositories = concat([var.repository], local.by_number)

  # A job that names an environment shows that instead of its branch, and comes past the environment's reviewers and
  # branches. One that names none would come past nobody: it deploys only where there are no environments.
  from = (
    length(var.environments) > 0
    ? [for environment in var.environments : "environment:${environment}"]
    : ["ref:refs/heads/${var.branch}"]
  )
}

output "subjects" {
  description = "The subjects that are let in, each as it is."
  value       = [for pair in setproduct(local.repositories, local.from) : "repo:${pair[0]}:${pair[1]}"]
}
