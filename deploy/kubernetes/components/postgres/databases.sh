#!/bin/bash
# Run once by the PostgreSQL image, on an empty data directory: a user and a database for each service, who see nothing of each
# other. Their passwords are files of the same directory as the superuser's.
set -euo pipefail

for service in auth session ticketing emotion memo; do
  psql --set ON_ERROR_STOP=1 --set "name=maru_$service" --set "password=$(cat "$(dirname "$POSTGRES_PASSWORD_FILE")/$service")" \
    --username "$POSTGRES_USER" --dbname postgres <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
REVOKE CONNECT ON DATABASE :"name" FROM PUBLIC;
SQL
done
