#!/bin/sh
# Make Pharos's four topics where they are missing: `KAFKA=broker:9092 sh topics.sh`. Apache Kafka's kafka-topics.sh must be in
# PATH, or in TOOLS. COMMAND_CONFIG names a properties file with TLS and SASL. Existing topics stay as they are.
#
# acks=all waits for the copies in sync. With 3 copies and at least 2 of them in sync, one broker may be lost, or restarted,
# and nothing that was acknowledged goes with it; with fewer than two in sync the collectors keep hits in their spools.
set -eu
COPIES=${COPIES:-3}
IN_SYNC=${IN_SYNC:-2}
PARTITIONS=${PARTITIONS:-12}

make() {
    "${TOOLS:+$TOOLS/}kafka-topics.sh" --bootstrap-server "$KAFKA" ${COMMAND_CONFIG:+--command-config "$COMMAND_CONFIG"} \
        --create --if-not-exists --topic "$1" --partitions "$2" --replication-factor "$COPIES" \
        --config "retention.ms=$3" --config "min.insync.replicas=$IN_SYNC" --config unclean.leader.election.enable=false
}
make hits.raw "$PARTITIONS" 604800000       # 7 days: how far back a replay can reach
make hits.enriched "$PARTITIONS" 259200000  # 3 days: how long ClickHouse may be away
make hits.dead 3 2592000000                 # 30 days
make forward.dead 3 2592000000
