# packages.sh - sourced by the other scripts: installs what is missing, and builds.
# Needs Debian 12 or a relative of it; asks for root only when something is missing.

BUILD_PACKAGES="gcc libc6-dev cmake ninja-build pkg-config
    libjpeg62-turbo-dev libpng-dev libwebp-dev libsndfile1-dev libjansson-dev libyaml-dev zlib1g-dev
    libxxhash-dev"
TEST_PACKAGES="libcmocka-dev libhdf5-dev libopenmpi-dev openmpi-bin"
FUZZ_PACKAGES="clang-14 libclang-rt-14-dev"

as_root()
{
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo > /dev/null; then sudo "$@"
    else
        echo "This needs root: run it as root, or install sudo, or install by hand: $*" >&2
        return 69
    fi
}

installed() { [ "$(dpkg-query -W -f '${Status}' "$1" 2> /dev/null)" = "install ok installed" ]; }

# need PACKAGE...: does nothing, and needs no network, when all are there.
need()
{
    local missing=() package
    for package in "$@"; do
        installed "$package" || missing+=("$package")
    done
    [ ${#missing[@]} = 0 ] && return 0
    echo "Installing: ${missing[*]}" >&2
    # An index may be there already, and newer ones may be out of reach: update only when needed.
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}" > /dev/null 2>&1 ||
    { as_root apt-get update -q > /dev/null &&
      as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"; }
}

# build PRESET [OPTION...]: configures and builds into build/PRESET.
build()
{
    local preset=$1 generator="-GNinja"
    shift
    [ -f "build/$preset/CMakeCache.txt" ] && generator=     # keep the one that is there
    cmake --preset "$preset" $generator "$@" > "build-$preset.log" 2>&1 &&
    cmake --build "build/$preset" >> "build-$preset.log" 2>&1 ||
    { tail -n 40 "build-$preset.log" >&2; return 70; }
    rm -f "build-$preset.log"
}
