variable "gatehouse" {
  description = "What Gatehouse says about the place that this is for."
  type = object({
    tenant       = string
    service      = string
    environment  = string
    operation_id = string
  })
}

variable "kms_key_arn" {
  description = "ARN of a KMS key to encrypt with; without one, S3 and SQS encrypt with keys of their own."
  type        = string
  default     = null
}

variable "keep_replaced_days" {
  description = "Days that replaced and deleted objects are kept."
  type        = number
  default     = 30

  validation {
    condition     = var.keep_replaced_days >= 1 && var.keep_replaced_days <= 3650
    error_message = "Replaced objects are kept for 1 to 3650 days."
  }
}

variable "delete_objects" {
  description = "Whether deprovisioning deletes a bucket that still holds objects. Without this it fails."
  type        = bool
  default     = false
}

variable "keep_messages_days" {
  description = "Days that a message waits for somebody to take it."
  type        = number
  default     = 4

  validation {
    condition     = var.keep_messages_days >= 1 && var.keep_messages_days <= 14
    error_message = "Messages are kept for 1 to 14 days."
  }
}

variable "handling_seconds" {
  description = "Seconds that handling a message may take before it is given to somebody else."
  type        = number
  default     = 60

  validation {
    condition     = var.handling_seconds >= 1 && var.handling_seconds <= 43200
    error_message = "Handling a message takes 1 to 43200 seconds."
  }
}

variable "attempts" {
  description = "How often a message is given out before it counts as one that cannot be handled."
  type        = number
  default     = 5

  validation {
    condition     = var.attempts >= 1 && var.attempts <= 1000
    error_message = "A message is given out 1 to 1000 times."
  }
}
