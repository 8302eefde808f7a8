#!/bin/sh
# Get the certificate of $NAMES by ACME and renew it; compose.live.yaml runs it with certbot's image. nginx takes it from $TLS, where
# until the first one comes there is one of our own making, so that nginx can start and answer the challenge on port 80.
set -eu
first=${NAMES%% *}

if [ ! -s "$TLS/fullchain.pem" ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj "/CN=$first" \
        -keyout "$TLS/privkey.pem" -out "$TLS/fullchain.pem.new" 2>/dev/null
    mv "$TLS/fullchain.pem.new" "$TLS/fullchain.pem"
    echo "a certificate of our own, until the first one of $first comes"
fi

# The authority limits failed attempts: do not ask before nginx serves the challenge.
mkdir -p "$WEBROOT/.well-known/acme-challenge"
echo ready > "$WEBROOT/.well-known/acme-challenge/ready"
until wget -q -O /dev/null "$EDGE/.well-known/acme-challenge/ready"; do sleep 1; done

domains=
for name in $NAMES; do domains="$domains -d $name"; done
while :; do
    # shellcheck disable=SC2086  # words are meant
    if certbot certonly --webroot -w "$WEBROOT" --non-interactive --agree-tos --email "$MAIL" --no-eff-email \
        --keep-until-expiring --expand --cert-name pharos $domains ${CERTBOT_OPTIONS:-}; then
        # The key first: nginx looks at the chain, and both are in place when it changes.
        if ! cmp -s "$LIVE/fullchain.pem" "$TLS/fullchain.pem"; then
            (umask 077; cat "$LIVE/privkey.pem" > "$TLS/privkey.pem.new")
            cat "$LIVE/fullchain.pem" > "$TLS/fullchain.pem.new"
            mv "$TLS/privkey.pem.new" "$TLS/privkey.pem"
            mv "$TLS/fullchain.pem.new" "$TLS/fullchain.pem"
            echo "a new certificate for $NAMES"
        fi
        sleep "${RENEW_S:-43200}"
    else
        echo "no certificate; the next attempt is in ${RETRY_S:-900} s"
        sleep "${RETRY_S:-900}"
    fi
done
