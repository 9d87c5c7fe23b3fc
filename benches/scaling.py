#!/usr/bin/env python3
"""Throughput of 2 ranks x 1 thread against 1 rank x 2 threads, in paired runs, and what to expect elsewhere.

    python3 benches/scaling.py                 phantom preset, batch 16 a rank
    python3 benches/scaling.py --full          full size (60 M weights, 224 x 224), accumulate 4 a rank
    python3 benches/scaling.py --model --batch-seconds 0.25 --batch-size 16 --bandwidth 10 --bus 12
                                               computed: studies per second on up to 4 machines of 8 GPUs

Both sides take the same steps (the law of docs/scaling.md), in turn, several times. Needs two idle cores, cargo, mpirun and
the standard library. Prints Markdown; a ratio is ranks over threads, so 1 is as fast.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MPIRUN = ["mpirun", "--allow-run-as-root", "--oversubscribe"]
SPENT = re.compile(r"rank 0 spent ([0-9.]+) s of ([0-9.]+) s exchanging")


def built(*target):
    """Path of the program that cargo builds for a target."""
    command = ["cargo", "build", "--release", "--locked", "--features", "mpi", *target, "--message-format=json"]
    lines = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    programs = [message.get("executable") for message in map(json.loads, lines)]
    return [program for program in programs if program][-1]


def train(program, ranks, accumulate, options, studies, folder):
    """One training: studies per second of its epochs after the first, and rank 0's share of time with others."""
    out = Path(folder) / f"run-{ranks}"
    shutil.rmtree(out, ignore_errors=True)
    launcher = MPIRUN + ["--bind-to", "none", "-n", str(ranks)] if ranks > 1 else []
    environment = dict(os.environ, RAYON_NUM_THREADS=str(2 // ranks))
    command = [*launcher, program, *studies, "--accumulate", str(accumulate), "--out", str(out), *options]
    run = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if run.returncode != 0:
        sys.exit(run.stdout)
    epochs = [json.loads(line) for line in (out / "epochs.jsonl").read_text().splitlines()]
    spent = [tuple(map(float, found)) for found in SPENT.findall(run.stdout)]
    share = sum(own for own, _ in spent[1:]) / max(sum(all_ for _, all_ in spent[1:]), 1e-9)
    return statistics.mean(epoch["studies_per_second"] for epoch in epochs[1:]), share


def compare(arguments):
    program = built("--example", "train_mimic")
    exchange = built("-p", "ithn-benches", "--bench", "exchange")
    with tempfile.TemporaryDirectory() as folder:
        if arguments.full:
            # Full size on phantom films: as large a model and images as MIMIC-CXR's preset, few studies.
            options = ["--preset", "mimic-cxr", "--epochs", "2", "--batch-size", "2", "--limit", "48"]
            accumulate = 4
        else:
            options = ["--preset", "phantom", "--epochs", "3", "--batch-size", "16", "--limit", "480"]
            accumulate = 1
        # Draws the studies and warms the page cache.
        train(program, 1, 2 * accumulate, options, [], folder)
        studies = ["--data", "runs/phantom-studies"]
        rows = []
        for turn in range(arguments.turns):
            sides = [(2, accumulate), (1, 2 * accumulate)]
            for ranks, own in sides if turn % 2 == 0 else reversed(sides):
                rate, share = train(program, ranks, own, options, studies, folder)
                rows.append((turn, ranks, rate, share))
                print(f"turn {turn}: {ranks} ranks: {rate:.2f} studies/s", file=sys.stderr)
    ratios = []
    print("| turn | 2 ranks × 1 thread, studies/s | 1 rank × 2 threads, studies/s | ratio | exchanging and waiting |")
    print("|---|---|---|---|---|")
    for turn in range(arguments.turns):
        own = {ranks: (rate, share) for number, ranks, rate, share in rows if number == turn}
        ratios.append(own[2][0] / own[1][0])
        print(f"| {turn + 1} | {own[2][0]:.2f} | {own[1][0]:.2f} | {ratios[-1]:.3f} | {own[2][1]:.1%} |")
    print(f"\nmedian ratio {statistics.median(ratios):.3f}; load average {os.getloadavg()[0]:.1f}")
    added = subprocess.run([*MPIRUN, "-n", "2", exchange], check=True, stdout=subprocess.PIPE, text=True).stdout
    found = json.loads(added)
    print(f"{found['weights'] / 1e6:.0f} M gradients added at 2 ranks in {found['seconds']:.3f} s "
          f"({found['gigabytes_per_second']:.2f} GB/s a rank)")


def model(arguments):
    """step(N) = k · batch + 8 · weights · (N − 1)/N / bandwidth + 8 · weights / bus"""
    copies = 8 * arguments.weights / (arguments.bus * 1e9) if arguments.bus else 0.0
    one = arguments.batch_size / arguments.batch_seconds
    print(f"Computed from {arguments.batch_seconds} s a batch of {arguments.batch_size}, {arguments.bandwidth} GB/s a rank within a "
          f"machine, {arguments.network} GB/s a machine between them, {arguments.weights / 1e6:.0f} M weights; nothing overlapped.\n")
    print("| GPUs | machines | accumulate | step, s | exchanging | studies/s | of linear |")
    print("|---|---|---|---|---|---|---|")
    for ranks, machines in [(1, 1), (2, 1), (4, 1), (8, 1), (16, 2), (32, 4)]:
        for accumulate in arguments.accumulate:
            per_machine = ranks // machines
            moved = 8 * arguments.weights * (ranks - 1) / ranks
            # Between machines all ranks of one share its link; the part that stays inside does not cross it.
            crossing = moved * (ranks - per_machine) / max(ranks - 1, 1) * per_machine
            exchange = max(moved / (arguments.bandwidth * 1e9), crossing / (arguments.network * 1e9))
            exchange = exchange + copies if ranks > 1 else 0.0
            step = accumulate * arguments.batch_seconds + exchange
            rate = ranks * accumulate * arguments.batch_size / step
            print(f"| {ranks} | {machines} | {accumulate} | {step:.3f} | {exchange / step:.0%} | {rate:.1f} | {rate / one / ranks:.2f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="full size instead of the phantom preset")
    parser.add_argument("--turns", type=int, default=4, help="paired runs")
    parser.add_argument("--model", action="store_true", help="compute instead of measuring")
    parser.add_argument("--batch-seconds", type=float, default=0.25, help="measured time of a batch on one device")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--bandwidth", type=float, default=10.0, help="measured GB/s a rank within a machine")
    parser.add_argument("--network", type=float, default=12.5, help="GB/s a machine to others; 12.5 is 100 Gb/s")
    parser.add_argument("--bus", type=float, default=12.0, help="GB/s between GPU and host; 0 on a CPU")
    parser.add_argument("--weights", type=float, default=60e6)
    parser.add_argument("--accumulate", type=int, nargs="+", default=[1, 4])
    arguments = parser.parse_args()
    model(arguments) if arguments.model else compare(arguments)


if __name__ == "__main__":
    main()
