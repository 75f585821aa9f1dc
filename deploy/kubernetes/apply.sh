#!/bin/sh
# Rolls out an overlay: apply.sh development | production [CONTEXT]
#
# In this order, because a new binary may need the new schema, and the old ones go on with it: what the services stand on, then the
# migrations until they are done, then the services. When a migration fails, nothing of the running services has changed.
set -eu

overlay=${1:?say which: apply.sh development or apply.sh production}
kubectl() { command kubectl ${context:+--context "$context"} "$@"; }
context=${2:-}
limit=${TIMEOUT:-15m}

rendered=$(mktemp)
trap 'rm -f "$rendered"' EXIT
# Holds secrets: nobody else may read it.
chmod 600 "$rendered"
kubectl kustomize "$(dirname "$0")/overlays/$overlay" > "$rendered"

kubectl apply -f "$rendered" -l 'app.kubernetes.io/component notin (service, migration)'
# A job cannot be changed, only made anew.
kubectl -n maru delete job -l app.kubernetes.io/component=migration --ignore-not-found
kubectl apply -f "$rendered" -l app.kubernetes.io/component=migration
kubectl -n maru wait job -l app.kubernetes.io/component=migration --for=condition=complete --timeout="$limit"
kubectl apply -f "$rendered" -l app.kubernetes.io/component=service
for workload in $(kubectl -n maru get deployment,statefulset -l app.kubernetes.io/component=service -o name); do
  kubectl -n maru rollout status "$workload" --timeout="$limit"
done
