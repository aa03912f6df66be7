# The worker's images. A tag is a commit and never changes.
resource "aws_ecr_repository" "provisioner" {
  name                 = "${local.name}/provisioner"
  image_tag_mutability = "IMMUTABLE"

  encryption_configuration {
    encryption_type = "AES256"
  }

  image_scanning_configuration {
    scan_on_push = true
  }
}

resource "aws_ecr_lifecycle_policy" "provisioner" {
  repository = aws_ecr_repository.provisioner.name

  policy = jsonencode({
    rules = [
      {
        rulePriority = 1
        description  = "Images that can still be gone back to."
        selection    = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = var.keep_images }
        action       = { type = "expire" }
      },
    ]
  })
}
