# A load balancer that passes TLS through to the ingress controller: the cluster holds the certificates.
variable "name" {
  description = "The load balancer's name."
  type        = string
}

variable "labels" {
  description = "Labels of all resources."
  type        = map(string)
}

variable "location" {
  description = "Hetzner's location, in the EU."
  type        = string
}

variable "network_id" {
  description = "The private network, over which it reaches its targets."
  type        = number
}

variable "address" {
  description = "Its address in the private network, from which the ingress controller believes the PROXY protocol."
  type        = string
}

variable "selector" {
  description = "Labels of the servers behind it."
  type        = string
}

resource "hcloud_load_balancer" "this" {
  name               = var.name
  load_balancer_type = "lb11"
  location           = var.location
  labels             = var.labels
  delete_protection  = true
}

resource "hcloud_load_balancer_network" "this" {
  load_balancer_id = hcloud_load_balancer.this.id
  network_id       = var.network_id
  ip               = var.address
}

resource "hcloud_load_balancer_target" "nodes" {
  type             = "label_selector"
  load_balancer_id = hcloud_load_balancer.this.id
  label_selector   = var.selector
  use_private_ip   = true

  depends_on = [hcloud_load_balancer_network.this]
}

# The node ports of the ingress controller. Port 80 is for the certificate authority's question and for redirections.
resource "hcloud_load_balancer_service" "this" {
  for_each = { "443" = 30443, "80" = 30080 }

  load_balancer_id = hcloud_load_balancer.this.id
  protocol         = "tcp"
  listen_port      = tonumber(each.key)
  destination_port = each.value
  proxyprotocol    = true # so that the callers' addresses arrive

  health_check {
    protocol = "tcp"
    port     = each.value
    interval = 5
    timeout  = 3
    retries  = 2
  }
}

output "ipv4" {
  description = "Public IPv4 address."
  value       = hcloud_load_balancer.this.ipv4
}

output "ipv6" {
  description = "Public IPv6 address."
  value       = hcloud_load_balancer.this.ipv6
}
