output "address" {
  description = "Where the API is."
  value       = "https://${var.host}.${var.domain}"
}

output "kubernetes" {
  description = "Public address of the first server, for kubectl and SSH from the administrators' networks."
  value       = module.cluster.first_server
}

output "database" {
  description = "Private address of the server for PostgreSQL and Redis."
  value       = module.cluster.database
}

output "object_store" {
  description = "Value of PLATFORM_OBJECT_STORE."
  value       = "s3://${var.bucket}"
}

output "s3_endpoint" {
  description = "Value of PLATFORM_S3_ENDPOINT."
  value       = "https://${var.location}.your-objectstorage.com"
}
