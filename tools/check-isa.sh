#!/bin/bash
# No instruction of a newer CPU may be reached without the check that the CPU has it:
#   check-isa.sh [BUILD_DIR]        default .build/release, after swift build -c release
# 1. Objects of Sources/KernelsAVX* define no weak function: the linker could pick it for baseline code.
# 2. In the linked, unstripped executable only functions of these modules, and the variants that glibc itself chooses
#    among by CPU, hold VEX or EVEX coded instructions.
set -u
build=${1:-.build/release}
if [ "$(uname -m)" != x86_64 ]; then
    echo "check-isa: nothing to check on $(uname -m): one instruction set only"
    exit 0
fi

shopt -s nullglob
objects=("$build"/KernelsAVX*.build/*.o)
if [ ${#objects[@]} -eq 0 ] || [ ! -f "$build/fedclamp" ]; then
    echo "check-isa: no kernel objects or no executable in $build: run make build" >&2
    exit 2
fi

bad=0
for object in "${objects[@]}"; do
    weak=$(nm --defined-only "$object" | awk '$2 == "W" { print "    " $3 }')
    if [ -n "$weak" ]; then
        printf 'check-isa: %s defines weak functions:\n%s\n' "$object" "$weak" >&2
        bad=1
    fi
done

# Function names with the number of VEX/EVEX instructions in each. andn ... shrx are the VEX-coded integer ones.
vector=$(objdump -d --no-show-raw-insn "$build/fedclamp" | awk '
    /^[0-9a-f]+ <.*>:$/ { f = $2; gsub(/[<>:]/, "", f); next }
    /%[yz]mm|\{%k|\tv[a-z0-9]+ |\t(andn|bextr|blsi|blsr|blsmsk|bzhi|mulx|pdep|pext|rorx|sarx|shlx|shrx|movbe) / { n[f]++ }
    END { for (f in n) print f, n[f] }' | sort)
kernels='^\$s(11KernelsAVX2|13KernelsAVX512)'
libc='^__?[a-z0-9_]+_(avx|evex|fma|xsave)[a-z0-9]*(_[a-z_]+)? '
ours=$(grep -Ec "$kernels" <<<"$vector")
stray=$(grep -Ev "$kernels|$libc" <<<"$vector" | grep .)
if [ "$ours" = 0 ]; then
    echo "check-isa: no vector code found in the kernels: is $build/fedclamp stripped?" >&2
    bad=1
fi
if [ -n "$stray" ]; then
    printf 'check-isa: vector code outside the kernels (function, instructions):\n%s\n' "$stray" >&2
    bad=1
fi
[ $bad = 1 ] || echo "check-isa: ${#objects[@]} kernel objects, vector code in $ours of their functions and nowhere else"
exit $bad
