#!/bin/sh
# Back up the database `pharos`, or restore it into an empty server; in the container of ClickHouse: docs/live.md, "Backups".
#   sh /backup.sh backup NAME    sh /backup.sh restore NAME    sh /backup.sh delete-older DAYS
# To the disk `backups` (server.xml), or to S3 if BACKUP_S3 is set: "'https://BUCKET.s3.REGION.amazonaws.com/pharos','KEY','SECRET'".
set -eu
sql() { clickhouse-client --user pharos --password "$(cat /run/secrets/clickhouse_password)" --query "$1"; }

place() {
    case $1 in *[!A-Za-z0-9._-]*) echo "a name has letters, digits, dots and dashes only: $1" >&2; exit 2 ;; esac
    if [ -n "${BACKUP_S3:-}" ]; then
        address=${BACKUP_S3%%,*}
        echo "S3(${address%\'}/$1',${BACKUP_S3#*,})"
    else
        echo "Disk('backups', '$1')"
    fi
}

case ${1:-} in
    backup)
        where=$(place "$2")
        sql "BACKUP DATABASE pharos TO $where"
        ;;
    restore)
        [ "$(sql "SELECT count() FROM system.tables WHERE database = 'pharos'")" = 0 ] || {
            echo "there is a database pharos already: DROP DATABASE pharos first, if it is not needed" >&2
            exit 1
        }
        where=$(place "$2")
        sql "RESTORE DATABASE pharos FROM $where"
        ;;
    delete-older) find "${BACKUPS:-/backups}" -mindepth 1 -maxdepth 1 -mtime "+$2" -exec rm -r {} + ;;
    *) echo "backup NAME, restore NAME or delete-older DAYS" >&2; exit 2 ;;
esac
