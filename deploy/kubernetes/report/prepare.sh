#!/bin/sh
# Before nginx: takes the page and its routes out of the image (FROM), and writes the cluster's names into the routes (SITE).
set -eu
cp -R "$FROM/report/dist" "$SITE/report"
sed -e "s|clickhouse:8123|${CLICKHOUSE#*://}|" -e "s|http://\$clickhouse|${CLICKHOUSE%%://*}://\$clickhouse|" \
    -e "s|collector:9100|$COLLECTOR|" -e "s|enricher:9101|$ENRICHER|" \
    "$FROM/edge/report-locations.conf" > "$SITE/locations.conf"
# nginx asks the cluster's DNS at each request, and knows no search domains: the names above are whole.
sed -n -e '/^nameserver .*:/s|^nameserver *\(.*\)|resolver [\1] valid=5s;|p' \
    -e '/^nameserver [0-9.]*$/s|^nameserver *\(.*\)|resolver \1 valid=5s;|p' "$RESOLV" | head -n 1 > "$SITE/resolver.conf"
[ -s "$SITE/resolver.conf" ]
