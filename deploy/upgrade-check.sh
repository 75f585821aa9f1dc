#!/bin/sh
# Whether the release before this one works on this one's schema, alone and beside this one: upgrade-check.sh [REVISION]
#
# REVISION is what runs where you are about to deploy: the tag before this commit unless named, or the commit before it where there
# is no tag. Its programs are built from an unpacked copy under target/upgrade, in a build directory of their own, which takes as
# long as a first build does; the second time it takes what changed. Then the test `upgrade` of the crate devstack migrates with
# this release's programs, starts the old ones on that, then both beside each other, then the new ones, and looks each time for all
# that somebody has written in every service (crates/devstack/tests/house/upgrade.rs).
set -eu

cd "$(dirname "$0")/.."
revision=${1:-$(git describe --tags --abbrev=0 HEAD~1 2> /dev/null || echo HEAD~1)}
commit=$(git rev-parse --verify --quiet "$revision^{commit}") || { echo "upgrade-check: there is no $revision" >&2; exit 1; }
here=$(pwd)
place=$here/target/upgrade
tree=$place/$(echo "$commit" | cut -c1-12)

# An archive and not a work tree: nothing is written into the repository's own books, and nothing has to be taken out of them.
if [ ! -d "$tree" ]; then
  rm -rf "$tree.new"
  mkdir -p "$tree.new"
  git archive "$commit" | tar -x -C "$tree.new"
  mv "$tree.new" "$tree"
fi
echo "upgrade-check: building $(git log -1 --format='%h %s' "$commit")"
programs="-p gateway -p auth -p session -p ticketing -p emotion -p memo"
# shellcheck disable=SC2086
(cd "$tree" && cargo build $programs --bins --target-dir "$place/build")

changed=$(git diff --name-only "$commit" -- 'migrations/*/*/up.sql' | wc -l | tr -d ' ')
echo "upgrade-check: $changed migrations since then"
cargo test --workspace --no-run
# Ignored elsewhere: it needs what was just built.
if cargo nextest --version > /dev/null 2>&1; then
  how="--run-ignored only --no-capture upgrade::"
else
  how="-- --ignored --nocapture upgrade::"
fi
# shellcheck disable=SC2086
MARU_UPGRADE_FROM=$place/build/debug target/debug/maru-dev test -- --test house $how
echo "upgrade-check: $revision works on this schema, alone and beside this release"
