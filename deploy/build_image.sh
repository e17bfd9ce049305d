#!/usr/bin/env bash
# Make the image of O: what the API, the workers and `o migrate` run in on many machines.
#
# On the base that the Dockerfile names, which needs a registry; or, on Debian without one, on a base
# of Debian's packages made with mmdebstrap. O_IMAGE_FROM=registry|debian chooses. Python packages
# come from the index that pip is set to use here.
set -euo pipefail
cd "$(dirname "$0")/.."
image=${1:?the name of the image}
docker=${DOCKER:-docker}
base=$(sed -n 's/^ARG BASE=//p' Dockerfile)

fail() { echo "make image: $*" >&2; exit 1; }

command -v "$docker" >/dev/null || fail "no docker command; install a Docker engine"
"$docker" version >/dev/null 2>&1 || fail "the Docker engine does not answer: $("$docker" version 2>&1 | tail -1)"

from=${O_IMAGE_FROM:-}
if [ -z "$from" ]; then
    from=registry
    if command -v mmdebstrap >/dev/null && ! "$docker" image inspect "$base" >/dev/null 2>&1; then
        from=debian
    fi
fi

# The engine's older builder does it too: buildx need not be installed. What that says of itself
# at each start is no news.
build=(built --quiet)
built() {
    "$docker" build "$@" 2> >(grep -vE '^(DEPRECATED: |  +(BuildKit is currently|environment-variable))' |
        sed '/^$/d' >&2)
}
"$docker" buildx version >/dev/null 2>&1 || export DOCKER_BUILDKIT=0
if [ -n "${PIP_INDEX_URL:-}" ]; then build+=(--build-arg "PIP_INDEX_URL=$PIP_INDEX_URL"); fi

make_base() {
    local recipe mirror folder
    recipe=$({ declare -f make_base && cat deploy/finish_image.sh; } | sha256sum | cut -c1-16)
    base=o-base:$recipe
    if "$docker" image inspect "$base" >/dev/null 2>&1; then return 0; fi
    command -v mmdebstrap >/dev/null || fail "mmdebstrap is needed: apt-get install mmdebstrap"
    echo "making $base from packages of Debian"
    folder=$(mktemp -d)
    trap "rm -rf '$folder'" EXIT
    mirror=$(sed -n 's/^URIs: *//p; s/^deb .*\(https\{0,1\}:[^ ]*\).*/\1/p' \
        /etc/apt/sources.list.d/*.sources /etc/apt/sources.list 2>/dev/null | head -1 || true)
    mirror=${mirror:-http://deb.debian.org/debian}
    # Unpacked and no more: no script of a package runs. What they would do stands in the hook.
    mmdebstrap --quiet --variant=extract \
        --extract-hook="$PWD/deploy/finish_image.sh \"\$1\"" \
        --include=python3,python3.11-venv,ca-certificates,base-files,dash,coreutils,sed \
        --include=libc-bin,netbase,tzdata,libstdc++6,libgomp1 \
        bookworm "$folder/root.tar" "$mirror" ||
        fail "the packages of Debian cannot be had from $mirror"
    "$docker" import -c 'ENV PATH=/usr/local/bin:/usr/bin:/bin' "$folder/root.tar" "$base" >/dev/null
}

# What builds trusts the certificates of this machine too, for an index behind a proxy; the image
# that is made does not.
make_build_base() {
    local context
    context=$(mktemp -d)
    cp /etc/ssl/certs/ca-certificates.crt "$context"
    printf 'FROM %s\nCOPY ca-certificates.crt /etc/ssl/certs/\nENV PIP_CERT=%s PIP_DEFAULT_TIMEOUT=120\n' \
        "$base" /etc/ssl/certs/ca-certificates.crt >"$context/Dockerfile"
    "${build[@]}" -t "o-build-$base" "$context" >/dev/null
    rm -rf "$context"
}

case $from in
registry) ;;
debian)
    make_base
    make_build_base
    # Engines without a bridge have the network of the host.
    build+=(--network host --build-arg "BASE=$base" --build-arg "BUILD_BASE=o-build-$base")
    ;;
*) fail "O_IMAGE_FROM is registry or debian" ;;
esac
echo "making $image on $base"
"${build[@]}" -t "$image" . >/dev/null || fail "$image cannot be made on $base"
echo "$image is ready"
