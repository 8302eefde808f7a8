# Fastly before nginx before Pharos collectors: a whole custom VCL, to be uploaded as the service's main file.
# The backend is an nginx of deploy/edge with tls.conf and cdn/fastly.conf (the collector speaks no TLS); the collector's
# peer is that nginx: PHAROS_COLLECTOR_TRUSTED_PROXIES=<nginx's address>, and PHAROS_COLLECTOR_CDN as it is (nginx).
# Where a load balancer ends TLS instead, takes Fastly's networks alone, and passes headers on: PHAROS_COLLECTOR_CDN=fastly,
# PHAROS_COLLECTOR_TRUSTED_PROXIES=<the balancer's networks>; then Fastly's place headers are read, too.
# Switch on HTTP/3 and force TLS for the service; shielding is of no use here.

sub vcl_recv {
  # The address, which the client cannot choose: set at the first Fastly node alone.
  if (fastly.ff.visits_this_service == 0) {
    set req.http.Fastly-Client-IP = client.ip;
    set req.http.X-Geo-Country = client.geo.country_code;
    set req.http.X-Geo-Region = client.geo.region;
    set req.http.X-Geo-City = client.geo.city.utf8;
    # Ties an answer that went wrong to the collector's log line; never the client's own.
    set req.http.X-Request-Id = req.xid;
  }

  # Authorization belongs to /v1/events alone.
  if (req.url.path != "/v1/events") {
    unset req.http.Authorization;
  }

  # Only our own cookies go in.
  declare local var.ours STRING;
  set var.ours = "";
  if (req.http.Cookie:_pid) { set var.ours = var.ours + "_pid=" + req.http.Cookie:_pid + "; "; }
  if (req.http.Cookie:_pcs) { set var.ours = var.ours + "_pcs=" + req.http.Cookie:_pcs + "; "; }
  if (req.http.Cookie:_pno) { set var.ours = var.ours + "_pno=" + req.http.Cookie:_pno + "; "; }
  if (var.ours == "") { unset req.http.Cookie; } else { set req.http.Cookie = var.ours; }

#FASTLY recv

  if (req.url.path ~ "^/[tx]\.js$" && (req.method == "GET" || req.method == "HEAD")) {
    unset req.http.Cookie;
    return(lookup);
  }
  # Everything else counts something.
  return(pass);
}

sub vcl_fetch {
#FASTLY fetch

  if (req.url.path ~ "^/[tx]\.js$" && beresp.status == 200) {
    unset beresp.http.Set-Cookie;
    set beresp.stale_if_error = 86400s;
    return(deliver);
  }
  return(pass);
}
