terraform {
  required_version = ">= 1.11"
  required_providers {
    minio = {
      source  = "aminueza/minio"
      version = "~> 3.6"
    }
  }
}
