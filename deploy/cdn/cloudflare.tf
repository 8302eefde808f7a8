# Cloudflare before nginx before Pharos collectors:
#   terraform apply -var zone_id=... -var name=px.example.com -var origin=192.0.2.10
# The origin is an nginx of deploy/edge with tls.conf and cdn/cloudflare.conf, since the collector speaks no TLS and
# Cloudflare must not reach it in the clear: under "SSL/TLS" choose "Full (strict)", and give nginx a certificate, of
# Cloudflare's origin authority for instance. The collector's peer is that nginx, not Cloudflare:
#   PHAROS_COLLECTOR_TRUSTED_PROXIES=<nginx's address>, and PHAROS_COLLECTOR_CDN as it is (nginx).
# nginx takes the visitor's address from Cloudflare's networks alone, and strips the site's own cookies, which Cloudflare
# leaves in the request. Cloudflare's place headers end at nginx: the enricher's database knows the country.
# Under "Network" of the zone switch on HTTP/3. `doctor` tells whether addresses are right.
terraform {
  required_providers {
    cloudflare = {
      source  = "cloudflare/cloudflare"
      version = "~> 5.0"
    }
  }
}

variable "zone_id" { type = string }
variable "name" { type = string }
variable "origin" { type = string }

resource "cloudflare_dns_record" "collector" {
  zone_id = var.zone_id
  name    = var.name
  type    = "A"
  content = var.origin
  ttl     = 1
  proxied = true
}

resource "cloudflare_ruleset" "cache" {
  zone_id = var.zone_id
  name    = "pharos"
  kind    = "zone"
  phase   = "http_request_cache_settings"

  rules = [
    {
      description = "Hits, links, switches: never cached"
      expression  = "(http.host eq \"${var.name}\" and not http.request.uri.path in {\"/t.js\" \"/x.js\"})"
      action      = "set_cache_settings"
      action_parameters = {
        cache = false
      }
    },
    {
      description = "The tag and its second script: for as long as it says"
      expression  = "(http.host eq \"${var.name}\" and http.request.uri.path in {\"/t.js\" \"/x.js\"})"
      action      = "set_cache_settings"
      action_parameters = {
        cache       = true
        edge_ttl    = { mode = "respect_origin" }
        browser_ttl = { mode = "respect_origin" }
      }
    },
  ]
}

resource "cloudflare_ruleset" "headers" {
  zone_id = var.zone_id
  name    = "pharos"
  kind    = "zone"
  phase   = "http_request_late_transform"

  rules = [
    {
      description = "Authorization belongs to /v1/events alone"
      expression  = "(http.host eq \"${var.name}\" and http.request.uri.path ne \"/v1/events\")"
      action      = "rewrite"
      action_parameters = {
        headers = { "Authorization" = { operation = "remove" } }
      }
    },
  ]
}
