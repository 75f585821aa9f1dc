#!/bin/sh
# Dumps the five databases into a new directory: backup.sh DIRECTORY
#
# Where the server is and who asks, PostgreSQL's own variables say (PGHOST, PGPORT, PGUSER, PGPASSWORD or PGPASSFILE): a user who
# may read all five. The services go on meanwhile. The directory is there when all of it is: half a backup has another name.
# What is not in it: the bucket (copy it AFTERWARDS by its store's own tool, so that no file is missing that a dump knows of) and
# the secrets (keep them apart from this). docs/operations.md, "Backup and restore".
set -eu

services="auth session ticketing emotion memo"
fail() { echo "backup: $*" >&2; exit 1; }

to=${1:?say where: backup.sh DIRECTORY}
for tool in pg_dump pg_restore psql; do
  command -v "$tool" > /dev/null || fail "$tool is not here; it comes with PostgreSQL's client programs (apt install postgresql-client)"
done
[ ! -e "$to" ] || fail "$to is there already; name a new directory"
# Holds what people wrote: only its owner reads it.
umask 077
part=$to.incomplete
rm -rf "$part"
mkdir -p "$part"

# Everything that can be wrong is said before anything is begun.
missing=
for service in $services; do
  said=$(psql --no-password --no-psqlrc --dbname "maru_$service" --tuples-only --no-align --command 'SELECT 1' 2>&1) ||
    missing="$missing
  maru_$service: $said"
done
[ -z "$missing" ] || { rmdir "$part"; fail "cannot get into:$missing"; }

for service in $services; do
  pg_dump --no-password --format=custom --dbname "maru_$service" --file "$part/maru_$service.dump" ||
    fail "maru_$service was not dumped; what there is lies in $part"
  # Whether it can be read back, at least its table of contents.
  pg_restore --list "$part/maru_$service.dump" > /dev/null || fail "the dump of maru_$service cannot be read"
done
date -u +%Y-%m-%dT%H:%M:%SZ > "$part/taken_at"
if command -v sha256sum > /dev/null; then
  (cd "$part" && sha256sum ./*.dump > SHA256SUMS)
else
  (cd "$part" && shasum -a 256 ./*.dump > SHA256SUMS)
fi
mv "$part" "$to"
echo "backup: five databases in $to; now copy the bucket, and see that the secrets are kept elsewhere"
