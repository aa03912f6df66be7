# What Gatehouse's provisioner needs in an AWS account before anything can be provisioned: README.md.

terraform {
  required_version = ">= 1.10"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }
}

provider "aws" {
  region = var.region

  default_tags {
    tags = {
      application = "gatehouse"
      stage       = var.stage
      managed-by  = "terraform"
    }
  }
}

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

locals {
  name      = "gatehouse-${var.stage}"
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
}
