#!/bin/bash
# quickstart.sh [FOLDER]: the whole way once, on this machine and without touching it: build, start a daemon on an
# encrypted repository in a scratch folder, back up FOLDER (default: this checkout), restore it, compare every file.
#
#   PROFILE=dev     build without optimisation (quicker to build, slower to run)
#   SCRATCH=DIR     where to work; default: a new folder under /tmp
set -euo pipefail

here=$(cd "$(dirname "$0")/.." && pwd)
source=$(realpath -e "${1:-$here}")
profile=${PROFILE:-release}
cargo=${CARGO:-cargo}

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
run() { printf '$ %s\n' "$*"; "$@"; }
die() { echo "quickstart: $*" >&2; exit 1; }

[ -d "$source" ] || die "$source is not a folder"

# ---------------------------------------------------------------- build

say "Building (profile $profile; the first release build takes some minutes)"
(cd "$here" && "$cargo" build --locked --profile "$profile" -p cloudsticd -p cloudsticctl)
target=$(realpath -m "$here/target")
[ -z "${CARGO_TARGET_DIR:-}" ] || target=$(cd "$here" && realpath -m "$CARGO_TARGET_DIR")
bin=$target/$([ "$profile" = dev ] && echo debug || echo "$profile")
[ -x "$bin/cloudsticd" ] && [ -x "$bin/cloudsticctl" ] || die "no programs in $bin"

# ---------------------------------------------------------------- a daemon of its own

if [ -n "${SCRATCH:-}" ]; then mkdir -p "$SCRATCH"; else SCRATCH=$(mktemp -d /tmp/cloudstic-quickstart.XXXXXX); fi
scratch=$(realpath "$SCRATCH")
case "$scratch/" in "$source"/*) rmdir "$scratch" 2>/dev/null; die "$scratch is inside of $source: name another folder with SCRATCH=…" ;; esac
[ -z "$(ls -A "$scratch")" ] || die "$scratch is not empty"

# What a build may change while it is being read is left out of a checkout; so is what nobody would miss.
excludes=()
if [ "$source" = "$here" ]; then excludes=(target .venv); fi

(umask 077 && head -c 24 /dev/urandom | base64 >"$scratch/password")
socket=$scratch/daemon.sock
quoted() { printf '"%s"' "$(printf %s "$1" | sed 's/[\\"]/\\&/g')"; }
{
    echo "[daemon]"
    echo "socket = $(quoted "$socket")"
    echo "state_dir = $(quoted "$scratch/state")"
    echo
    echo "[repositories.home]"
    echo "store = $(quoted "local:$scratch/repository")"
    echo "password = $(quoted "file:$scratch/password")"
    echo
    echo "[profiles.everything]"
    echo "repository = \"home\""
    echo "source = $(quoted "$source")"
    if [ ${#excludes[@]} -gt 0 ]; then printf 'excludes = ["/%s/", "/%s/"]\n' "${excludes[@]}"; fi
} >"$scratch/config.toml"

say "Starting a daemon on $scratch/config.toml"
cat "$scratch/config.toml"
run "$bin/cloudsticd" --config "$scratch/config.toml" --check-config
"$bin/cloudsticd" --config "$scratch/config.toml" >"$scratch/daemon.log" 2>&1 &
daemon=$!
stop() {
    status=$?
    kill "$daemon" 2>/dev/null && wait "$daemon" 2>/dev/null || true
    [ $status = 0 ] || { echo "quickstart failed; the daemon's log:" >&2; tail -n 30 "$scratch/daemon.log" >&2; }
    exit $status
}
trap stop EXIT
ctl() { run "$bin/cloudsticctl" --socket "$socket" "$@"; }

for _ in $(seq 200); do
    if "$bin/cloudsticctl" --socket "$socket" status >/dev/null 2>&1; then break; fi
    kill -0 "$daemon" 2>/dev/null || die "the daemon ended on start"
    sleep 0.1
done
ctl status

# ---------------------------------------------------------------- there and back

say "Backing up $source"
ctl init home
ctl backup everything
say "The same again: nothing has changed, so nothing is read"
ctl backup everything
ctl list home
say "Restoring"
ctl restore home latest --to "$scratch/restored"

# One line for each entry, sorted, with names that cannot end a line: type, mode, time, size, link target; then hashes.
manifest() {
    cd "$1"
    shift
    local prune=()
    for name in "$@"; do prune+=(-path "./$name" -prune -o); done
    find . -mindepth 1 "${prune[@]}" \( -type d -printf '%y %m %T@ - %p\0' -o -printf '%y %m %T@ %s %p %l\0' \) \
        | LC_ALL=C sort -z | LC_ALL=C sed -z 's/\\/\\\\/g; s/\n/\\n/g' | tr '\0' '\n'
    find . -mindepth 1 "${prune[@]}" -type f -print0 | LC_ALL=C sort -z | xargs -0r sha256sum --
}

say "Comparing every file: type, mode, time, size, SHA-256, link targets"
(manifest "$source" "${excludes[@]}") >"$scratch/source.manifest"
(manifest "$scratch/restored") >"$scratch/restored.manifest"
if ! diff -u "$scratch/source.manifest" "$scratch/restored.manifest" >"$scratch/differences"; then
    head -n 40 "$scratch/differences" >&2
    die "what was restored differs from $source (all differences: $scratch/differences)"
fi
files=$(find "$scratch/restored" -type f | wc -l)
echo "$files files, all the same"

say "The same as a ZIP stream"
printf '$ cloudsticctl restore home latest --zip - >archive.zip\n'
"$bin/cloudsticctl" --socket "$socket" restore home latest --zip - >"$scratch/archive.zip"
if command -v unzip >/dev/null; then
    unzip -tqq "$scratch/archive.zip"
elif command -v python3 >/dev/null; then
    python3 -c 'import sys, zipfile; sys.exit(zipfile.ZipFile(sys.argv[1]).testzip() is not None)' "$scratch/archive.zip"
else
    echo "neither unzip nor python3 is here: the archive is not tested"
fi
echo "$(du -h "$scratch/archive.zip" | cut -f1) archive, every checksum right"

kill "$daemon" && wait "$daemon" || die "the daemon did not stop well"
trap - EXIT
rm -rf "$scratch/restored" "$scratch/archive.zip" "$scratch/"*.manifest "$scratch/differences"

say "All of it came back."
cat <<EOF
The repository ($(du -sh "$scratch/repository" | cut -f1)) and its configuration are in $scratch. To go on with them:

  $bin/cloudsticd --config $scratch/config.toml &
  export CLOUDSTIC_SOCKET=$socket
  $bin/cloudsticctl ls home latest
  $bin/cloudsticctl restore home latest --to /tmp/restored
  $bin/cloudsticctl --help

For a daemon of your own: copy config.example.toml, say where your repository and your folders are, and start
cloudsticd with it. To throw this trial away: rm -r $scratch
EOF
