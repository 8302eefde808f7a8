vcl 4.1;

# Varnish in front of the collector. Tests run this very file. TLS ends before it:
# - by hitch, which writes no headers: let it speak PROXY (`write-proxy-v2 = on`, and `varnishd -a ...,PROXY`). client.ip is
#   then the visitor's, and nothing below need be changed.
# - by nginx or a load balancer, which sets X-Forwarded-For: name it in `trusted`. Varnish appends it to that header as one
#   more proxy, so the collector must know it too.
# Tell the collector: PHAROS_COLLECTOR_TRUSTED_PROXIES=<Varnish's address>,<the addresses in `trusted`>.

backend collector {
    .host = "collector";
    .port = "8080";
    .connect_timeout = 2s;
    .first_byte_timeout = 20s;
    .between_bytes_timeout = 20s;
}

# Who may say whose request it is.
acl trusted {
    "192.0.2.1";
}

sub vcl_recv {
    if (!(client.ip ~ trusted)) {
        # Varnish has already added the peer to what the client claimed: keep the peer alone.
        set req.http.X-Forwarded-For = client.ip;
    }
    # Ties an answer that went wrong to the collector's log line; never the client's own.
    set req.http.X-Request-Id = req.xid;
    unset req.http.Forwarded;
    unset req.http.X-Real-IP;
    if (req.url !~ "^/v1/events(\?|$)") {
        unset req.http.Authorization;
    }

    # Only our own cookies go in.
    if (req.http.Cookie) {
        set req.http.Cookie = ";" + req.http.Cookie;
        set req.http.Cookie = regsuball(req.http.Cookie, "; +", ";");
        set req.http.Cookie = regsuball(req.http.Cookie, ";(_pid|_pcs|_pno)=", "; \1=");
        set req.http.Cookie = regsuball(req.http.Cookie, ";[^ ][^;]*", "");
        set req.http.Cookie = regsuball(req.http.Cookie, "^[; ]+|[; ]+$", "");
        if (req.http.Cookie == "") {
            unset req.http.Cookie;
        }
    }

    if (req.url ~ "^/[tx]\.js(\?|$)" && (req.method == "GET" || req.method == "HEAD")) {
        unset req.http.Cookie;
        return (hash);
    }
    # Everything else counts something.
    return (pass);
}

sub vcl_backend_response {
    if (bereq.url ~ "^/[tx]\.js(\?|$)" && beresp.status == 200) {
        unset beresp.http.Set-Cookie;
        # Serve it a day longer than it is fresh while collectors are away.
        set beresp.grace = 24h;
        return (deliver);
    }
    set beresp.uncacheable = true;
    set beresp.ttl = 0s;
    return (deliver);
}

sub vcl_deliver {
    unset resp.http.Via;
    unset resp.http.X-Varnish;
}
