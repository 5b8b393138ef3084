#!/usr/bin/env python3
"""FM data for Fashion-MNIST: trains a small class-conditional generative model and draws labelled images from it.

    generate_fashion.py train DATA.h5 MODEL.pt [--images N] [--steps N] [--batch N] [--width N] [--seed S]
    generate_fashion.py draw MODEL.pt OUT.h5 [--count N] [--evaluations N] [--seed S] [--sheet SHEET.png]

`train` sees the last --images images of the TRAINING split of DATA.h5 (fedclamp import fashion-mnist) and nothing else;
`draw` writes the same number of images of each class, in random order, as a FedClamp data set with one unnamed split. Its
attributes say where the images come from. data/fashion-mnist-fm.h5 was made with the defaults, on one CPU core:

    export OMP_NUM_THREADS=1
    tools/generate_fashion.py train data/fashion-mnist.h5 flow.pt
    tools/generate_fashion.py draw flow.pt data/fashion-mnist-fm.h5 --sheet samples.png

Needs PyTorch, h5py and numpy (tools/requirements.txt).
"""
import argparse
import copy
import datetime
import hashlib
import math
import os
import sys
import time

import h5py
import numpy as np
import torch

from fashion_flow import Flow, loss_at, sample
from pictures import contact_sheet

RATE, WARM_UP, AVERAGE = 1e-3, 200, 0.999


def open_or_exit(path):
    try:
        return h5py.File(path)
    except OSError as error:
        sys.exit(f"{path}: cannot read: {error}")


def read_training(path, count):
    """The last `count` training images, (N, 1, 28, 28) from -1 to 1, their labels, and what the file says of itself."""
    with open_or_exit(path) as file:
        if "train/images" not in file or file["train/images"].shape[1:] != (1, 28, 28):
            sys.exit(f"{path}: expected /train/images of (N, 1, 28, 28), as `fedclamp import fashion-mnist` writes them")
        total = len(file["train/images"])
        if not 0 < count <= total:
            sys.exit(f"--images {count}: expected 1 to {total}")
        images, labels = file["train/images"][total - count:], file["train/labels"][total - count:]
        about = {"classes": [str(n) for n in file.attrs["class_names"]], "dataset": str(file.attrs["name"]),
                 "images_seen": f"/train/images {total - count} to {total - 1}",
                 "digest": hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()}
    return torch.from_numpy(images).float() / 127.5 - 1, torch.from_numpy(labels.astype(np.int64)), about


def rate_at(step, steps):
    return RATE * min(1, (step + 1) / WARM_UP) * 0.5 * (1 + math.cos(math.pi * step / steps))


def replace(path, write):
    """write(temporary name), then rename: never half a file."""
    temporary = f"{path}.partial-{os.getpid()}"
    try:
        write(temporary)
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)


def train(options):
    images, labels, about = read_training(options.data, options.images)
    torch.manual_seed(options.seed)
    generator = torch.Generator().manual_seed(options.seed + 1)
    model = Flow(options.width, len(about["classes"]))
    average = copy.deepcopy(model).requires_grad_(False)
    optimizer = torch.optim.AdamW(model.parameters(), RATE, weight_decay=0.01)
    half = torch.autocast("cpu", torch.bfloat16, enabled=not options.float32)
    order, begun, recent = torch.empty(0, dtype=torch.long), time.monotonic(), []
    for step in range(options.steps):
        if len(order) < options.batch:
            order = torch.cat([order, torch.randperm(len(images), generator=generator)])
        chosen, order = order[:options.batch], order[options.batch:]
        for group in optimizer.param_groups:
            group["lr"] = rate_at(step, options.steps)
        with half:
            loss = loss_at(model, images[chosen], labels[chosen], generator)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        keep = min(AVERAGE, (step + 1) / (step + 10))
        with torch.no_grad():
            for mean, value in zip(average.parameters(), model.parameters()):
                mean.lerp_(value, 1 - keep)
        recent.append(loss.item())
        if not math.isfinite(recent[-1]):
            sys.exit(f"step {step + 1}: the loss is {recent[-1]}")
        if (step + 1) % 100 == 0 or step + 1 == options.steps:
            print(f"step {step + 1}/{options.steps}  loss {np.mean(recent):.4f}  {time.monotonic() - begun:.0f} s", flush=True)
            recent = []
    about |= {"width": options.width, "steps": options.steps, "batch": options.batch, "seed": options.seed,
              "training_seconds": round(time.monotonic() - begun), "parameters": sum(p.numel() for p in model.parameters())}
    replace(options.model, lambda path: torch.save({"about": about, "weights": average.state_dict()}, path))
    print(f"wrote {options.model}: {about['parameters']} parameters")


def draw(options):
    try:
        saved = torch.load(options.model, weights_only=True)
        about = saved["about"]
    except (OSError, KeyError, RuntimeError) as error:
        sys.exit(f"{options.model}: expected a model that `generate_fashion.py train` wrote: {error}")
    classes = len(about["classes"])
    if options.count < classes or options.count % classes:
        sys.exit(f"--count {options.count}: expected a multiple of {classes}, the number of classes")
    model = Flow(about["width"], classes).eval()
    model.load_state_dict(saved["weights"])
    generator = torch.Generator().manual_seed(options.seed)
    labels = torch.arange(classes).repeat(options.count // classes)[torch.randperm(options.count, generator=generator)]
    images, begun = [], time.monotonic()
    half = torch.autocast("cpu", torch.bfloat16, enabled=not options.float32)
    for part in labels.split(100):
        with half:
            drawn = sample(model, part, options.evaluations, generator)
        images.append(((drawn.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).numpy())
        print(f"{sum(map(len, images))}/{options.count}  {time.monotonic() - begun:.0f} s", flush=True)
    images, labels = np.concatenate(images), labels.numpy().astype(np.uint8)
    replace(options.out, lambda path: write(path, images, labels, about, options))
    if options.sheet:
        replace(options.sheet, lambda path: contact_sheet(path, images, labels))
    print(f"wrote {options.out}: {len(images)} images, {os.path.getsize(options.out) / 1e6:.1f} MB")


def write(path, images, labels, about, options):
    """The schema of FedClamp: images and labels at the root, and their origin in attributes."""
    with h5py.File(path, "w") as file:
        file.attrs["format"], file.attrs["version"] = "fedclamp-dataset", 1
        file.attrs["name"] = "fashion-mnist-fm"
        file.attrs["class_names"] = about["classes"]
        file.attrs["source"] = (f"samples of a class-conditional flow-matching model of {about['parameters']} parameters, which was trained on "
                                f"{about['images_seen']} of {about['dataset']} ({about['steps']} steps, batch {about['batch']}) and saw no other image")
        file.attrs["script"] = "tools/generate_fashion.py"
        for name in ("images_seen", "steps", "batch", "width", "parameters", "training_seconds"):
            file.attrs[f"model_{name}"] = about[name]
        file.attrs["model_seed"], file.attrs["model_data_sha256"] = about["seed"], about["digest"]
        file.attrs["draw_seed"], file.attrs["draw_evaluations"] = options.seed, options.evaluations
        file.attrs["torch"], file.attrs["date"] = str(torch.__version__), datetime.date.today().isoformat()
        file.create_dataset("images", data=images, chunks=(min(500, len(images)), *images.shape[1:]), shuffle=True, compression="gzip", compression_opts=9)
        file.create_dataset("labels", data=labels)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(required=True)
    first = commands.add_parser("train", help="train the model")
    first.add_argument("data")
    first.add_argument("model")
    first.add_argument("--images", type=int, default=10_000)
    first.add_argument("--steps", type=int, default=3_000)
    first.add_argument("--batch", type=int, default=48)
    first.add_argument("--width", type=int, default=48)
    first.set_defaults(action=train)
    second = commands.add_parser("draw", help="draw labelled images")
    second.add_argument("model")
    second.add_argument("out")
    second.add_argument("--count", type=int, default=6_000)
    second.add_argument("--evaluations", type=int, default=23, help="of the network for each image")
    second.add_argument("--sheet", help="also a contact sheet, a row for each class")
    second.set_defaults(action=draw)
    for command in (first, second):
        command.add_argument("--seed", type=int, default=1)
        command.add_argument("--float32", action="store_true", help="compute in float32 throughout, not in bfloat16 where PyTorch holds it safe")
    options = parser.parse_args()
    options.action(options)


if __name__ == "__main__":
    main()
