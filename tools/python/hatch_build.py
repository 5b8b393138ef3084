"""Puts the executable and its FM images into the wheel: FEDCLAMP_BINARY is its path, FEDCLAMP_MACHINE x86_64 or aarch64,
FEDCLAMP_LICENCES the folder with the licences of what it contains (`make wheel`).

It is statically linked: the wheel fits every Linux of the machine, glibc or musl. Without a binary it is Python only.
"""

import os

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CarriesTheExecutable(BuildHookInterface):
    def initialize(self, version, build_data):
        binary, machine = os.environ.get("FEDCLAMP_BINARY"), os.environ.get("FEDCLAMP_MACHINE")
        if not binary:
            return
        if not os.access(binary, os.X_OK) or machine not in ("x86_64", "aarch64"):
            raise ValueError(
                f"FEDCLAMP_BINARY {binary}: expected an executable, FEDCLAMP_MACHINE x86_64 or aarch64, got {machine}"
            )
        licences = os.environ.get("FEDCLAMP_LICENCES", "")
        if not os.path.isfile(os.path.join(licences, "README.md")):
            raise ValueError(f"FEDCLAMP_LICENCES {licences}: expected the folder that tools/dist/licences.py writes")
        build_data["force_include"][os.path.abspath(licences)] = "fedclamp/licences"
        images = os.path.join(self.root, "../../data/fashion-mnist-fm.h5")  # where the executable looks for them
        build_data["shared_data"] = {os.path.abspath(images): "share/fedclamp/fashion-mnist-fm.h5"}
        build_data["shared_scripts"] = {os.path.abspath(binary): "fedclamp"}
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-manylinux2014_{machine}.manylinux_2_17_{machine}.musllinux_1_1_{machine}"
