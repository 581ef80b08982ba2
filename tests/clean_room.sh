#!/usr/bin/env bash
# The commands of the README as somebody meets them who has just come: a user made for this, an empty home without caches,
# a fresh clone of the last commit, nothing of the caller's environment. Prints what each took and asserts nothing more
# than that it ended well.
#
#   tests/clean_room.sh           as root on Linux; KEEP=1 leaves user and home for a look
#
# The commands are read from the first block of shell in README.md. What pip and uv must know of this machine to reach
# a package registry belongs into /etc, not into a variable.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly CANNOT=77 MEMORY_SECONDS=2
readonly GUEST=posttx-guest

say() { echo "clean room: $*" >&2; }

cannot() {
    say "cannot run here: $*"
    exit "$CANNOT"
}

as_guest() { runuser -u "$GUEST" -- env -i HOME="$home" USER="$GUEST" LANG=C.UTF-8 PATH=/usr/local/bin:/usr/bin:/bin "$@"; }

# The commands of the README's first block, without their comments.
commands() { awk '/^```bash$/ { on = 1; next } on && /^```$/ { exit } on { sub(/ *#.*/, ""); print }' README.md; }

# The sum of the memory of all processes of the guest, pages that several share counted in parts, in MB.
memory_mb() {
    local process sum=0 part
    for process in $(pgrep -u "$GUEST"); do
        part=$(sed -n 's/^Pss: *\([0-9]*\) kB$/\1/p' "/proc/$process/smaps_rollup" 2>/dev/null) || continue
        sum=$((sum + ${part:-0}))
    done
    echo $((sum / 1024))
}

# Runs beside a command: the highest memory so far, in a file.
watch_memory() {
    local most=0 now
    while sleep "$MEMORY_SECONDS"; do
        now=$(memory_mb)
        [ "$now" -le "$most" ] || most=$now
        echo "$most" >"$1"
    done
}

leave() {
    [ -z "${watcher:-}" ] || kill "$watcher" 2>/dev/null || true
    if [ -n "${KEEP:-}" ]; then
        say "left: user $GUEST, $home"
        return
    fi
    # A user of whom a process is left cannot be removed; one that nobody collects is found for ever.
    local _
    for _ in $(seq 50); do
        pkill -KILL -u "$GUEST" || break
        sleep 0.2
    done
    userdel --force "$GUEST" 2>/dev/null || true
    rm -rf "$home"
}

[ "$(id -u)" = 0 ] || cannot "needs root, to make a user"
[ "$(uname -s)" = Linux ] || cannot "needs Linux"
for tool in runuser useradd pgrep git; do
    command -v "$tool" >/dev/null || cannot "needs $tool"
done

home=$(mktemp -d "${TMPDIR:-/tmp}/posttx-clean-room.XXXXXX")
trap leave EXIT
trap 'exit 143' TERM HUP
trap 'exit 130' INT
useradd --home-dir "$home" --no-create-home --shell /bin/bash "$GUEST"
# A bundle, because git refuses to clone from a repository of another user.
git bundle create --quiet "$home/posttx.bundle" HEAD
[ ! -d ../shared ] || ln -s "$(realpath ../shared)" "$home/shared"
chown -R -h "$GUEST:" "$home"
as_guest git -c advice.detachedHead=false clone --quiet "$home/posttx.bundle" "$home/posttx"
rm -f "$home/posttx.bundle"

table="| command | time | disk, all | memory, all processes |\n|---|---|---|---|"
mapfile -t printed < <(commands)
[ "${#printed[@]}" -gt 0 ] || { say "README.md shows no command" && exit 1; }
for command in "${printed[@]}"; do
    say "$command"
    : >"$home/memory"
    watch_memory "$home/memory" &
    watcher=$!
    began=$SECONDS
    as_guest bash -c "cd ~/posttx && $command" </dev/null
    took=$((SECONDS - began))
    kill "$watcher"
    disk=$(du -sm "$home" | cut -f1)
    row="| \`$command\` | $((took / 60)) min $((took % 60)) s | $disk MB | $(cat "$home/memory") MB |"
    say "$row"
    table+="\n$row"
done
echo -e "$table"
