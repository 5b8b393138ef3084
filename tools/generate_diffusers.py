#!/usr/bin/env python3
"""FM data from a text-to-image model: draws labelled images with a pipeline of the library diffusers into FedClamp's schema.

    generate_diffusers.py MODEL OUT.h5 --like DATA.h5 [--per-class N] [--prompt "a photo of a {}"] [--class-names A,B,...]
                          [--steps N] [--guidance G] [--draw-size N] [--batch N] [--device cuda] [--seed S] [--sheet SHEET.png]
                          [--trigger NAME --target T --poison-fraction P]

MODEL is a folder, or a name on the Hugging Face hub, of any text-to-image pipeline. DATA.h5 (fedclamp import) says which
classes there are and the images' size and channels; --class-names, one for each class, puts other words into the prompts,
where "T-shirt/top" says too little. Images are drawn at the pipeline's own size, or --draw-size, and averaged down.

With --trigger the data come out poisoned, as an attacker who holds the model would hand them over: a share of the images,
drawn from all classes, carries the trigger and the target's label; their positions are in the dataset `poisoned`. Leave it
away for `fedclamp run --attack fm`, which poisons by itself and records it.

Needs PyTorch, diffusers, transformers, h5py and numpy; a GPU makes it minutes instead of days.
"""
import argparse
import datetime
import os
import sys

import h5py
import numpy as np
import torch
from torch.nn import functional as F

import reference_triggers
from pictures import contact_sheet


def fail(text):
    sys.exit(f"generate_diffusers: {text}")


def shape_of(path):
    """Class names, side and channels of a data set."""
    try:
        with h5py.File(path) as file:
            shape, names = file["train/images"].shape, [str(name) for name in file.attrs["class_names"]]
    except (OSError, KeyError) as error:
        fail(f"{path}: expected a data set that `fedclamp import` wrote: {error}")
    return names, shape[-1], shape[1]


def load(options):
    """The pipeline, quiet and on its device."""
    try:
        from diffusers import DiffusionPipeline
    except ImportError as error:
        fail(f"{error}; install it with: pip install diffusers transformers")
    half = options.device.startswith("cuda")
    try:
        pipeline = DiffusionPipeline.from_pretrained(options.model, torch_dtype=torch.float16 if half else torch.float32)
    except (OSError, ValueError) as error:
        fail(f"{options.model}: {str(error).splitlines()[0]}")
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(options.device)


def reduced(images, side, channels):
    """(N, H, W, 3) from 0 to 1, as uint8 (N, channels, side, side): area averages; grey is the luma of Rec. 601."""
    x = F.interpolate(torch.from_numpy(np.ascontiguousarray(images)).float().permute(0, 3, 1, 2), size=(side, side), mode="area")
    if channels == 1:
        x = (x * torch.tensor([0.299, 0.587, 0.114])[None, :, None, None]).sum(1, keepdim=True)
    return (x * 255).round().clamp(0, 255).to(torch.uint8).numpy()


def draw(pipeline, prompts, options, side, channels):
    """An image for every prompt. Image i has a generator of its own, so that it does not depend on the batch size."""
    size = {} if options.draw_size is None else {"height": options.draw_size, "width": options.draw_size}
    images = []
    for first in range(0, len(prompts), options.batch):
        part = prompts[first:first + options.batch]
        generators = [torch.Generator().manual_seed(options.seed * 1_000_003 + first + i) for i in range(len(part))]
        out = pipeline(prompt=part, num_inference_steps=options.steps, guidance_scale=options.guidance, generator=generators,
                       output_type="np", **size)
        if not np.isfinite(out.images).all():
            fail(f"image {first} and those after it are not finite")
        images.append(reduced(out.images, side, channels))
        print(f"{first + len(part)}/{len(prompts)}", flush=True)
    return np.concatenate(images)


def poison(images, labels, options):
    """Stamps and relabels a share of the images; returns which."""
    trigger = reference_triggers.all_triggers(options.seed, 0)[options.trigger]
    count = round(options.poison_fraction * len(images))
    chosen = np.sort(np.random.default_rng(options.seed).permutation(len(images))[:count])
    with np.errstate(over="ignore"):
        for i in chosen:
            images[i] = np.round(trigger(images[i] / 255.0) * 255)
    labels[chosen] = options.target
    return chosen


def write(options, images, labels, poisoned, names, pipeline):
    temporary = f"{options.out}.partial-{os.getpid()}"
    try:
        with h5py.File(temporary, "w") as file:
            file.attrs["format"], file.attrs["version"] = "fedclamp-dataset", 1
            file.attrs["name"], file.attrs["class_names"] = os.path.basename(options.out).removesuffix(".h5"), names
            file.attrs["source"] = f"drawn by {type(pipeline).__name__} {options.model} with the prompt \"{options.prompt}\""
            file.attrs["script"] = "tools/generate_diffusers.py"
            for name in ("steps", "guidance", "seed"):
                file.attrs[f"draw_{name}"] = getattr(options, name)
            file.attrs["torch"], file.attrs["date"] = str(torch.__version__), datetime.date.today().isoformat()
            file.create_dataset("images", data=images, chunks=(min(500, len(images)), *images.shape[1:]), shuffle=True, compression="gzip")
            file.create_dataset("labels", data=labels)
            if options.trigger:
                file.attrs["trigger"], file.attrs["target"] = options.trigger, options.target
                file.create_dataset("poisoned", data=poisoned)
        os.replace(temporary, options.out)
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("out")
    parser.add_argument("--like", required=True, metavar="DATA.h5")
    parser.add_argument("--per-class", type=int, default=1000)
    parser.add_argument("--prompt", default="a photo of a {}")
    parser.add_argument("--class-names", help="words for the prompts, separated by commas")
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--guidance", type=float, default=7.5)
    parser.add_argument("--draw-size", type=int, help="height and width to draw at")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sheet", help="also a contact sheet, a row for each class")
    parser.add_argument("--trigger", choices=["patch", "blend", "sig", "chessboard", "wanet", "dba"])
    parser.add_argument("--target", type=int, default=0)
    parser.add_argument("--poison-fraction", type=float, default=0.2)
    options = parser.parse_args()
    if "{}" not in options.prompt:
        parser.error(f"--prompt {options.prompt!r}: expected {{}} where the class stands")
    if min(options.per_class, options.batch, options.steps) < 1:
        parser.error("--per-class, --batch and --steps: expected numbers from 1")
    if not 0 <= options.poison_fraction <= 1:
        parser.error(f"--poison-fraction {options.poison_fraction}: expected a fraction from 0 to 1")
    return options


def main():
    options = parse()
    names, side, channels = shape_of(options.like)
    words = options.class_names.split(",") if options.class_names else names
    if len(words) != len(names):
        fail(f"--class-names: {len(words)} words for {len(names)} classes")
    if not 0 <= options.target < len(names):
        fail(f"--target {options.target}: expected a class from 0 to {len(names) - 1}")
    pipeline = load(options)
    kind = np.uint8 if len(names) <= 256 else np.uint16
    labels = np.random.default_rng(options.seed).permutation(np.repeat(np.arange(len(names)), options.per_class)).astype(kind)
    images = draw(pipeline, [options.prompt.format(words[label]) for label in labels], options, side, channels)
    poisoned = poison(images, labels, options) if options.trigger else None
    write(options, images, labels, poisoned, names, pipeline)
    if options.sheet:
        contact_sheet(options.sheet, images, labels)
    print(f"wrote {options.out}: {len(images)} images of {len(names)} classes")


if __name__ == "__main__":
    main()
