# A private bucket for exported packages, certificates and the legal archive, all of which the platform encrypts or lets expire.
variable "bucket" {
  description = "The bucket's name."
  type        = string
}

# Not versioned: what is erased must be gone.
resource "minio_s3_bucket" "this" {
  bucket        = var.bucket
  acl           = "private"
  force_destroy = false

  lifecycle {
    prevent_destroy = true
  }
}

output "name" {
  description = "The bucket's name."
  value       = minio_s3_bucket.this.bucket
}
