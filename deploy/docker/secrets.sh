#!/bin/sh
# Makes the secrets of one deployment, one file each, and leaves alone what is there:
#
#   secrets.sh [DIRECTORY]     # secrets/ beside this script unless named
#
# Compose mounts a service's directory, Kubernetes makes a Secret of it. What somebody else gives you (the keys of a bucket, the
# address of a database) is put into its file by hand, before or after. Keep a copy where only operators get to it: whoever
# loses emotion/emotion_master_key has lost every conversation.
set -eu

to=${1:-$(dirname "$0")/secrets}
# Where the databases are, for addresses that are made now.
host=${DATABASE_HOST:-postgres}:${DATABASE_PORT:-5432}
services="auth session ticketing emotion memo"

# Only the owner comes in; what is inside may be read by whatever user a container runs as.
umask 022
mkdir -p "$to"
chmod 700 "$to"
for directory in gateway $services postgres; do mkdir -p "$to/$directory"; done

# put FILE COMMAND...: writes what the command prints, unless the file is there. It is whole or not there at all.
put() {
  file=$to/$1
  shift
  [ -s "$file" ] && return
  "$@" > "$file.new"
  mv "$file.new" "$file"
}

# share FILE OF: the same secret for another service.
share() { put "$1" cat "$to/$2"; }

# No line break at the end: some of those who read these files would take it for a part of the secret.
random() { openssl rand "$@" | tr -d '\n'; }

put gateway/jwt_secret random -base64 48
share auth/jwt_secret gateway/jwt_secret
put session/participant_secret random -base64 48
put ticketing/ticket_secret random -base64 48
put emotion/emotion_master_key random -base64 32
put memo/s3_access_key printf maru
put memo/s3_secret_key random -hex 32

# Each database has a user of its own, who sees no other database.
put postgres/superuser random -hex 24
for service in $services; do
  put "postgres/$service" random -hex 24
  put "$service/database_url" printf 'postgres://maru_%s:%s@%s/maru_%s' "$service" "$(cat "$to/postgres/$service")" "$host" "$service"
done

# Each process signs with a key of its own; everybody knows the public halves.
keys=
for process in gateway $services; do
  put "$process/internal_signing_key" openssl genpkey -algorithm ed25519
  public=$(openssl pkey -in "$to/$process/internal_signing_key" -pubout -outform DER | tail -c 32 | base64 | tr '+/' '-_' | tr -d '=\n')
  keys="$keys${keys:+,}{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"alg\":\"EdDSA\",\"use\":\"sig\",\"kid\":\"$process.1\",\"x\":\"$public\"}"
done
# While keys are changed there are more than these, and the file is written by hand (docs/operations.md).
for service in $services; do put "$service/internal_public_keys" printf '{"keys":[%s]}' "$keys"; done
