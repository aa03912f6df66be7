# A private bucket and a queue with a queue for what could not be handled, and a policy for the service that
# uses them. Everything is encrypted, nothing is public, and nothing is reached without TLS.

terraform {
  required_version = ">= 1.10"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "5.100.0"
    }
  }
}

# Region and credentials come from the worker's task.
provider "aws" {
  default_tags {
    tags = {
      tenant      = var.gatehouse.tenant
      service     = var.gatehouse.service
      environment = var.gatehouse.environment
      managed-by  = "gatehouse"
    }
  }
}

locals {
  # The provisioning role may touch what begins with this, and nothing else.
  name = "gh-${var.gatehouse.tenant}-${var.gatehouse.service}-${var.gatehouse.environment}"

  # Names of buckets take less than names of queues do.
  bucket_prefix = "${trimsuffix(substr(lower(replace(local.name, "/[^A-Za-z0-9-]/", "-")), 0, 36), "-")}-"
  queue_name    = substr(replace(local.name, "/[^A-Za-z0-9_-]/", "-"), 0, 70)
}
