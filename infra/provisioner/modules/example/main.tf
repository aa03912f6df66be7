# A module that needs no cloud and no download: to try Gatehouse with, and for its tests.

terraform {
  required_version = ">= 1.10"
}

# What somebody would call the service. A new greeting changes it in place.
resource "terraform_data" "service" {
  input = {
    name     = "${var.gatehouse.tenant}-${var.gatehouse.service}-${var.gatehouse.environment}"
    greeting = var.greeting
  }
}

# A credential that the service would be given.
resource "terraform_data" "credential" {
  input            = var.password
  triggers_replace = [var.gatehouse.service]
}

# As many as there should be, each slow if that is asked for.
resource "terraform_data" "replica" {
  count = var.replicas

  input = "${terraform_data.service.output.name}-${count.index}"

  provisioner "local-exec" {
    # The shell becomes the sleep, so that an interrupt reaches it.
    command = "echo \"replica ${count.index} takes ${var.duration_seconds} s\" && exec sleep ${var.duration_seconds}"
  }
}

# Breaks an apply after everything else is there.
resource "terraform_data" "broken" {
  count = var.fail ? 1 : 0

  depends_on = [terraform_data.replica]

  provisioner "local-exec" {
    command = "echo 'this environment was asked to fail' >&2; exit 7"
  }
}
