"""PyTorch's side of bench.py: the same trainings as FedClamp's, in processes that keep their number of threads.

A worker is one process with a fixed number of threads; it answers requests one after another. A setting is a memory
layout, compiled by torch.compile or not. Images stay bytes and are normalised batch by batch, as FedClamp does it.
"""
import multiprocessing
import resource
import time
import traceback

LAYOUTS = ["NCHW", "channels_last"]


def settings(compiled):
    return [(layout, c) for c in ([False, True] if compiled else [False]) for layout in LAYOUTS]


def name(setting):
    return setting[0] + (" compiled" if setting[1] else "")


class Worker:
    """A process with `threads` threads; `start` and `result` let several work at once."""

    def __init__(self, threads):
        context = multiprocessing.get_context("spawn")
        self.threads = threads
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=serve, args=(other, threads), daemon=True)
        self.process.start()

    def start(self, request, *arguments, **options):
        self.pipe.send((request, arguments, options))

    def result(self):
        done, value = self.pipe.recv()
        if not done:
            raise RuntimeError(value)
        return value

    def ask(self, request, *arguments, **options):
        self.start(request, *arguments, **options)
        return self.result()

    def stop(self):
        self.pipe.close()
        self.process.join(timeout=10)


def together(workers, request, arguments):
    """The results of one request to each worker, at the same time, each with arguments of its own."""
    for worker, some in zip(workers, arguments):
        worker.start(request, *some)
    return [worker.result() for worker in workers]


def serve(pipe, threads):
    side = Side(threads)
    while True:
        try:
            request, arguments, options = pipe.recv()
        except EOFError:
            return
        try:
            pipe.send((True, getattr(side, request)(*arguments, **options)))
        except Exception:
            pipe.send((False, traceback.format_exc(limit=-3)))


class Side:
    def __init__(self, threads):
        global torch, F, clampnet
        import torch
        from torch.nn import functional as F
        import clampnet
        torch.set_num_threads(threads)
        import torch._dynamo
        torch._dynamo.config.recompile_limit = 64            # every size of batch is compiled for, in each layout
        self.nets = {}
        self.images, self.labels = {}, {}

    # --- networks and data ----------------------------------------------------------------------------------------

    def net(self, setting, channels):
        """(module, what to call) of a setting; made once, so that it is compiled once."""
        key = (*setting, channels)
        if key not in self.nets:
            torch.manual_seed(1)
            layout, compiled = setting
            module = clampnet.ClampNet(channels, 10)
            if layout == "channels_last":
                module = module.to(memory_format=torch.channels_last)
            self.nets[key] = (module, torch.compile(module, dynamic=False) if compiled else module)
        return self.nets[key]

    def load(self, key, images, labels):
        """Keeps a set of images, uint8 (N, C, H, W), under a name."""
        self.images[key] = torch.from_numpy(images)
        self.labels[key] = torch.from_numpy(labels.astype("int64"))

    def laid_out(self, x, setting):
        return x.contiguous(memory_format=torch.channels_last) if setting[0] == "channels_last" else x

    def set_state(self, module, state):
        module.load_state_dict({key: torch.from_numpy(value) for key, value in state.items()})

    def state(self, module):
        return {key: value.detach().contiguous().numpy().copy() for key, value in module.state_dict().items()}

    def peak_bytes(self):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    # --- speeds ---------------------------------------------------------------------------------------------------

    def rates(self, setting, channels, batch, seconds):
        """Images a second of training steps and of forward passes on a batch that is there: the fastest of many."""
        module, call = self.net(setting, channels)
        x = self.laid_out(torch.randn(batch, channels, 32, 32), setting)
        y = torch.arange(batch) % 10
        optimizer = torch.optim.SGD(module.parameters(), lr=1e-4, momentum=0.9, weight_decay=5e-4)

        def train():
            self.step(call, optimizer, x, lambda out: F.cross_entropy(out, y))

        def forward():
            with torch.inference_mode():
                call(x)

        return batch / fastest(train, seconds), batch / fastest(forward, seconds)

    def step(self, call, optimizer, x, loss):
        optimizer.zero_grad(set_to_none=True)
        loss(call(x)).backward()
        optimizer.step()

    # --- the pieces of a round ------------------------------------------------------------------------------------

    def local(self, setting, state, key, members, batch, rate, epochs, flips=True):
        """A client's training on the images `members` of set `key`; the state after it."""
        module, call = self.net(setting, len(state["input.mean"]))
        self.set_state(module, state)
        images, labels = self.images[key], self.labels[key]
        members = torch.as_tensor(members)
        optimizer = torch.optim.SGD(module.parameters(), lr=rate, momentum=0.9, weight_decay=5e-4)
        for _ in range(epochs):
            order = members[torch.randperm(len(members))]
            for some in order.split(batch):
                pixels = images[some]
                if flips and pixels.shape[1] == 3:
                    pixels = torch.where(torch.rand(len(some), 1, 1, 1) < 0.5, pixels.flip(3), pixels)
                x, y = self.laid_out(module.input(pixels), setting), labels[some]
                self.step(call, optimizer, x, lambda out: F.cross_entropy(out, y))
        return self.state(module)

    def locals(self, setting, state, key, clients, batch, rate):
        return [self.local(setting, state, key, members, batch, rate, 1) for members in clients]

    def logits(self, setting, states, key, batch, count=None):
        """Sum over the models of their logits on set `key`, or its first `count` images."""
        module, call = self.net(setting, len(states[0]["input.mean"]))
        total = None
        for state in states:
            self.set_state(module, state)
            with torch.inference_mode():
                out = torch.cat([call(self.laid_out(module.input(some), setting)) for some in self.images[key][:count].split(batch)])
            total = out if total is None else total + out
        return total.numpy()

    def warm_up_fusion(self, setting, state, key, batch):
        """Every size of batch that `fuse` and `logits` will see, once."""
        count = len(self.images[key])
        self.logits(setting, [state], key, 4 * batch, 4 * batch + count % (4 * batch))
        some = batch + count % batch
        self.fuse(setting, state, key, self.logits(setting, [state], key, 4 * batch), batch, 0.0, some)

    def fuse(self, setting, state, key, teacher, batch, rate, count=None):
        """One epoch of distillation with half the weight on the labels, temperature 1, on the first `count` images, all
        of them by default; the state after it."""
        module, call = self.net(setting, len(state["input.mean"]))
        self.set_state(module, state)
        images, labels, teacher = self.images[key], self.labels[key], torch.from_numpy(teacher)
        optimizer = torch.optim.SGD(module.parameters(), lr=rate, momentum=0.9, weight_decay=5e-4)
        for some in torch.randperm(count or len(images)).split(batch):
            x, y = self.laid_out(module.input(images[some]), setting), labels[some]
            soft = F.softmax(teacher[some], 1)

            def loss(out):
                return 0.5 * F.kl_div(F.log_softmax(out, 1), soft, reduction="batchmean") + 0.5 * F.cross_entropy(out, y)

            self.step(call, optimizer, x, loss)
        return self.state(module)


def fastest(body, seconds):
    """Seconds that the fastest of as many calls as fit takes, after two to warm up (and compile)."""
    body()
    body()
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        body()
        best = min(best, time.perf_counter() - start)
    return best
