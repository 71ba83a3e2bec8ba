variable "name" {
  description = "What names begin with."
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

variable "ssh_public_keys" {
  description = "Public keys of administrators, by name."
  type        = map(string)
}

variable "servers" {
  description = "Servers of the control plane."
  type        = number
}

variable "agents" {
  description = "Servers that only run pods."
  type        = number
}

variable "server_type" {
  description = "Type of the cluster's servers."
  type        = string
}

variable "database_server_type" {
  description = "Type of the database's server."
  type        = string
}

variable "database_volume_gb" {
  description = "Size of the database's volume."
  type        = number
}

variable "k3s_version" {
  description = "Release of k3s."
  type        = string
}

variable "k3s_token" {
  description = "Secret by which servers join."
  type        = string
  sensitive   = true
}

variable "network_id" {
  description = "The private network."
  type        = number
}

variable "nodes_range" {
  description = "Addresses of the cluster."
  type        = string
}

variable "data_range" {
  description = "Addresses of the database's server."
  type        = string
}

variable "node_firewall_id" {
  description = "Firewall of the cluster's servers."
  type        = number
}

variable "data_firewall_id" {
  description = "Firewall of the database's server."
  type        = number
}
