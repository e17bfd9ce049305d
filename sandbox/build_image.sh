#!/usr/bin/env bash
# Make the image that tools run in, where the Docker engine does not have it yet.
#
# From sandbox/Dockerfile, which needs a registry; or, on Debian without one, from the packages of
# Debian with mmdebstrap, in about ten seconds. O_SANDBOX_IMAGE_FROM=registry|debian chooses.
set -euo pipefail
cd "$(dirname "$0")"
image=${1:?the name of the image}
docker=${DOCKER:-docker}
base=$(awk '/^FROM/ {print $2; exit}' Dockerfile)
recipe=$(cat build_image.sh Dockerfile | sha256sum | cut -c1-16)

fail() { echo "make sandbox-image: $*" >&2; exit 1; }

command -v "$docker" >/dev/null || fail "no docker command; install a Docker engine, or let tools" \
    "run under bubblewrap, which needs no image"
"$docker" version >/dev/null 2>&1 || fail "the Docker engine does not answer: $("$docker" version 2>&1 | tail -1)"
found=$("$docker" image inspect -f '{{index .Config.Labels "o.sandbox.recipe"}}' "$image" 2>/dev/null || true)
if [ "$found" = "$recipe" ]; then echo "$image is there"; exit 0; fi

from=${O_SANDBOX_IMAGE_FROM:-}
if [ -z "$from" ]; then
    from=registry
    if command -v mmdebstrap >/dev/null && ! "$docker" image inspect "$base" >/dev/null 2>&1; then
        from=debian
    fi
fi

case $from in
registry)
    echo "making $image from $base"
    "$docker" build --quiet --label "o.sandbox.recipe=$recipe" -t "$image" - <Dockerfile >/dev/null ||
        fail "$base cannot be had. On Debian, \`apt-get install mmdebstrap\` lets this be made" \
            "from packages of Debian"
    ;;
debian)
    command -v mmdebstrap >/dev/null || fail "mmdebstrap is needed: apt-get install mmdebstrap"
    echo "making $image from packages of Debian"
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    mirror=$(sed -n 's/^URIs: *//p; s/^deb .*\(https\{0,1\}:[^ ]*\).*/\1/p' \
        /etc/apt/sources.list.d/*.sources /etc/apt/sources.list 2>/dev/null | head -1 || true)
    mirror=${mirror:-http://deb.debian.org/debian}
    # Unpacked and no more: no script of a package runs. What they would do stands in the hook.
    mmdebstrap --quiet --variant=extract --extract-hook="$PWD/finish_image.sh \"\$1\"" \
        --include=python3-minimal,python3.11-minimal,libpython3.11-stdlib,libpython3-stdlib \
        --include=libc6,libgcc-s1,libstdc++6,zlib1g,libexpat1,ca-certificates,base-files,dash \
        --include=coreutils,libc-bin,netbase,tzdata \
        bookworm "$folder/root.tar" "$mirror" ||
        fail "the packages of Debian cannot be had from $mirror"
    "$docker" import -c 'ENV PATH=/usr/bin:/bin' -c 'USER 65534:65534' \
        -c "LABEL o.sandbox.recipe=$recipe" "$folder/root.tar" "$image" >/dev/null
    ;;
*) fail "O_SANDBOX_IMAGE_FROM is registry or debian" ;;
esac
echo "$image is ready"
