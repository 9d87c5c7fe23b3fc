"""Runs every workload on both sides in turn and prints ratios and peak memory.

Each measurement is a process of its own, so that its peak memory is its own. The table replaces the
one between the markers in docs/performance.md.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PAGE = ROOT / "docs" / "performance.md"
MARKERS = "<!-- {0}: begin -->", "<!-- {0}: end -->"

# How cost grows, our side alone: workload, size and its values.
SCALING = [
    ("train_step", "batch", [1, 2, 4]),
    ("train_step", "length", [30, 60, 120]),
    ("memory_60", "rows", [512, 2048, 8192]),
    ("memory_60", "batch", [4, 16, 64]),
    ("backbone_backward", "side", [112, 224, 448]),
    ("beam_3", "length", [30, 60, 120]),
    ("mining", "studies", [1000, 4000, 16000]),
]

# Turns of each side: what else the machine does changes within minutes, and should meet both.
ROUNDS = 4

# Name, repeats a process, and (variant, bar on time, bar on peak memory) of the PyTorch side.
WORKLOADS = [
    ("memory_60", 2, [("released", 0.08, 0.10), ("tuned", None, None)]),
    ("memory_98", 2, [("released", 0.08, 0.10), ("tuned", None, None)]),
    ("beam_3", 2, [("released", 0.05, None), ("tuned", 0.8, None)]),
    ("train_step", 3, [("released", 0.6, None), ("tuned", 1.0, None)]),
    ("backbone_forward", 5, [("released", 1.0, None)]),
    ("backbone_backward", 3, [("released", 1.0, None)]),
    ("images_gray", 2, [("released", 0.5, None)]),
    ("images_rgb", 2, [("released", 0.5, None)]),
    ("metrics", 2, [("released", 0.05, None)]),
]


# Workloads that no device takes part in.
HOST = {"images_gray", "images_rgb", "metrics"}


def build(features):
    """Builds our side and returns its path: builds with other features lie beside it."""
    command = ["cargo", "build", "--release", "--locked", "-p", "ithn-benches", "--bench", "workload", "--features", features,
               "--message-format", "json-render-diagnostics"]
    messages = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True).stdout.splitlines()
    paths = (json.loads(message).get("executable") for message in messages)
    return next(path for path in paths if path)


def measure(command, threads):
    environment = dict(os.environ, RAYON_NUM_THREADS=str(threads), OMP_NUM_THREADS=str(threads))
    answer = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(answer.stdout.splitlines()[-1])


def ours(binary, name, repeats, threads, inputs, device="cpu"):
    command = [binary, name, "--repeats", str(repeats), "--inputs", str(inputs), "--device", device]
    return measure(command, 1 if name.startswith(("images", "metrics")) else threads)


def torchs(name, variant, repeats, threads, inputs, device):
    command = [sys.executable, str(HERE / "workloads.py"), name, "--variant", variant,
               "--repeats", str(repeats), "--threads", str(threads), "--inputs", str(inputs), "--device", device]
    return measure(command, threads)


def compare(binary, chosen, quick, threads, inputs, device):
    rows = {}
    for name, repeats, variants in WORKLOADS:
        if chosen and name not in chosen or device != "cpu" and name in HOST:
            continue
        rounds, repeats = (1, 1) if quick else (ROUNDS, repeats)
        sides = {"ours": [], **{variant: [] for variant, _, _ in variants}}
        for _ in range(rounds):
            sides["ours"].append(ours(binary, name, repeats, threads, inputs, device))
            for variant, _, _ in variants:
                slow = quick or (variant == "released" and name == "beam_3")
                times = 1 if slow else repeats
                sides[variant].append(torchs(name, variant, times, threads, inputs, device))
        time = {side: statistics.median(ms for run in runs for ms in run["ms"]) for side, runs in sides.items()}
        peak = {side: max(run["mb"] for run in runs) for side, runs in sides.items()}
        for variant, bar, memory_bar in variants:
            row = {
                "ours_ms": time["ours"], "torch_ms": time[variant], "ratio": time["ours"] / time[variant],
                "ours_mb": peak["ours"], "torch_mb": peak[variant],
            }
            if device != "cpu":
                row |= {"ours_first_ms": sides["ours"][0]["first_ms"], "torch_first_ms": sides[variant][0]["first_ms"]}
            rows[f"{name}/{variant}"] = row
            print(line(f"{name}/{variant}", row, bar, memory_bar), flush=True)
    return rows


def line(name, row, bar, memory_bar):
    if "ours_first_ms" in row:
        return (f"| {name} | {row['ours_ms']:.1f} | {row['torch_ms']:.1f} | {row['ratio']:.3f} "
                f"| {row['ours_first_ms']:.0f} | {row['torch_first_ms']:.0f} |")
    return (f"| {name} | {row['ours_ms']:.1f} | {row['torch_ms']:.1f} | {row['ratio']:.3f} | {bar or '–'} "
            f"| {row['ours_mb']:.0f} | {row['torch_mb']:.0f} | {row['ours_mb'] / row['torch_mb']:.2f} "
            f"| {memory_bar or '–'} |")


def machine(threads):
    import torch

    info = Path("/proc/cpuinfo").read_text()
    model = next((row.split(":")[1].strip() for row in info.splitlines() if row.startswith("model name")), "?")
    flags = next((row for row in info.splitlines() if row.startswith("flags")), "")
    vector = "AVX-512" if "avx512f" in flags else "AVX2" if "avx2" in flags else "no AVX2"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    load = os.getloadavg()[0]
    return (f"{model}, {os.cpu_count()} cores, {vector}, {memory:.0f} GiB, {platform.system()} "
            f"{platform.release()}; {threads} threads a side; PyTorch {torch.__version__}; "
            f"load average at the end {load:.1f}.")


def scaling(binary, threads, inputs):
    rows = ["| workload | size | ms | growth | MB |", "|---|---|---|---|---|"]
    for name, size, values in SCALING:
        before = None
        for value in values:
            run = ours(binary, f"{name}:{size}={value}", 2, threads, inputs)
            time = min(run["ms"])
            growth = "" if before is None else f"×{time / before:.2f}"
            before = time
            rows.append(f"| {name} | {size} {value} | {time:.0f} | {growth} | {run['mb']:.0f} |")
            print(rows[-1], flush=True)
    return "\n".join(rows)


def save(name, table):
    text = PAGE.read_text()
    begin, end = (marker.format(name) for marker in MARKERS)
    if begin not in text or end not in text:
        raise SystemExit(f"{PAGE} lacks the markers {begin} and {end}")
    before, after = text.split(begin)[0], text.split(end)[1]
    PAGE.write_text(f"{before}{begin}\n{table}\n{end}{after}")


def main():
    parser = argparse.ArgumentParser(prog="benches/pytorch/run.sh")
    parser.add_argument("--quick", action="store_true", help="one measurement each; the page is left alone")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--json", type=Path, help="also write the rows as JSON")
    parser.add_argument("--only", help="comma-separated names; the page is left alone")
    parser.add_argument("--features", default="", help="cargo features of our side, such as cuda for --device cuda:0")
    parser.add_argument("--device", default="cpu", help="cuda:N: the model's workloads on that GPU; the page is left alone")
    parser.add_argument("--scaling", action="store_true", help="how cost grows instead, our side alone")
    arguments = parser.parse_args()
    chosen = set(arguments.only.split(",")) if arguments.only else set()
    unknown = chosen - {name for name, _, _ in WORKLOADS}
    if unknown:
        parser.error(f"no workload {', '.join(sorted(unknown))}; there are "
                     f"{', '.join(name for name, _, _ in WORKLOADS)}")
    on_host = arguments.device == "cpu"
    if not on_host and chosen & HOST:
        parser.error(f"no device takes part in {', '.join(sorted(chosen & HOST))}")
    if arguments.scaling:
        if not on_host:
            parser.error("--scaling runs on the processor")
        table = scaling(build(arguments.features), arguments.threads, ".")
        save("scaling", f"{table}\n\n{machine(arguments.threads)}")
        return
    header = ("| workload / PyTorch side | ours, ms | PyTorch, ms | time ratio | bar | ours, MB | PyTorch, MB "
              "| memory ratio | bar |\n|---|---|---|---|---|---|---|---|---|")
    if not on_host:
        header = ("| workload / PyTorch side | ours, ms | PyTorch, ms | time ratio | our first run, ms | PyTorch's first run, ms |"
                  "\n|---|---|---|---|---|---|")
    binary = build(arguments.features)
    print(header)
    with tempfile.TemporaryDirectory() as inputs:
        subprocess.run([sys.executable, str(HERE / "inputs.py"), inputs], check=True)
        rows = compare(binary, chosen, arguments.quick, arguments.threads, inputs, arguments.device)
    description = machine(arguments.threads)
    print(f"\n{description}")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")
    if on_host and not arguments.quick and not chosen:
        bars = {f"{name}/{variant}": (bar, memory) for name, _, sides in WORKLOADS for variant, bar, memory in sides}
        lines = [line(name, row, *bars[name]) for name, row in rows.items()]
        save("table", "\n".join([header, *lines, "", description]))


if __name__ == "__main__":
    main()
