#!/bin/bash
# pack.sh [FOLDER]: packs the release, FOLDER/fedclamp-VERSION-linux-MACHINE.tar.gz and SHA256SUMS, of what make build, and make
# arm64, left. Without a folder it is build/dist.
# The same sources give the same bytes: names sorted, no owner, all times those of the last commit, or SOURCE_DATE_EPOCH.
# Exit codes: 0 packed, 1 something is linked in whose licence is not known, 2 something is missing.
set -euo pipefail
out=$(realpath -m "${1:-$(dirname "$0")/../../build/dist}")
cd "$(dirname "$0")/../.."
export LC_ALL=C
umask 022
fail() { echo "dist: $*" >&2; exit 2; }
[ -x build/fedclamp ] && [ -f .build/fedclamp.map ] || fail "no build/fedclamp with its map .build/fedclamp.map: make build writes both"
git rev-parse --verify --quiet HEAD > /dev/null || fail "expected a git checkout, whose files are packed"
[ -z "$(git status --porcelain --untracked-files=no)" ] || echo "dist: note: files are changed that are not committed" >&2
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
version=$(build/fedclamp --version)
mkdir -p "$out"
rm -f "$out"/fedclamp-*-linux-*.tar.gz "$out/SHA256SUMS"
staging=$(mktemp -d)
trap 'rm -rf "$staging"' EXIT

# packed MACHINE EXECUTABLE MAP: one tarball
packed() {
    local name=fedclamp-$version-linux-$1 folder page
    folder=$staging/$name
    mkdir -p "$folder"/share/{man/man1,bash-completion/completions,zsh/site-functions,fish/vendor_completions.d}
    install -m 755 "$2" "$folder/fedclamp"
    build/fedclamp manual > "$folder/share/man/man1/fedclamp.1"
    build/fedclamp --generate-completion-script bash > "$folder/share/bash-completion/completions/fedclamp"
    build/fedclamp --generate-completion-script zsh > "$folder/share/zsh/site-functions/_fedclamp"
    build/fedclamp --generate-completion-script fish > "$folder/share/fish/vendor_completions.d/fedclamp.fish"
    install -m 644 README.md LICENSE CHANGELOG.md tools/container/* "$folder"
    # All of data, and every other page that README names.
    for page in $(git ls-files data) $(grep -oE '\]\([^):#]+[)#]' README.md | cut -c 3- | tr -d ')#' | sort -u); do
        install -D -m 644 "$page" "$folder/$page"
    done
    install -D -m 755 tools/slurm/reproduce.sh "$folder/tools/slurm/reproduce.sh"
    python3 tools/dist/licences.py "$3" "$folder/licences" --machine "$1"
    cp /usr/share/doc/dataset-fashion-mnist/copyright "$folder/licences/fashion-mnist.txt" || fail "no licence of Fashion-MNIST: make deps installs it"
    tar --create --directory="$staging" --sort=name --format=ustar --owner=0 --group=0 --numeric-owner --mtime="@$epoch" "$name" |
        gzip --no-name -9 > "$out/$name.tar.gz"
    echo "$out/$name.tar.gz"
}

machine=$(uname -m)
packed "$machine" build/fedclamp .build/fedclamp.map
if [ "$machine" != aarch64 ]; then
    if [ -x build/fedclamp-arm64 ] && [ -f .build-arm64/scratch/fedclamp.map ]; then
        packed aarch64 build/fedclamp-arm64 .build-arm64/scratch/fedclamp.map
    else
        echo "dist: no aarch64: make arm64 builds its executable"
    fi
fi
(cd "$out" && sha256sum -- *.tar.gz > SHA256SUMS)
echo "$out/SHA256SUMS"
