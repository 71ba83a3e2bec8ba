# terraform -chdir=ops/terraform apply -var-file=examples/small/terraform.tfvars
# One server that is everything, and a small database: for a trial.
name                 = "eu-platform-trial"
location             = "nbg1"
servers              = 1
agents               = 0
server_type          = "cx33"
database_server_type = "cx23"
database_volume_gb   = 20
administrators       = ["203.0.113.7/32"]
ssh_public_keys      = { ada = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExampleExampleExampleExampleExa ada@example" }
domain               = "platform.example"
host                 = "trial"
bucket               = "eu-platform-trial-objects"
