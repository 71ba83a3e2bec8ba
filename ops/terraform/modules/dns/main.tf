# The API's name in a zone that exists.
variable "zone" {
  description = "The zone."
  type        = string
}

variable "name" {
  description = "The name in it."
  type        = string
}

variable "ipv4" {
  description = "IPv4 address."
  type        = string
}

variable "ipv6" {
  description = "IPv6 address."
  type        = string
}

data "hcloud_zone" "this" {
  name = var.zone
}

resource "hcloud_zone_rrset" "address" {
  for_each = { A = var.ipv4, AAAA = var.ipv6 }

  zone    = data.hcloud_zone.this.name
  name    = var.name
  type    = each.key
  ttl     = 300
  records = [{ value = each.value }]
}

# Only this authority may give certificates for the name.
resource "hcloud_zone_rrset" "authority" {
  zone    = data.hcloud_zone.this.name
  name    = var.name
  type    = "CAA"
  ttl     = 3600
  records = [{ value = "0 issue \"letsencrypt.org\"" }]
}
