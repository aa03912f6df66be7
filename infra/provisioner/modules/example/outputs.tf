output "name" {
  description = "Name of the service."
  value       = terraform_data.service.output.name
}

output "url" {
  description = "Where the service would be."
  value       = "https://${terraform_data.service.output.name}.example.com"
}

output "greeting" {
  description = "What the service says."
  value       = terraform_data.service.output.greeting
}

output "replicas" {
  description = "Names of the replicas."
  value       = terraform_data.replica[*].output
}

output "connection" {
  description = "How to connect, with the credential."
  value       = "db://${terraform_data.service.output.name}:${terraform_data.credential.output}@localhost"
  sensitive   = true
}
