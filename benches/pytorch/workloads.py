"""Runs workloads on the PyTorch side and prints a line for each:
{"name": ..., "first_ms": ..., "ms": [...], "mb": peak}.

    python workloads.py NAME[:SIZE=N,...][/VARIANT]... --repeats N --threads N [--inputs FOLDER] [--device NAME]

A variant is released, tuned, or tuned under torch.compile (compiled). The peak is of host memory on the processor and
of what PyTorch's allocator reserved on a GPU.
"""

import argparse
import contextlib
import io
import json
import time
from pathlib import Path

VOCABULARY, TOKENS, BEAM = 761, 60, 3


def memory(usual_length):
    def prepare(variant, batch=16, length=usual_length):
        import torch
        from generator import WIDTH, Memory

        module = Memory(variant != "released").train()
        x = torch.randn(batch, length, WIDTH, requires_grad=True)

        def run():
            module.zero_grad(set_to_none=True)
            x.grad = None
            with autocast():
                value = module(x, module.bank()).float().square().mean()
            value.backward()

        return run

    return prepare


def beam(variant, batch=2, length=TOKENS, side=224):
    import torch
    from generator import Generator, beam_search

    model = Generator(VOCABULARY, variant != "released").eval()
    with torch.no_grad():
        model.logits.bias[0] = -1e9  # never ends, so that both sides take every step
    images = torch.randn(batch, 3, side, side)

    def run():
        with autocast():
            beam_search(model, images, BEAM, length)

    return run


def train_step(variant, batch=2, length=TOKENS, side=224):
    import torch
    from ithn_step import Ithn, optimizer

    model = Ithn(VOCABULARY, variant != "released").train()
    steps = optimizer(model, variant != "released")
    images, negative_images = torch.randn(2, batch, 3, side, side)
    tokens, negative_tokens = torch.randint(1, VOCABULARY, (2, batch, length))
    for ids in (tokens, negative_tokens):
        ids[:, 0] = ids[:, -1] = 0
    loss = torch.compile(model.loss) if variant == "compiled" else model.loss

    def run():
        steps.zero_grad(set_to_none=True)
        with autocast():
            value = loss(images, tokens, negative_images, negative_tokens)
        value.backward()
        steps.step()

    return run


def backbone_forward(_variant, batch=2, side=224):
    import torch
    from generator import released_backbone

    model, images = released_backbone().eval(), torch.randn(batch, 3, side, side)

    @torch.no_grad()
    def run():
        with autocast():
            model(images)

    return run


def backbone_backward(_variant, batch=2, side=224):
    import torch
    from generator import released_backbone

    model, images = released_backbone().train(), torch.randn(batch, 3, side, side)

    def run():
        model.zero_grad(set_to_none=True)
        with autocast():
            value = model(images).float().square().mean()
        value.backward()

    return run


def images(folder):
    def prepare(_variant):
        from PIL import Image
        from torchvision import transforms

        paths = sorted(folder.glob("*.jpg"))
        square = transforms.Compose([
            transforms.Resize((224, 224)),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ])
        return lambda: [square(Image.open(path).convert("RGB")) for path in paths]

    return prepare


def metrics(file):
    def prepare(_variant):
        from pycocoevalcap.bleu.bleu import Bleu
        from pycocoevalcap.cider.cider import Cider
        from pycocoevalcap.rouge.rouge import Rouge

        pairs = json.loads(file.read_text())
        references = {index: [pair["reference"]] for index, pair in enumerate(pairs)}
        generated = {index: [pair["generated"]] for index, pair in enumerate(pairs)}

        def run():
            with contextlib.redirect_stdout(io.StringIO()):
                for scorer in (Bleu(4), Rouge(), Cider()):
                    scorer.compute_score(references, generated)

        return run

    return prepare


# Replaced by torch.autocast under --precision bf16.
autocast = contextlib.nullcontext


def peak_mb(device):
    if device != "cpu":
        import torch

        return torch.cuda.max_memory_reserved() / 2**20
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def measure(work, arguments, text):
    """The line of one workload, NAME[:SIZE=N,...][/VARIANT]."""
    name, _, variant = text.partition("/")
    name, _, sizes = name.partition(":")
    sizes = {key: int(value) for key, value in (size.split("=") for size in sizes.split(",") if size)}
    run = work[name](variant or arguments.variant, **sizes)
    finish = lambda: None
    if arguments.device != "cpu":
        import torch

        finish = torch.cuda.synchronize
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    times = []
    for _ in range(1 + arguments.repeats):
        began = time.perf_counter()
        run()
        finish()
        times.append(1000 * (time.perf_counter() - began))
    return {"name": text, "first_ms": times[0], "ms": times[1:], "mb": peak_mb(arguments.device)}


def set_up(arguments):
    """Threads, device and precision of PyTorch."""
    global autocast
    import torch

    torch.manual_seed(0)
    torch.set_num_threads(arguments.threads)
    torch.set_default_device(arguments.device)
    if arguments.precision != "f32":
        torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.allow_tf32 = arguments.precision != "f32"
    if arguments.precision == "bf16":
        autocast = lambda: torch.autocast(arguments.device.partition(":")[0], torch.bfloat16)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="+", metavar="NAME[:SIZE=N,...][/VARIANT]")
    parser.add_argument("--variant", default="released", choices=["released", "tuned", "compiled"],
                        help="of those that name none")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--inputs", type=Path, default=Path("."))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="f32", choices=["f32", "tf32", "bf16"],
                        help="products of single precision as they are, as tf32 where the GPU has it, or autocast")
    arguments = parser.parse_args()
    work = {
        "memory_60": memory(60),
        "memory_98": memory(98),
        "beam_3": beam,
        "train_step": train_step,
        "backbone_forward": backbone_forward,
        "backbone_backward": backbone_backward,
        "images_gray": images(arguments.inputs / "gray"),
        "images_rgb": images(arguments.inputs / "rgb"),
        "metrics": metrics(arguments.inputs / "pairs.json"),
    }
    bare = [name.partition("/")[0].partition(":")[0] for name in arguments.names]
    for name in bare:
        if name not in work:
            parser.error(f"no workload '{name}'; there are {', '.join(work)}")
    if any(name.startswith("images") for name in bare):
        import torch

        torch.set_num_threads(1)
    elif "metrics" not in bare:
        set_up(arguments)
    for name in arguments.names:
        print(json.dumps(measure(work, arguments, name)), flush=True)


if __name__ == "__main__":
    main()
