# Named as the parameters of template.yaml.

output "VpcSubnetIds" {
  description = "Subnets that functions are to be in, with commas between them."
  value       = join(",", var.subnet_ids)
}

output "VpcSecurityGroupIds" {
  description = "Security groups of functions, with commas between them."
  value       = aws_security_group.functions.id
}
