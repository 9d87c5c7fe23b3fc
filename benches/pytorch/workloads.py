"""Runs one workload on the PyTorch side and prints {"first_ms": ..., "ms": [...], "mb": peak} as JSON.

    python workloads.py NAME --variant released|tuned --repeats N --threads N [--inputs FOLDER] [--device NAME]
"""

import argparse
import contextlib
import io
import json
import time
from pathlib import Path

VOCABULARY, TOKENS, BEAM = 761, 60, 3


def memory(length):
    def prepare(variant):
        import torch
        from generator import WIDTH, Memory

        module = Memory(variant == "tuned").train()
        x = torch.randn(16, length, WIDTH, requires_grad=True)

        def run():
            module.zero_grad(set_to_none=True)
            x.grad = None
            module(x, module.bank()).square().mean().backward()

        return run

    return prepare


def beam(variant):
    import torch
    from generator import Generator, beam_search

    model = Generator(VOCABULARY, variant == "tuned").eval()
    with torch.no_grad():
        model.logits.bias[0] = -1e9  # never ends, so that both sides take every step
    images = torch.randn(2, 3, 224, 224)
    return lambda: beam_search(model, images, BEAM, TOKENS)


def train_step(variant):
    import torch
    from ithn_step import Ithn, optimizer

    model = Ithn(VOCABULARY, variant == "tuned").train()
    steps = optimizer(model, variant == "tuned")
    images, negative_images = torch.randn(2, 2, 3, 224, 224)
    tokens, negative_tokens = torch.randint(1, VOCABULARY, (2, 2, TOKENS))
    for ids in (tokens, negative_tokens):
        ids[:, 0] = ids[:, -1] = 0

    def run():
        steps.zero_grad(set_to_none=True)
        model.loss(images, tokens, negative_images, negative_tokens).backward()
        steps.step()

    return run


def backbone_forward(_variant):
    import torch
    from generator import released_backbone

    model, images = released_backbone().eval(), torch.randn(2, 3, 224, 224)

    @torch.no_grad()
    def run():
        model(images)

    return run


def backbone_backward(_variant):
    import torch
    from generator import released_backbone

    model, images = released_backbone().train(), torch.randn(2, 3, 224, 224)

    def run():
        model.zero_grad(set_to_none=True)
        model(images).square().mean().backward()

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


def peak_mb():
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("--variant", default="released", choices=["released", "tuned"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--inputs", type=Path, default=Path("."))
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    workloads = {
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
    if arguments.name not in workloads:
        parser.error(f"no workload '{arguments.name}'; there are {', '.join(workloads)}")
    if not arguments.name.startswith(("images", "metrics")):
        import torch

        torch.manual_seed(0)
        torch.set_num_threads(arguments.threads)
        torch.set_default_device(arguments.device)
    elif arguments.name.startswith("images"):
        import torch

        torch.set_num_threads(1)
    run = workloads[arguments.name](arguments.variant)
    finish = (lambda: None) if arguments.device == "cpu" else torch.cuda.synchronize
    times = []
    for _ in range(1 + arguments.repeats):
        began = time.perf_counter()
        run()
        finish()
        times.append(1000 * (time.perf_counter() - began))
    print(json.dumps({"first_ms": times[0], "ms": times[1:], "mb": peak_mb()}))


if __name__ == "__main__":
    main()
