variable "name" {
  description = "What all resources' names begin with."
  type        = string
  default     = "eu-platform"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}[a-z0-9]$", var.name))
    error_message = "The name has 3 to 32 small letters, digits and hyphens, and begins with a letter."
  }
}

variable "location" {
  description = "Where everything is: Falkenstein, Nuremberg or Helsinki. Nothing may leave the EU."
  type        = string
  default     = "fsn1"

  validation {
    condition     = contains(["fsn1", "nbg1", "hel1"], var.location)
    error_message = "Only locations in the EU are allowed: fsn1, nbg1, hel1."
  }
}

variable "administrators" {
  description = "Networks that may reach SSH and the Kubernetes API, in CIDR notation."
  type        = list(string)

  validation {
    condition     = length(var.administrators) > 0 && alltrue([for network in var.administrators : can(cidrhost(network, 0)) && !endswith(network, "/0")])
    error_message = "Name at least one network in CIDR notation, and not the whole internet."
  }
}

variable "ssh_public_keys" {
  description = "Public keys of administrators, by name."
  type        = map(string)

  validation {
    condition     = length(var.ssh_public_keys) > 0
    error_message = "Without a key, Hetzner would mail a root password."
  }
}

variable "servers" {
  description = "How many servers run the control plane (1, 3 or 5, for etcd's quorum)."
  type        = number
  default     = 3

  validation {
    condition     = contains([1, 3, 5], var.servers)
    error_message = "The control plane has 1, 3 or 5 servers."
  }
}

variable "agents" {
  description = "How many further servers run pods."
  type        = number
  default     = 2

  validation {
    condition     = var.agents >= 0 && var.agents <= 50
    error_message = "There are 0 to 50 agents."
  }
}

variable "server_type" {
  description = "Hetzner's type of a server."
  type        = string
  default     = "cx33"
}

variable "database_server_type" {
  description = "Hetzner's type of the server that PostgreSQL and Redis run on."
  type        = string
  default     = "cx43"
}

variable "database_volume_gb" {
  description = "Size of the database's volume."
  type        = number
  default     = 100

  validation {
    condition     = var.database_volume_gb >= 10 && var.database_volume_gb <= 10240
    error_message = "A volume has 10 to 10,240 GB."
  }
}

variable "k3s_version" {
  description = "Release of k3s, exactly."
  type        = string
  default     = "v1.33.5+k3s1"

  validation {
    condition     = can(regex("^v1\\.[0-9]+\\.[0-9]+\\+k3s[0-9]+$", var.k3s_version))
    error_message = "An exact release of k3s, such as v1.33.5+k3s1."
  }
}

variable "k3s_token" {
  description = "Secret by which servers join the cluster: at least 32 characters. It is kept in the (encrypted) state."
  type        = string
  sensitive   = true

  validation {
    condition     = length(var.k3s_token) >= 32
    error_message = "At least 32 characters."
  }
}

variable "domain" {
  description = "DNS zone at Hetzner, which exists."
  type        = string
}

variable "host" {
  description = "Name of the API in the zone."
  type        = string
  default     = "platform"
}

variable "bucket" {
  description = "Bucket for exported packages and archives; names are unique over all customers."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.bucket))
    error_message = "3 to 63 small letters, digits and hyphens."
  }
}
