#!/bin/sh
# Make the passwords at the paths that are given, each once: `sh deploy/secrets.sh FOLDER/NAME ...`. compose.yaml runs it.
# One that is there already, your own for instance, is left as it is.
set -eu
for path in "$@"; do
    [ -s "$path" ] && continue
    mkdir -p "$(dirname "$path")"
    # Whole or not at all. Everybody who comes to the folder may read it, since each container has a user of its own:
    # what keeps others out is that only those containers mount the folder.
    (umask 022; head -c 24 /dev/urandom | base64 | tr -d '/+=\n' > "$path.new")
    mv "$path.new" "$path"
    echo "made $path"
done
