# The platform's machines: a private network, a k3s cluster, a server for PostgreSQL and Redis, a load balancer, a bucket, a name.
locals {
  labels = { platform = var.name, managed-by = "terraform" }
}

module "network" {
  source = "./modules/network"

  name           = var.name
  labels         = local.labels
  administrators = var.administrators
}

module "cluster" {
  source = "./modules/cluster"

  name                 = var.name
  labels               = local.labels
  location             = var.location
  ssh_public_keys      = var.ssh_public_keys
  servers              = var.servers
  agents               = var.agents
  server_type          = var.server_type
  database_server_type = var.database_server_type
  database_volume_gb   = var.database_volume_gb
  k3s_version          = var.k3s_version
  k3s_token            = var.k3s_token
  network_id           = module.network.id
  nodes_range          = module.network.nodes_range
  data_range           = module.network.data_range
  node_firewall_id     = module.network.node_firewall_id
  data_firewall_id     = module.network.data_firewall_id
}

module "ingress" {
  source = "./modules/ingress"

  name       = var.name
  labels     = local.labels
  location   = var.location
  network_id = module.network.id
  address    = cidrhost(module.network.nodes_range, 5)
  selector   = "platform=${var.name},role=node"

  depends_on = [module.cluster]
}

module "storage" {
  source = "./modules/storage"

  bucket = var.bucket
}

module "dns" {
  source = "./modules/dns"

  zone = var.domain
  name = var.host
  ipv4 = module.ingress.ipv4
  ipv6 = module.ingress.ipv6
}
