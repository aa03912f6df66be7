variable "gatehouse" {
  description = "What Gatehouse says about the place that this is for."
  type = object({
    tenant       = string
    service      = string
    environment  = string
    operation_id = string
  })
}

variable "greeting" {
  description = "What the service says."
  type        = string
  default     = "hello"
}

variable "replicas" {
  description = "How many replicas there are."
  type        = number
  default     = 1

  validation {
    condition     = var.replicas >= 0 && var.replicas <= 20
    error_message = "There can be 0 to 20 replicas."
  }
}

variable "password" {
  description = "A credential. It is shown nowhere."
  type        = string
  default     = "change-me"
  sensitive   = true
}

variable "duration_seconds" {
  description = "How long each replica takes to create."
  type        = number
  default     = 0

  validation {
    condition     = var.duration_seconds >= 0 && var.duration_seconds <= 3600
    error_message = "A replica takes 0 to 3600 seconds."
  }
}

variable "fail" {
  description = "Whether the apply fails, after everything else was created."
  type        = bool
  default     = false
}
