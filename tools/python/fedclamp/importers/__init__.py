"""Data sets of other forms as FedClamp's HDF5 (data/FORMAT.md).

    fedclamp-import npz pathmnist.npz --out path.h5
    fedclamp-import tff femnist-train.h5 femnist-test.h5 --out femnist.h5

Each function reads files and writes one; it raises BadData with file and place for what is not as it should be.
Images of other sizes than 28x28 and 32x32 are brought to 32x32. Nothing that is read is executed: pickles hold arrays
or are refused. A file that exists is replaced only with `overwrite`. What was renumbered or left out is told as a warning, `Note`.
"""
from .arrays import from_leaf, from_npz, from_tff
from .command import main
from .dataset import Split, split, write_dataset
from .labels import Note
from .output import BadData
from .pictures import from_cifar_pickles, from_folder, from_parquet

__all__ = [
    "BadData", "Note", "Split", "from_cifar_pickles", "from_folder", "from_leaf", "from_npz", "from_parquet", "from_tff", "main", "split",
    "write_dataset",
]
