# terraform -chdir=ops/terraform apply -var-file=examples/production/terraform.tfvars
# Three servers and three agents: any one may be lost.
location             = "fsn1"
servers              = 3
agents               = 3
server_type          = "cx43"
database_server_type = "ccx33"
database_volume_gb   = 500
administrators       = ["198.51.100.0/28"]
ssh_public_keys      = { ada = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExampleExampleExampleExampleExa ada@example" }
domain               = "platform.example"
bucket               = "eu-platform-objects"
