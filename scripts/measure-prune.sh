#!/bin/sh
# Prunes a repository of a million files, in which an older snapshot was forgotten, with the real daemon: first as a dry run.
# Fails if the daemon's memory ever peaks above 300 MB.
set -eu
cargo=${CARGO:-cargo}
most=300000 # KB
target=${CARGO_TARGET_DIR:-target}
folder=$(mktemp -d)
daemon=
trap '[ -z "$daemon" ] || kill "$daemon"; rm -rf "$folder"' EXIT

$cargo build --locked -p cloudsticd -p cloudsticctl
CLOUDSTIC_MEASURE="$folder/repository" $cargo test --locked -p cloudstic-engine --lib prune::tests::memory -- --ignored

# The key of the engine's tests.
(umask 077 && printf %s 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff >"$folder/key")
mkdir "$folder/state"
cat >"$folder/config.toml" <<END
[daemon]
socket = "$folder/socket"
state_dir = "$folder/state"
[repositories.million]
store = "local:$folder/repository"
platform_key = "file:$folder/key"
max_waste = 0
END
"$target/debug/cloudsticd" --config "$folder/config.toml" 2>"$folder/log" &
daemon=$!
until [ -S "$folder/socket" ]; do
    kill -0 "$daemon" || { cat "$folder/log" >&2; exit 1; }
    sleep 0.1
done
for dry_run in --dry-run ""; do
    # shellcheck disable=SC2086 # Nothing is no argument.
    "$target/debug/cloudsticctl" --socket "$folder/socket" prune million $dry_run
    peak=$(awk '/^VmHWM/ { print $2 }' "/proc/$daemon/status")
    echo "peak of the daemon's memory: $peak KB"
    [ "$peak" -lt "$most" ]
done
