# A k3s cluster of servers and agents, and beside it a server for PostgreSQL and Redis with an encrypted volume.
locals {
  image = "debian-13"
  names = concat(
    [for number in range(var.servers) : "server-${number + 1}"],
    [for number in range(var.agents) : "agent-${number + 1}"],
  )
  # The first ten addresses are for the gateway and the load balancer.
  addresses = { for number, name in local.names : name => cidrhost(var.nodes_range, number + 10) }
  first     = local.addresses["server-1"]
}

resource "hcloud_ssh_key" "administrators" {
  for_each = var.ssh_public_keys

  name       = "${var.name}-${each.key}"
  public_key = each.value
  labels     = var.labels
}

# Servers on different hosts. A group holds ten at most; further agents are placed anywhere.
resource "hcloud_placement_group" "this" {
  for_each = toset(["server", "agent"])

  name   = "${var.name}-${each.key}"
  type   = "spread"
  labels = var.labels
}

resource "hcloud_server" "nodes" {
  for_each = local.addresses

  name               = "${var.name}-${each.key}"
  image              = local.image
  server_type        = var.server_type
  location           = var.location
  ssh_keys           = [for key in hcloud_ssh_key.administrators : key.id]
  firewall_ids       = [var.node_firewall_id]
  placement_group_id = tonumber(split("-", each.key)[1]) <= 10 ? hcloud_placement_group.this[split("-", each.key)[0]].id : null
  labels             = merge(var.labels, { role = "node" })
  backups            = startswith(each.key, "server-")

  user_data = templatefile("${path.module}/node.yaml.tftpl", {
    address = each.value
    first   = local.first
    leads   = each.value == local.first
    role    = startswith(each.key, "server-") ? "server" : "agent"
    token   = var.k3s_token
    version = var.k3s_version
  })

  network {
    network_id = var.network_id
    ip         = each.value
  }

  # A changed template or key is for new servers: those that run are upgraded in place.
  lifecycle {
    ignore_changes = [user_data, ssh_keys, image]
  }
}

resource "hcloud_server" "database" {
  name               = "${var.name}-database"
  image              = local.image
  server_type        = var.database_server_type
  location           = var.location
  ssh_keys           = [for key in hcloud_ssh_key.administrators : key.id]
  firewall_ids       = [var.data_firewall_id]
  labels             = merge(var.labels, { role = "database" })
  backups            = true
  delete_protection  = true
  rebuild_protection = true

  network {
    network_id = var.network_id
    ip         = cidrhost(var.data_range, 10)
  }

  lifecycle {
    ignore_changes = [ssh_keys, image]
  }
}

# Without a file system: it is formatted on the server, inside LUKS, with a key that Hetzner does not have (README.md).
resource "hcloud_volume" "database" {
  name              = "${var.name}-database"
  location          = var.location
  size              = var.database_volume_gb
  labels            = var.labels
  delete_protection = true

  lifecycle {
    prevent_destroy = true
  }
}

resource "hcloud_volume_attachment" "database" {
  volume_id = hcloud_volume.database.id
  server_id = hcloud_server.database.id
  automount = false
}

output "first_server" {
  description = "Public address of the first server."
  value       = hcloud_server.nodes["server-1"].ipv4_address
}

output "database" {
  description = "Private address of the database's server."
  value       = cidrhost(var.data_range, 10)
}
