"""HDF5 files as h5py, PyTorch's and TensorFlow's users write them."""

import h5py
import numpy as np

from conftest import pictures

from surroundings import cell

COUNT = 20
IMAGES, LABELS = pictures(COUNT, 1, 28, 1)


def split(path, labels, group="", mode="w", images=IMAGES, **attributes):
    with h5py.File(path, mode) as file:
        group = file.require_group(group) if group else file
        group["images"] = images
        (
            group.create_dataset("labels", data=labels)
            if not isinstance(labels, tuple)
            else group.create_dataset("labels", data=labels[0], dtype=labels[1])
        )
        file.attrs.update(attributes)
    return path


def digest(place, path):
    return [line for line in place.run("inspect", path).out.splitlines() if "digest" in line]


def same(name, labels, expected=LABELS, **attributes):
    @cell("labels as others write them", name)
    def run(place):
        """Read as the plain numbers are, to the digest."""
        plain = split(place.folder / "plain.h5", np.asarray(expected).astype(np.uint8))
        assert digest(place, split(place.folder / "file.h5", labels, **attributes)) == digest(place, plain) != []


def refuses(name, labels, *says, **attributes):
    @cell("labels as others write them", name)
    def run(place):
        place.run("inspect", split(place.folder / "file.h5", labels, **attributes), code=2, says=["/labels", *says])


ONE_HOT = np.eye(10)[LABELS]
same("bool", LABELS % 2 == 1, LABELS % 2)
same("an enumeration of int64", (LABELS.astype("i8"), h5py.enum_dtype({f"class {k}": k for k in range(10)}, "i8")))
same("an enumeration of uint8", (LABELS, h5py.enum_dtype({f"class {k}": k for k in range(10)}, "u1")))
same("(N, 1)", LABELS[:, None].astype("i8"))
same("(N, 1) of bool", (LABELS % 2 == 1)[:, None], LABELS % 2)
same("one-hot, float64", ONE_HOT)
same("one-hot, float32", ONE_HOT.astype("f4"))
same("one-hot, uint8", ONE_HOT.astype("u1"))
same("one-hot, bool", ONE_HOT == 1)
same("big endian", LABELS.astype(">i4"))
refuses(
    "1 to 10",
    LABELS + 1,
    "expected labels from 0, got 1 to 10",
    "count from 1",
    'f["/labels"][...] = f["/labels"][...] - 1',
)
refuses("1 to 10 with ten names", LABELS + 1, "got 10", "count from 1", class_names=[f"class {k}" for k in range(10)])
refuses("1 and 2", LABELS % 2 + 1, "got 1 to 2", "count from 1")
refuses("soft", np.full((COUNT, 10), 0.1), "row 0", "one-hot", "argmax(1)")
refuses("two ones in a row", np.minimum(ONE_HOT + np.roll(ONE_HOT, 1, 1), 1), "row 0", "one-hot")
refuses("no one in a row", np.zeros((COUNT, 3)), "row 0", "argmax(1)")
refuses("not a number", np.full((COUNT, 3), np.nan), "row 0")
refuses("float32", LABELS.astype("f4"), "whole numbers", 'astype("int64")')
refuses("texts", np.array([b"cat"] * COUNT), "whole numbers", "numpy.unique")
refuses("(1, N)", LABELS[None], "one for each image")
refuses("negative", LABELS.astype("i2") - 1, "-1 at index 0", "number the classes")
refuses("of 64 bits", LABELS.astype("u8") + np.uint64(1 << 63), "9223372036854775808 at index 0", "number the classes")


@cell("labels as others write them", "11 classes whose names are given, the first one empty")
def eleven(place):
    split(place.folder / "file.h5", LABELS + 1, class_names=[f"class {k}" for k in range(11)])
    place.run("inspect", "file.h5", says="10 class 10")


@cell("labels as others write them", "a data set from 1 to 10 trains nothing")
def one_based_run(place):
    path = place.folder / "file.h5"
    split(path, LABELS + 1, "train")
    split(path, LABELS[:10] + 1, "test", "a", IMAGES[:10])
    place.run(
        "run",
        "--data",
        path,
        "--synthetic",
        place.fm,
        "--out",
        place.out,
        code=2,
        says=["/train/labels", "count from 1"],
    )
    assert not place.out.exists()


@cell("labels as others write them", "FM data from 1 to 10")
def one_based_fm(place):
    split(place.folder / "fm1.h5", LABELS + 1)
    place.run(
        "run",
        "--data",
        place.data,
        "--synthetic",
        "fm1.h5",
        "--out",
        place.out,
        code=2,
        says=["fm1.h5", "count from 1"],
    )


@cell("labels as others write them", "FM data without the first class")
def no_zero(place):
    """Classes are the data set's: nothing is amiss."""
    keep = LABELS > 0
    split(place.folder / "fm9.h5", LABELS[keep], images=IMAGES[keep])
    place.run(*place.training(), "--synthetic", "fm9.h5")


# --- attributes without a value ---------------------------------------------------------------------------------------


def empty(attribute, kind):
    @cell("attributes without a value", attribute)
    def run(place):
        split(place.folder / "file.h5", LABELS)
        split(place.folder / "plain.h5", LABELS)
        with h5py.File(place.folder / "file.h5", "a") as file:
            file.attrs[attribute] = h5py.Empty(kind)
        assert digest(place, "file.h5") == digest(place, "plain.h5") != []


for word, dtype in (
    ("version", "i8"),
    ("format", "S5"),
    ("name", "S5"),
    ("source", "S5"),
    ("class_names", "S5"),
    ("digest", "S64"),
    ("layout", h5py.string_dtype()),
    ("other", "f4"),
):
    empty(word, dtype)

# --- storage ----------------------------------------------------------------------------------------------------------


def stored(name, count, **storage):
    @cell("storage of large data", name)
    def run(place):
        """Read within the limit, and equal."""
        images, labels = pictures(200, 1, 28, 1)
        with h5py.File(place.folder / "large.h5", "w") as file:
            file.create_dataset("images", data=np.resize(images, (count, 1, 28, 28)), **storage)
            file["labels"] = np.resize(labels, count)
        done = place.run("inspect", "large.h5", says="unnamed split")
        assert f"{count:,} images" in done.out


stored("one gzip chunk over 60,000 images", 60_000, chunks=(60_000, 1, 28, 28), compression="gzip", compression_opts=1)
stored(
    "one gzip chunk over 150,000 images", 150_000, chunks=(150_000, 1, 28, 28), compression="gzip", compression_opts=1
)
stored(
    "one shuffled gzip chunk with a check sum",
    60_000,
    chunks=(60_000, 1, 28, 28),
    compression="gzip",
    compression_opts=1,
    shuffle=True,
    fletcher32=True,
)
stored(
    "a chunk for each pixel over all images", 20_000, chunks=(20_000, 1, 4, 4), compression="gzip", compression_opts=1
)
stored("a chunk for each image", 5_000, chunks=(1, 1, 28, 28), compression="gzip", compression_opts=1)
stored("chunks beyond the end", 5_000, chunks=(3_000, 1, 28, 28), maxshape=(None, 1, 28, 28), compression="gzip")


@cell("storage of large data", "one chunk from a slow disk")
def slow_disk(place):
    """What is refused does not depend on time."""
    images, labels = pictures(200, 1, 28, 1)
    with h5py.File(place.folder / "large.h5", "w") as file:
        file.create_dataset(
            "images",
            data=np.resize(images, (20_000, 1, 28, 28)),
            chunks=(20_000, 1, 28, 28),
            compression="gzip",
            compression_opts=1,
        )
        file["labels"] = np.resize(labels, 20_000)
    place.run("inspect", "large.h5", rules=["pread64~100"], says="20,000 images")


def outside(name, make, *says):
    @cell("storage of large data", name)
    def run(place):
        """Refused on purpose, as before."""
        make(place.folder)
        place.run("inspect", "file.h5", code=2, says=says)


def virtual(folder):
    split(folder / "other.h5", LABELS)
    layout = h5py.VirtualLayout(IMAGES.shape, "u1")
    layout[...] = h5py.VirtualSource("other.h5", "images", IMAGES.shape)
    with h5py.File(folder / "file.h5", "w") as file:
        file.create_virtual_dataset("images", layout)
        file["labels"] = LABELS


def link(folder):
    split(folder / "other.h5", LABELS)
    with h5py.File(folder / "file.h5", "w") as file:
        file["images"], file["labels"] = h5py.ExternalLink("other.h5", "/images"), LABELS


def external(folder):
    IMAGES.tofile(folder / "raw")
    with h5py.File(folder / "file.h5", "w") as file:
        file.create_dataset("images", IMAGES.shape, "u1", external=[(str(folder / "raw"), 0, h5py.h5f.UNLIMITED)])
        file["labels"] = LABELS


outside("a virtual data set", virtual, "/images", "virtual storage", "copy them in")
outside("a link to another file", link, "/images", "link to another file", "copy the data in")
outside("elements in another file", external, "/images", "in another file", "copy them in")
outside("a filter that is not built in", lambda folder: lzf(folder), "/images", "not built in", "gzip")


def lzf(folder):
    with h5py.File(folder / "file.h5", "w") as file:
        file.create_dataset("images", data=IMAGES, compression="lzf")
        file["labels"] = LABELS
