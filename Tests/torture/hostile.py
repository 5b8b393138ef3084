"""HDF5 files as a stranger could make them: one object of a good file is replaced by something that should not be."""
import zlib

import h5py
import numpy as np

LIMIT = 2 ** 63 - 1


def objects(file):
    """(paths of groups, paths of datasets)."""
    groups, datasets = ["/"], []
    file.visititems(lambda name, node: (datasets if isinstance(node, h5py.Dataset) else groups).append("/" + name))
    return groups, datasets


def replaced(file, name, **how):
    """`name` anew; with its own values where `how` has no data, shape or type."""
    values = file[name][()]
    del file[name]
    return file.create_dataset(name, **({"data": values} | how))


def odd_values(rng, values):
    """The same shape, other numbers: some NaN, infinite, negative or huge."""
    values = np.array(values)
    if values.dtype.kind not in "fiu" or values.size == 0:
        return values
    flat = values.reshape(-1)
    if values.dtype.kind == "f":
        new = rng.choice([np.nan, np.inf, -np.inf, -1.0, -0.0, 1e308, 3e38, 5e14, -7e15, 1e-40])
    else:
        info = np.iinfo(values.dtype)
        new = min(info.max, rng.choice([info.min, info.max, info.max - 1, -1 if info.min else 255, 10, 1 << 14]))
    with np.errstate(all="ignore"):
        flat[[rng.randrange(flat.size) for _ in range(rng.choice([1, 3]))] if rng.random() < 0.7 else slice(None)] = \
            np.float64(new).astype(values.dtype) if values.dtype.kind == "f" else new
    return values


def numbers(file, name, rng):
    old = file[name][()]
    replaced(file, name, data=odd_values(rng, old) if isinstance(old, (np.ndarray, np.generic)) else old)


def kind(file, name, rng):
    """Another type of element."""
    shape = file[name].shape or ()
    choice = rng.choice(["f2", "f4", "f8", ">f4", "i1", "i8", ">u2", "u8", "?", "S7", "V3", "c8", "compound", "text", "enum", "vlen", "array"])
    types = {"compound": np.dtype([("a", "f4"), ("b", "i8")]), "text": h5py.string_dtype(), "enum": h5py.enum_dtype({"A": 0, "B": 7}),
             "vlen": h5py.vlen_dtype(np.uint8), "array": np.dtype(("f4", (3,)))}
    del file[name]
    file.create_dataset(name, shape, types.get(choice, choice))


def rank(file, name, rng):
    """Another shape for the same number of values, or one row or class more or less."""
    values = np.asarray(file[name][()])
    if values.ndim == 0 or values.dtype.kind == "O":
        new = np.zeros((2, 2))
    else:
        new = rng.choice([lambda v: v[None], lambda v: v.reshape(-1), lambda v: v[..., None], lambda v: v[:-1], lambda v: v[..., :-1],
                          lambda v: np.concatenate([v, v[:1]]), lambda v: v[:0], lambda v: v.T])(values)
    replaced(file, name, data=new)


def huge(file, name, rng):
    """Declares far more than the file holds."""
    old, del_ok = file[name].dtype, file[name].ndim
    shape = tuple(file[name].shape or (1,))
    axis = rng.randrange(len(shape))
    extent = rng.choice([2 ** 20, 2 ** 28, 2 ** 31, 2 ** 40, 2 ** 60])
    shape = tuple(extent if k == axis else s or 1 for k, s in enumerate(shape))
    del file[name]
    chunks = tuple(min(s, rng.choice([1, 7, 64, 1000])) for s in shape)
    try:
        file.create_dataset(name, shape, old if old.kind != "O" else "f4", chunks=chunks, compression=rng.choice([None, "gzip"]))
    except (ValueError, RuntimeError):
        file[name] = np.zeros(del_ok + 1)


def bomb(file, name, rng):
    """A few kilobytes that inflate to 64 MB."""
    old = file[name].dtype
    tail = tuple(s or 1 for s in file[name].shape[1:])
    row = int(np.prod(tail)) * max(1, old.itemsize)
    if old.kind == "O" or row > 8 << 20:
        return
    rows = (8 << 20) // row
    del file[name]
    data = file.create_dataset(name, (8 * rows, *tail), old, chunks=(rows, *tail), compression="gzip")
    packed = zlib.compress(bytes(rows * row), 1)
    for k in range(8):
        data.id.write_direct_chunk((k * rows, *(0 for _ in tail)), packed)


def link(file, name, rng):
    """A link in the object's place: to itself, to nothing, to its own group, out of the file."""
    kinds = [h5py.SoftLink(name), h5py.SoftLink("/nowhere"), h5py.SoftLink("/"), h5py.SoftLink(name.rsplit("/", 1)[0] or "/"),
             h5py.SoftLink("/" + "x/" * 2000), h5py.ExternalLink("/etc/passwd", "/x"), h5py.ExternalLink("other.h5", name),
             h5py.ExternalLink("/dev/zero", "/"), h5py.ExternalLink(file.filename, name), h5py.SoftLink("/\x1b[31m\nred")]
    del file[name]
    file[name] = rng.choice(kinds)


def cycle(file, name, rng):
    """Groups that contain themselves, many times over."""
    groups, _ = objects(file)
    for k in range(rng.choice([1, 3, 12])):
        file[f"{rng.choice(groups)}/again-{k}"] = file[rng.choice(groups)]


def elsewhere(file, name, rng):
    """Elements in another file, in another data set, or behind a filter that nobody has."""
    shape, old = tuple(s or 1 for s in file[name].shape) or (1,), file[name].dtype
    old = old if old.kind != "O" else np.dtype("f4")
    del file[name]
    choice = rng.choice(["external", "virtual", "filter", "szip"])
    if choice == "external":
        file.create_dataset(name, shape, old, external=[(rng.choice(["/etc/passwd", "/dev/zero", "other.raw"]), 0, h5py.h5f.UNLIMITED)])
    elif choice == "virtual":
        layout = h5py.VirtualLayout(shape, old)
        layout[...] = h5py.VirtualSource(rng.choice(["/etc/passwd", ".", "other.h5"]), name, shape)
        file.create_virtual_dataset(name, layout)
    else:
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk(tuple(min(s, 16) for s in shape))
        plist.set_filter(rng.choice([32015, 32001, 255, 65535]), h5py.h5z.FLAG_OPTIONAL, tuple(range(rng.choice([0, 1, 20]))))
        parent = file.require_group(name.rsplit("/", 1)[0] or "/")
        h5py.h5d.create(parent.id, name.rsplit("/", 1)[1].encode(), h5py.h5t.py_create(old), h5py.h5s.create_simple(shape), plist)


def null(file, name, rng):
    """No elements at all."""
    old = file[name].dtype
    del file[name]
    file.create_dataset(name, data=h5py.Empty(old if old.kind != "O" else "f4"))


def attribute(file, name, rng):
    """Attributes gone, of another kind, gigantic, without end, with names that steer a terminal."""
    groups, datasets = objects(file)
    owner = file[rng.choice(groups + datasets)]
    names = list(owner.attrs)
    target = rng.choice(names) if names and rng.random() < 0.7 else rng.choice(["layout", "format", "version", "digest", "class_names", "trigger"])
    if target in owner.attrs:
        del owner.attrs[target]
    choice = rng.choice(["gone", "number", "array", "huge", "unterminated", "texts", "empty", "control", "many", "vlen", "words"])
    if choice == "number":
        owner.attrs[target] = rng.choice([np.int64(-1), np.uint64(2 ** 64 - 1), np.float64("nan"), np.int8(3), np.float32(1e38)])
    elif choice == "array":
        owner.attrs[target] = np.arange(rng.choice([2, 1000]))
    elif choice == "huge":
        owner.attrs[target] = np.zeros(rng.choice([8_000, 60_000]), np.uint8 if rng.random() < 0.5 else "S1")
    elif choice == "unterminated":
        kind_of = h5py.h5t.C_S1.copy()
        kind_of.set_size(rng.choice([1, 64, 30_000]))
        kind_of.set_strpad(rng.choice([h5py.h5t.STR_NULLTERM, h5py.h5t.STR_NULLPAD, h5py.h5t.STR_SPACEPAD]))
        made = h5py.h5a.create(owner.id, target.encode(), kind_of, h5py.h5s.create(h5py.h5s.SCALAR))
        made.write(np.array(b"a" * kind_of.get_size(), f"S{kind_of.get_size()}"), kind_of)
    elif choice == "texts":
        owner.attrs[target] = ["name"] * rng.choice([1, 2, 1001, 3000])
    elif choice == "empty":
        owner.attrs[target] = h5py.Empty(rng.choice(["f4", "S5"]))
    elif choice == "control":
        owner.attrs[rng.choice(["\x1b[2J", "a\nb", "\u202e", target])] = "text\x1b[31m\r\nmore"
    elif choice == "many":
        for k in range(60):
            owner.attrs[f"{target}-{k}"] = k
    elif choice == "vlen":
        h5py.h5a.create(owner.id, target.encode(), h5py.h5t.vlen_create(h5py.h5t.STD_I32LE), h5py.h5s.create_simple((3,)))
    elif choice == "words":
        owner.attrs[target] = rng.choice(["", "NHWC", "nhwc", "patch", "wanet", "avx2", "pentium", "0" * 64, "x" * 5000, "fedclamp-dataset"])


def gone(file, name, rng):
    groups, datasets = objects(file)
    del file[rng.choice(groups[1:] + datasets)]


def many(file, name, rng):
    """Thousands of objects, or a deep nest of groups."""
    group = name.rsplit("/", 1)[0] or "/"
    if rng.random() < 0.3:
        file.create_group(group + "/deep" * 300)
    else:
        for k in range(rng.choice([70, 500])):
            file[f"{group}/copy-{k}"] = file[name]


def swapped(file, name, rng):
    """Two objects change places."""
    other = rng.choice(objects(file)[1])
    if other != name:
        file.move(name, "/between")
        file.move(other, name)
        file.move("/between", other)


def instead(file, name, rng):
    """A group, or a named type, where a dataset was."""
    del file[name]
    if rng.random() < 0.5:
        file.create_group(name + "/inner")
    else:
        file[name] = np.dtype("f4")


WAYS = [numbers, numbers, numbers, kind, rank, rank, huge, bomb, link, link, cycle, elsewhere, null, attribute, attribute, attribute,
        gone, many, swapped, instead]


def spoil(path, rng):
    """Changes the HDF5 file at `path`; returns words for what was done."""
    words = []
    with h5py.File(path, "r+") as file:
        for _ in range(rng.choice([1, 1, 2])):
            _, datasets = objects(file)
            datasets = [name for name in datasets if (file[name].size or 0) < 1 << 22]     # not what `huge` left
            if not datasets:
                break
            way, name = rng.choice(WAYS), rng.choice(datasets)
            words.append(f"{way.__name__} {name}")
            try:
                way(file, name, rng)
            except (ValueError, RuntimeError, TypeError, OSError, KeyError, IndexError, AttributeError) as error:
                words.append(f"({type(error).__name__})")     # h5py itself will not make it: what was done so far stays
    return ", ".join(words)
