#!/bin/bash
# What the build needs: Swift, and three Debian packages, which are installed when this user may.
# Exit codes: 0 all there, 2 something is missing.
set -u
packages=(libhdf5-dev hdf5-tools dataset-fashion-mnist)

if ! command -v swift >/dev/null; then
    echo "deps: no Swift compiler in PATH; FedClamp needs Swift 6.2 or newer: https://www.swift.org/install/linux" >&2
    exit 2
fi
if ! command -v dpkg >/dev/null; then
    echo "deps: this is no Debian or Ubuntu; install HDF5 with its static library by hand" >&2
    exit 2
fi

missing=()
for package in "${packages[@]}"; do
    dpkg -s "$package" 2>/dev/null | grep -q '^Status: install ok installed' || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" = 0 ]; then
    sudo=()
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    sudo=(sudo -n)
else
    echo "deps: missing Debian packages: ${missing[*]}" >&2
    echo "deps: install them with: sudo apt-get install ${missing[*]}" >&2
    exit 2
fi
echo "deps: installing ${missing[*]} with apt-get"
"${sudo[@]}" apt-get update -q -q
if ! "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"; then
    echo "deps: apt-get could not install ${missing[*]}" >&2
    exit 2
fi
