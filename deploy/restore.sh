#!/bin/sh
# Brings the five databases back from a directory that backup.sh made: restore.sh DIRECTORY
#
# Into EMPTY databases only, so that nothing can be overwritten: where there is something, this says how to put it aside, and has
# changed nothing. Each database comes back whole or not at all. The services must be stopped. Where the server is, PostgreSQL's own
# variables say (PGHOST, PGPORT, PGUSER, PGPASSWORD or PGPASSFILE): a superuser, or whoever owns all five.
set -eu

services="auth session ticketing emotion memo"
fail() { echo "restore: $*" >&2; exit 1; }
ask() { psql --no-password --no-psqlrc --tuples-only --no-align --set ON_ERROR_STOP=1 --dbname "$1" --command "$2"; }

from=${1:?say from where: restore.sh DIRECTORY}
for tool in pg_restore psql; do
  command -v "$tool" > /dev/null || fail "$tool is not here; it comes with PostgreSQL's client programs (apt install postgresql-client)"
done
case $from in *.incomplete) fail "$from was never finished" ;; esac
[ -f "$from/SHA256SUMS" ] || fail "$from is no backup: it has no SHA256SUMS"
if command -v sha256sum > /dev/null; then sums=sha256sum; else sums="shasum -a 256"; fi
(cd "$from" && $sums -c SHA256SUMS > /dev/null) || fail "a dump in $from is not what was written there"

# Who is connected, how much is there, whose it is.
owner="pg_get_userbyid((SELECT datdba FROM pg_database WHERE datname = current_database()))"
look="SELECT (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'
    AND pid <> pg_backend_pid()),
  (SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'S') AND relnamespace::regnamespace::text
    NOT IN ('pg_catalog', 'information_schema', 'pg_toast')), $owner"

# Everything that can be wrong is looked at before anything is changed.
faults=
fault() { faults="$faults
  $*"; }
for service in $services; do
  db=maru_$service
  [ -f "$from/$db.dump" ] || fault "$from/$db.dump is missing"
  pg_restore --list "$from/$db.dump" > /dev/null 2>&1 || fault "$from/$db.dump cannot be read by this pg_restore: $(pg_restore --version)"
  # One question, so that no connection of our own is taken for somebody else's.
  if ! said=$(ask "$db" "$look" 2>&1); then
    fault "$db: $said"
    continue
  fi
  used=${said%%|*} said=${said#*|}
  [ "$used" = 0 ] || fault "$db: $used connections; stop the services first"
  [ "${said%%|*}" = 0 ] || fault "$db is not empty; put it aside: ALTER DATABASE $db RENAME TO ${db}_before; CREATE DATABASE $db OWNER \"${said#*|}\"; REVOKE CONNECT ON DATABASE $db FROM PUBLIC;"
done
[ -z "$faults" ] || fail "nothing was changed, because of:$faults"

for service in $services; do
  db=maru_$service
  role=$(ask "$db" "SELECT $owner")
  pg_restore --no-password --single-transaction --exit-on-error --no-owner --role "$role" --dbname "$db" "$from/$db.dump" ||
    fail "$db was not restored and is as empty as before; those before it are restored"
  # Without numbers of what is in the tables the first minutes would be slow.
  ask "$db" 'ANALYZE' > /dev/null
done
taken=$(cat "$from/taken_at" 2> /dev/null || echo 'an unknown time')
cat <<DONE
restore: five databases are as of $taken. Before people come back:
  1. the same secrets as then, emotion_master_key above all, and the bucket's files
  2. an empty Redis (FLUSHALL): what it remembers is of another time
  3. maru-<service> migrate, then start; maru-ticketing verify; maru-auth audit verify
  4. repeat the erasures since then with maru-auth erase (docs/operations.md, "What a restore brings back")
DONE
