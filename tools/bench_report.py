"""What bench.py prints: ratios of its rows, each from one run, and the machine they were measured on."""
import datetime
import os
import platform
import statistics
import subprocess

import h5py
import numpy
import torch

MULTIPLY_ADDS = 38.9e6                                 # of a forward pass as direct convolutions; Winograd's take fewer
OPERATIONS = {"training": 6 * MULTIPLY_ADDS, "forward": 2 * MULTIPLY_ADDS}


def first_line(path, key):
    try:
        with open(path) as file:
            return next((line.split(":", 1)[1].strip() for line in file if line.startswith(key)), "unknown")
    except OSError:
        return "unknown"


def machine(program, data, options):
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=os.path.dirname(__file__))
    return {
        "cpu": first_line("/proc/cpuinfo", "model name"), "cores": len(os.sched_getaffinity(0)),
        "memory_kb": first_line("/proc/meminfo", "MemTotal").split()[0], "kernel": platform.release(),
        "load_average_at_end": os.getloadavg(), "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "fedclamp": program("--version")[0].strip(), "commit": commit.stdout.strip(), "torch": torch.__version__,
        "torch_cpu_capability": torch.backends.cpu.get_cpu_capability(), "numpy": numpy.__version__, "h5py": h5py.__version__,
        "python": platform.python_version(), "data": data.name, "fm_data": data.fm_name, "quick": options.quick,
        "repeats": options.repeats, "seconds": options.seconds,
    }


class Report:
    def __init__(self, rows):
        self.rows = rows

    def select(self, item, side, **wanted):
        return [r for r in self.rows if r["item"] == item and r["side"] == side and all(r.get(k) == v for k, v in wanted.items())]

    def speed(self, row):
        return row["images_per_second"] if "images_per_second" in row else row["images"] / row["seconds"]

    def median(self, rows):
        return statistics.median(map(self.speed, rows))

    def best(self, rows):
        """The rows of the fastest setting, by the median of its repeats."""
        def setting(row):
            return row.get("setting"), row.get("models"), row.get("processes")
        kinds = {setting(r) for r in rows}
        return max(([r for r in rows if setting(r) == kind] for kind in kinds), key=self.median)

    def against(self, title, reach, item, ours, theirs):
        """A line of the table of ratios. Each repeat gives one: the speeds of the two sides in the same repeat."""
        a, b = self.select(item, "fedclamp", **ours), self.best(self.select(item, "pytorch", **theirs))
        other = {r["repeat"]: self.speed(r) for r in b}
        ratios = sorted(self.speed(r) / other[r["repeat"]] for r in a if r["repeat"] in other)
        setting = b[0]["setting"] + (", 2 processes" if max(b[0].get("processes", 1), b[0]["models"] if "models" in b[0] else 1) > 1 else "")
        cells = [title, f"{self.median(a):.0f}", f"{self.median(b):.0f} ({setting})", f"{statistics.median(ratios):.2f}",
                 f"{ratios[0]:.2f} to {ratios[-1]:.2f}", f"{reach}"]
        if item in OPERATIONS:
            operations, peak = OPERATIONS[item] / 1e9, self.peak(ours["threads"])
            cells += [f"{operations * self.median(a):.0f} / {operations * self.median(b):.0f}",
                      f"{100 * operations * self.median(a) / peak:.0f} / {100 * operations * self.median(b) / peak:.0f} %"]
        else:
            cells += ["", ""]
        return cells + [" / ".join(f"{max(r['peak_bytes'] for r in rows) / 1e6:.0f}" for rows in (a, b))]

    def peak(self, threads):
        return max(r["peak_gflops"] for r in self.rows if r.get("peak_gflops") and r["threads"] == threads)

    def by_repeat(self, value, item, **wanted):
        return {r["repeat"]: value(r) for r in self.select(item, "fedclamp", **wanted)}

    def alone(self, title, reach, values, form):
        values = sorted(values)
        return [title, form.format(statistics.median(values)), f"{form.format(values[0])} to {form.format(values[-1])}", reach]


def table(head, rows):
    widths = [max(len(r[k]) for r in [head, *rows]) for k in range(len(head))]
    line = lambda r: "| " + " | ".join(cell.ljust(w) for cell, w in zip(r, widths)) + " |"
    return [line(head), "|" + "|".join("-" * (w + 2) for w in widths) + "|", *map(line, rows)]


def report(rows, about, agreement):
    r = Report(rows)
    lines = [f"{about['cpu']}, {about['cores']} cores; torch {about['torch']} ({about['torch_cpu_capability']}), {about['date']}, "
             f"load {about['load_average_at_end'][0]:.1f} at the end",
             f"{about['data']}; FM data: {about['fm_data']}; batch 64, SGD with momentum; medians of {about['repeats']} repeats"]
    if about["quick"]:
        lines.append("QUICK: a tenth of the images in rounds, fusion and fit; nothing here is a result")
    worst = {what: max(errors[what] for errors in agreement.values()) for what in ("training", "logits", "fusion")}
    lines += [f"verified first, {len(agreement)} settings of PyTorch ({', '.join(agreement)}): largest difference in training {worst['training']:.1e}, "
              f"logits {worst['logits']:.1e}, fusion {worst['fusion']:.1e}", ""]

    images = r.select("round", "fedclamp", threads=2)[0]["images"]
    pairs = [
        r.against("training, 1 thread", 2.0, "training", {"threads": 1, "models": 1}, {"threads": 1}),
        r.against("training, 2 threads, one model", 2.0, "training", {"threads": 2, "models": 1}, {"threads": 2, "models": 1}),
        r.against("training, 2 threads, clients side by side", 2.0, "training", {"threads": 2, "models": 2}, {"threads": 2}),
        r.against("forward, 1 thread", 2.0, "forward", {"threads": 1}, {"threads": 1}),
        r.against("forward, 2 threads", 2.0, "forward", {"threads": 2}, {"threads": 2}),
        r.against(f"FedAvg round, 10 clients of {images // 10} images", 2.5, "round", {"threads": 2}, {}),
        r.against("the same with fusion of 10 teachers", 2.0, "round with fusion", {"threads": 2}, {}),
    ]
    lines += table(["images/s", "FedClamp", "PyTorch's best", "ratio", "range", "reach", "GFLOP/s", "share of peak", "peak MB"], pairs)
    lines += [f"GFLOP/s count direct convolutions; measured peak {r.peak(1):.0f} on 1 thread, {r.peak(2):.0f} on 2.", ""]

    whole = r.by_repeat(lambda x: x["seconds"], "round of the whole data set")
    step = r.by_repeat(lambda x: x["seconds"] / x["images"], "round of the whole data set")
    fits = {x["repeat"]: x for x in r.select("fit of bounds", "fedclamp")}
    forward = r.median(r.select("forward", "fedclamp", threads=2))
    one, two = (r.by_repeat(lambda x: x["seconds"], "round", threads=t) for t in (1, 2))
    memory = [x["peak_bytes"] / 1e6 for name in ("round", "round with fusion", "round of the whole data set") for x in r.select(name, "fedclamp")]
    total = r.select("round of the whole data set", "fedclamp")[0]["images"]
    first = fits[0]
    lines += table(["FedClamp alone", "median", "range", "reach"], [
        r.alone(f"fit of bounds on {first['forward_images']} FM images / round of {total} images", "at most 1", [fits[k]["seconds"] / whole[k] for k in fits], "{:.2f}"),
        r.alone("the same counted in passes over images", "", [first["passes"] / total], "{:.2f}"),
        r.alone("an image in the fit / in a training step", "at most 0.65",
                [(fits[k]["seconds"] - fits[k]["forward_images"] / forward) / fits[k]["images"] / step[k] for k in fits], "{:.2f}"),
        r.alone("round on 2 threads / on 1", "1.9", [one[k] / two[k] for k in one], "{:.2f}"),
        r.alone(f"peak memory of run on {about['data']}, MB", "under 600", [max(memory)], "{:.0f}"),
        r.alone("--help, s", "under 0.05", [x["seconds"] for x in r.select("--help", "fedclamp")], "{:.4f}"),
        r.alone("run of one training step, start to end, s", "under 2", [x["seconds"] for x in r.select("run of one training step, start to end", "fedclamp")], "{:.2f}"),
    ])
    return "\n".join(lines)
