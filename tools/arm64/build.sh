#!/bin/bash
# Cross-builds build/fedclamp-arm64, for a smoke test under qemu. To ship, build on an ARM machine instead: `make build`.
#
# Swift's static library for arm64 Linux with glibc comes from Debian's package swiftlang (sid), and so does the compiler of
# the same version that fits it; glibc and HDF5's static library come from older releases. Everything is unpacked into
# .build-arm64 and nothing is installed: host/ is a root folder for the compiler, target/ one for arm64. Some 1.2 GB are
# fetched, 4 GB stay. Needs apt, a network, and the right to make a mount namespace (root, or user namespaces).
# Exit codes: 0 built, 2 something is missing.
set -euo pipefail
cd "$(dirname "$0")/../.."
source=$PWD cross=$PWD/.build-arm64
keys=/usr/share/keyrings/debian-archive-keyring.gpg mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
fail() { echo "arm64: $*" >&2; exit 2; }
[ "$(uname -m)" != aarch64 ] || fail "this is an ARM machine: make build is all it takes"
for tool in apt-get dpkg-deb unshare chroot; do command -v "$tool" > /dev/null || fail "no $tool: this needs Debian or Ubuntu"; done
[ -f "$keys" ] || fail "no $keys (Debian's package debian-archive-keyring)"

# --- packages -------------------------------------------------------------------------------------------------------

# configured NAME ARCHITECTURE SUITE: apt with lists, status and cache of its own, as if nothing were installed
configured() {
    local folder=$cross/apt-$1
    mkdir -p "$folder"/{none,state/lists/partial,cache/archives/partial}
    touch "$folder/status"
    echo "deb [arch=$2 signed-by=$keys] $mirror $3 main" > "$folder/sources.list"
    cat > "$folder/apt.conf" <<CONF
Dir::Etc { sourcelist "$folder/sources.list"; sourceparts "$folder/none"; preferencesparts "$folder/none"; };
Dir::State "$folder/state";
Dir::State::status "$folder/status";
Dir::Cache "$folder/cache";
APT::Architecture "$2";
APT::Architectures { "$2"; };
APT::Install-Recommends "false";
APT::Sandbox::User "";
Acquire::Languages "none";
CONF
    APT_CONFIG=$folder/apt.conf apt-get update -qq || fail "apt-get update of $3 for $2"
}

# fetched NAME PACKAGE...: with all that they depend on, as the files of apt-NAME/cache/archives
fetched() {
    local name=$1; shift
    echo "arm64: fetching $*"
    APT_CONFIG=$cross/apt-$name/apt.conf apt-get install -qq -y --download-only "$@" > /dev/null || fail "apt-get could not fetch $*"
}

# alone NAME PACKAGE: that package only
alone() {
    echo "arm64: fetching $2"
    (cd "$cross/apt-$1/cache/archives" && APT_CONFIG=$cross/apt-$1/apt.conf apt-get download -qq "$2") || fail "apt-get could not fetch $2"
}

# unpacked ROOT NAME [TAR-OPTION...]: the packages of apt-NAME below ROOT, which has Debian's merged folders; then away with them
unpacked() {
    local root=$cross/$1.new name=$2 package folder; shift 2
    for folder in bin lib sbin lib64; do
        mkdir -p "$root/usr/$folder"
        ln -sfn "usr/$folder" "$root/$folder"
    done
    for package in "$cross/apt-$name"/cache/archives/*.deb; do
        dpkg-deb --fsys-tarfile "$package" | tar x --keep-directory-symlink --no-same-owner -C "$root" "$@"
        rm "$package"
    done
}

host() {
    configured host amd64 sid
    fetched host swiftlang libc6-dev dash coreutils git
    unpacked host host --exclude='*lldb*' --exclude='*sourcekit*' --exclude='*/libclang.so*' --exclude='*/libLTO*' --exclude='*/clangd' \
        --exclude=./usr/share/doc --exclude=./usr/share/locale --exclude=./usr/share/man
    mkdir -p "$cross"/host.new/{dev,proc,tmp,root,target,source,scratch}
    bundle "$cross/host.new/sdks/fedclamp.artifactbundle"
    mv "$cross/host.new" "$cross/host"
}

target() {
    configured target arm64 trixie
    fetched target libc6-dev libstdc++-14-dev zlib1g-dev libaec-dev
    unpacked target target --exclude=./usr/share
    configured hdf5 arm64 bookworm
    alone hdf5 libhdf5-dev                      # HDF5 1.10, as in the other builds; without the libraries that it links shared
    unpacked target hdf5 --exclude=./usr/share
    configured swift arm64 sid
    alone swift swiftlang
    unpacked target swift --exclude='*.so' --exclude='*/swift/host' --wildcards ./usr/libexec/swift/lib/{swift_static,swift,clang}'*'
    ln -sfn ../libexec/swift/lib/swift "$cross/target.new/usr/lib/swift"                    # the link command looks for them there
    ln -sfn ../libexec/swift/lib/swift_static "$cross/target.new/usr/lib/swift_static"
    mv "$cross/target.new" "$cross/target"
}

# bundle FOLDER: what SwiftPM calls a Swift SDK, naming target/ as the compiler will see it
bundle() {
    mkdir -p "$1/arm64"
    echo '{"schemaVersion": "1.0", "artifacts": {"debian-arm64": {"type": "swiftSDK", "version": "1", "variants": [{"path": "arm64"}]}}}' > "$1/info.json"
    echo '{"schemaVersion": "1.0", "swiftCompiler": {"extraCLIOptions": ["-use-ld=lld"]}}' > "$1/arm64/toolset.json"
    cat > "$1/arm64/swift-sdk.json" <<JSON
{"schemaVersion": "4.0", "targetTriples": {"aarch64-unknown-linux-gnu": {
    "sdkRootPath": "/target", "swiftResourcesPath": "/target/usr/lib/swift", "swiftStaticResourcesPath": "/target/usr/lib/swift_static",
    "toolsetPaths": ["toolset.json"]}}}
JSON
}

if ! command -v qemu-aarch64 > /dev/null && [ "$(id -u)" = 0 ]; then
    echo "arm64: installing qemu-user with apt-get, for the test"
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends qemu-user > /dev/null || fail "apt-get could not install qemu-user"
fi
rm -rf "$cross/host.new" "$cross/target.new"
[ -d "$cross/host" ] || host
[ -d "$cross/target" ] || target

# --- the build ------------------------------------------------------------------------------------------------------

# The packages that the sources depend on, as the native build fetched them: host/ has no certificates and needs no network.
scratch=$cross/scratch
mkdir -p "$scratch"
[ -d "$scratch/checkouts" ] || cp -r "$source"/.build/{repositories,checkouts,workspace-state.json} "$scratch" || fail "make build comes first"

# CROSS: the manifest sees the machine it runs on, and must be told that x86's instruction sets are not wanted
own=$([ "$(id -u)" = 0 ] || echo --map-root-user)
unshare $own --mount sh -c '
    set -e
    root=$1/host source=$2 scratch=$3
    mount --rbind /dev "$root/dev"
    mount --rbind /proc "$root/proc"
    mount --bind "$1/target" "$root/target"
    mount --bind "$source" "$root/source"
    mount --bind "$scratch" "$root/scratch"
    exec chroot "$root" /usr/bin/env -i HOME=/root PATH=/usr/libexec/swift/bin:/usr/bin LANG=C.UTF-8 CROSS=aarch64 LINK_MAP=/scratch/fedclamp.map \
        swift build -c release --product fedclamp --package-path /source --scratch-path /scratch --disable-sandbox \
        --disable-automatic-resolution --swift-sdks-path /sdks --swift-sdk debian-arm64 --static-swift-stdlib -Xlinker -s
' arm64 "$cross" "$source" "$scratch"
mkdir -p build
cp "$scratch/aarch64-unknown-linux-gnu/release/fedclamp" build/fedclamp-arm64
