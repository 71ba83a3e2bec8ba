terraform {
  required_version = ">= 1.11"

  required_providers {
    hcloud = {
      source  = "hetznercloud/hcloud"
      version = "~> 1.56" # zones came with 1.54
    }
    minio = {
      source  = "aminueza/minio"
      version = "~> 3.6"
    }
  }

  # State holds secrets. It lies in a bucket in the EU, encrypted by a key that the bucket's owner never sees stored
  # (SSE-C: AWS_SSE_CUSTOMER_KEY, 32 bytes in base64), under a lock. `terraform init -backend-config=state.tfbackend`
  # gives bucket and endpoint: see README.md.
  backend "s3" {
    key                         = "eu-platform/terraform.tfstate"
    encrypt                     = true
    use_lockfile                = true
    use_path_style              = true
    skip_credentials_validation = true
    skip_metadata_api_check     = true
    skip_region_validation      = true
    skip_requesting_account_id  = true
    skip_s3_checksum            = true
  }
}

# The tokens come from the environment: HCLOUD_TOKEN, MINIO_USER, MINIO_PASSWORD.
provider "hcloud" {}

provider "minio" {
  minio_server = "${var.location}.your-objectstorage.com"
  minio_region = var.location
  minio_ssl    = true
}
