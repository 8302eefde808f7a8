#!/bin/sh
# nginx, which reads the certificate again when it changes: compose.live.yaml runs this.
set -eu
chain=$TLS/fullchain.pem
(
    known=$(cksum "$chain")
    while sleep "${WATCH_S:-30}"; do
        now=$(cksum "$chain")
        if [ "$now" != "$known" ] && nginx -t "$@" && nginx -s reload "$@"; then known=$now; fi
    done
) &
exec nginx "$@" -g "daemon off; ${NGINX_GLOBALS:-}"
