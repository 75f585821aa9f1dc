#!/bin/sh
# Checks the manifests without a cluster, with whatever of these tools is here, and says what it could not check:
# kubectl (puts the overlays together), kubernetes-validate (schemas; pip), check-jsonschema (the compose file; pip), promtool
# (alert rules; apt: prometheus). What only our own sources know is checked by the test `deploy` of the crate devstack.
set -eu

cd "$(dirname "$0")/../.."
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
has() { command -v "$1" > /dev/null; }
skip() { echo "$1 is not installed, $2"; }

if has kubectl; then
  cp -r deploy/kubernetes "$copy/kubernetes"
  for overlay in development production; do
    deploy/docker/secrets.sh "$copy/kubernetes/overlays/$overlay/secrets"
    kubectl kustomize "$copy/kubernetes/overlays/$overlay" > "$copy/$overlay.yaml"
    if has kubernetes-validate; then
      kubernetes-validate --strict --quiet "$copy/$overlay.yaml" > "$copy/said" 2>&1 || { cat "$copy/said"; exit 1; }
    else
      skip kubernetes-validate "manifests of $overlay were not checked against schemas: pip install kubernetes-validate"
    fi
  done
else
  skip kubectl "the overlays were not put together"
fi
if has check-jsonschema; then
  check-jsonschema --quiet --builtin-schema vendor.compose-spec docker-compose.yml
else
  skip check-jsonschema "docker-compose.yml was not checked against its schema: pip install check-jsonschema"
fi
if has promtool; then
  promtool check rules deploy/observability/prometheus/alerts.yml > "$copy/said" 2>&1 || { cat "$copy/said"; exit 1; }
else
  skip promtool "alert rules were read by our own test only: apt install prometheus"
fi
