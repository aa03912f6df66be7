# What functions of Gatehouse need in a VPC: security groups, and ways to AWS that do not lead through the internet. README.md.

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

data "aws_vpc" "this" {
  id = var.vpc_id
}

locals {
  name = "gatehouse-${var.stage}"
}
