"""CheXbert at BERT-base size, random weights, invented reports: this library against `transformers`, in turn.

    python benches/pytorch/chexbert.py [--reports 1000] [--words 60] [--pairs 3] [--threads 2]

Prints a line per pair and the ratios of the medians: seconds of labelling, tokenizing included, and peak resident
memory of a process of its own. Both sides compute in single precision; `transformers` gets reports in batches of the
same number.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
# Token ids of a batch of ours, of which every report takes its words and two more.
MOST_IDS = 2048


def theirs(folder, reports, words, batch):
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    torch.manual_seed(0)
    tokenizer = BertTokenizerFast(str(folder / "vocab.txt"))
    encoder = BertModel(BertConfig(), add_pooling_layer=False).eval()
    heads = torch.nn.ModuleList([torch.nn.Linear(768, 4) for _ in range(13)] + [torch.nn.Linear(768, 2)])
    generator = torch.Generator().manual_seed(7)
    numbers = torch.randint(20_000, (reports, words), generator=generator).tolist()
    texts = [" ".join(f"word{number}" for number in row) for row in numbers]

    @torch.inference_mode()
    def label(texts):
        for at in range(0, len(texts), batch):
            inputs = tokenizer(texts[at:at + batch], padding=True, return_tensors="pt")
            states = encoder(**inputs).last_hidden_state[:, 0]
            [head(states).argmax(1) for head in heads]

    label(texts[:8])
    began = time.perf_counter()
    label(texts)
    return time.perf_counter() - began


def peak_mib():
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024


def measured(command, environment):
    """Seconds and MiB that a process prints."""
    said = subprocess.run(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True).stdout
    seconds = re.search(r"reports of \d+ words: ([0-9.]+) s", said)
    return float(seconds[1]), float(re.search(r"peak memory (\d+) MiB", said)[1])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--reports", type=int, default=1000)
    parser.add_argument("--words", type=int, default=60)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--theirs", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    batch = max(1, MOST_IDS // (arguments.words + 2))
    if arguments.theirs:
        seconds = theirs(arguments.theirs, arguments.reports, arguments.words, batch)
        print(f"{arguments.reports} reports of {arguments.words} words: {seconds:.2f} s\npeak memory {peak_mib():.0f} MiB")
        return
    program = ["cargo", "run", "--release", "--quiet", "--locked", "-p", "ithn-chexbert", "--example", "speed", "--"]
    threads = str(arguments.threads)
    environment = dict(os.environ, RAYON_NUM_THREADS=threads, OMP_NUM_THREADS=threads)
    with tempfile.TemporaryDirectory() as folder:
        sizes = [str(arguments.reports), str(arguments.words)]
        subprocess.run([*program, "1", "1", folder], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        sides = {"ours": [*program, *sizes, folder],
                 "transformers": [sys.executable, __file__, "--theirs", folder, "--reports", sizes[0], "--words", sizes[1]]}
        found = {name: [] for name in sides}
        for _ in range(arguments.pairs):
            for name, command in sides.items():
                seconds, mib = measured(command, environment)
                found[name].append((seconds, mib))
                print(f"{name}: {seconds:.2f} s, {mib:.0f} MiB", flush=True)
    for at, what in enumerate(["time", "peak memory"]):
        ours, other = (statistics.median(row[at] for row in found[name]) for name in ("ours", "transformers"))
        print(f"{what}: {ours / other:.3f} of transformers'")


if __name__ == "__main__":
    main()
