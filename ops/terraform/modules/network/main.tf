# One private network with a range for the cluster and one for data, and the firewalls of both.
variable "name" {
  description = "What names begin with."
  type        = string
}

variable "labels" {
  description = "Labels of all resources."
  type        = map(string)
}

variable "administrators" {
  description = "Networks that may reach SSH and the Kubernetes API."
  type        = list(string)
}

resource "hcloud_network" "this" {
  name              = var.name
  ip_range          = "10.0.0.0/16"
  labels            = var.labels
  delete_protection = true
}

resource "hcloud_network_subnet" "this" {
  for_each = { nodes = "10.0.1.0/24", data = "10.0.2.0/24" }

  network_id   = hcloud_network.this.id
  type         = "cloud"
  network_zone = "eu-central"
  ip_range     = each.value
}

# Firewalls at Hetzner apply to public interfaces; what is not allowed is dropped. Requests come by the load balancer, over the
# private network.
resource "hcloud_firewall" "nodes" {
  name   = "${var.name}-nodes"
  labels = var.labels

  dynamic "rule" {
    for_each = { "22" = "SSH", "6443" = "Kubernetes API" }

    content {
      description = rule.value
      direction   = "in"
      protocol    = "tcp"
      port        = rule.key
      source_ips  = var.administrators
    }
  }
}

resource "hcloud_firewall" "data" {
  name   = "${var.name}-data"
  labels = var.labels

  rule {
    description = "SSH"
    direction   = "in"
    protocol    = "tcp"
    port        = "22"
    source_ips  = var.administrators
  }
}

output "id" {
  description = "The network."
  value       = hcloud_network.this.id
}

output "nodes_range" {
  description = "Addresses of the cluster."
  value       = hcloud_network_subnet.this["nodes"].ip_range
}

output "data_range" {
  description = "Addresses of PostgreSQL and Redis."
  value       = hcloud_network_subnet.this["data"].ip_range
}

output "node_firewall_id" {
  description = "Firewall of the cluster's servers."
  value       = hcloud_firewall.nodes.id
}

output "data_firewall_id" {
  description = "Firewall of the database's server."
  value       = hcloud_firewall.data.id
}
