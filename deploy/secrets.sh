#!/bin/sh
# Make the passwords that compose.yaml reads, each once: deploy/secrets/NAME, readable by this user alone.
set -eu
folder=$(dirname "$0")/secrets
mkdir -p "$folder"
chmod 0755 "$folder"
for name in clickhouse_password grafana_password; do
    [ -s "$folder/$name" ] && continue
    # The containers' own users read it: the folder above it is what keeps others of this host out, if you need that.
    (umask 022; head -c 24 /dev/urandom | base64 | tr -d '/+=\n' > "$folder/$name")
    echo "made $folder/$name"
done
