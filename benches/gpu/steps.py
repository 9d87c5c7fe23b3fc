"""The steps, most valuable first: name, seconds at most, and what it does."""

import json
import shutil


def rows(lines):
    """Workloads' lines by name: median, first run and peak."""
    found = {}
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and "ms" in row:
            times = sorted(row["ms"])
            found[row["name"]] = {"ms": times[len(times) // 2], "least_ms": times[0], "most_ms": times[-1],
                                  "first_ms": row["first_ms"], "mb": row["mb"]}
    return found


def outcome(code, done, asked):
    if done == asked:
        return "ok"
    return f"{done} of {asked}" + (", stopped" if code is None else f", exit code {code}")


def parity(run, seconds):
    fixtures = run.programs.parent / "fixtures"
    classes = ["--tf32"] if run.on_cuda else []
    lines, code, _ = run.program("ithn", "parity", "--fixtures", fixtures, *classes, log="parity", seconds=seconds)
    failing = [line for line in lines if line.startswith("FAIL")]
    counts = next((line for line in reversed(lines) if " passed, " in line), None)
    return {"outcome": "ok" if counts else outcome(code, 0, 1), "counts": counts, "failing": failing}


def small(name, batch=1):
    """A workload at the size of a trial."""
    sizes = {"memory_98": ",length=4", "backbone_forward": ",side=64", "backbone_backward": ",side=64"}
    return f"{name}:batch={batch}" + sizes.get(name, ",length=4,side=64")


def pairs(run, seconds, log, names, variants, precision, repeats=7):
    """The same workloads on both sides; `variants` by workload."""
    sizes = {name.partition(":")[0]: name for name in names}
    if run.dry:
        sizes = {name: small(name) for name in sizes}
        repeats = 1
    ours_precision = "bf16" if precision == "bf16" else "f32"
    lines, code, _ = run.program("workload", *sizes.values(), "--repeats", repeats, "--device", run.device,
                                 "--precision", ours_precision, log=f"{log}-ours", seconds=seconds * 0.65)
    ours = rows(lines)
    asked = [f"{sizes[name]}/{variant}" for name in sizes for variant in variants[name]]
    lines, torch_code, _ = run.torch(*asked, "--repeats", repeats, "--precision", precision, log=f"{log}-torch",
                                     seconds=seconds * 0.5)
    torch = rows(lines)
    table = []
    for name in sizes:
        for variant in variants[name]:
            mine, theirs = ours.get(sizes[name]), torch.get(f"{sizes[name]}/{variant}")
            table.append({"workload": sizes[name], "variant": variant, "ours": mine, "torch": theirs,
                          "ratio": mine["ms"] / theirs["ms"] if mine and theirs else None})
    done = len(ours) + len(torch)
    return {"outcome": outcome(code if code != 0 else torch_code, done, len(sizes) + len(asked)), "table": table,
            "precision": precision}


BOTH = ["released", "tuned"]


def single(run, seconds):
    names = ["train_step:batch=16", "beam_3:batch=16"]
    return pairs(run, seconds, "single", names, {"train_step": BOTH, "beam_3": BOTH}, "tf32")


def bf16(run, seconds):
    if not run.on_cuda:
        return {"outcome": "ok", "note": "WebGPU has no bfloat16; its laws are tested on the processor"}
    return pairs(run, seconds, "bf16", ["train_step:batch=16"], {"train_step": BOTH}, "bf16")


def parts(run, seconds):
    names = ["memory_98", "backbone_forward:batch=16", "backbone_backward:batch=16", "beam_3"]
    variants = {"memory_98": BOTH, "backbone_forward": ["released"], "backbone_backward": ["released"], "beam_3": ["tuned"]}
    return pairs(run, seconds, "parts", names, variants, "tf32")


def kernels(run, seconds):
    """Where the device's time in a training step goes, by CubeCL's own profile, which waits for every kernel.

    The step has run before, so that its kernels are compiled and kept.
    """
    folder = run.out / "profile"
    log = folder / "profile.log"
    run.configure(folder, "[profiling.logger]", 'level = "medium"', f"file = {json.dumps(str(log))}", "append = false")
    name = small("train_step") if run.dry else "train_step:batch=16"
    lines, code, _ = run.program("workload", name, "--repeats", 1, "--device", run.device, log="kernels",
                                 seconds=seconds, folder=folder)
    table = last_profile(log.read_text(errors="replace").splitlines()) if log.exists() else []
    return {"outcome": "ok" if table else outcome(code, 0, 1), "table": table}


UNITS = {"s": 1e3, "ms": 1.0, "µs": 1e-3, "ns": 1e-6}


def milliseconds(text):
    number = text.rstrip("smµn")
    return float(number) * UNITS[text[len(number):]]


def last_profile(lines):
    """Rows of the last summary in a log: kernel, milliseconds and launches, those that took longest first."""
    table = []
    for line in lines:
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        if cells[0] == "Name":
            table = []
        elif len(cells) == 4 and cells[2].isdigit():
            table.append({"kernel": cells[0], "ms": milliseconds(cells[1]), "launches": int(cells[2])})
    return table


def losses(folder):
    return [json.loads(line) for line in (folder / "epochs.jsonl").read_text().splitlines()]


def phantom(run, seconds):
    """The default run of the example, stopped after two epochs and resumed."""
    folder = run.out / "phantom"
    shutil.rmtree(folder, ignore_errors=True)
    options = ["--device", run.device, "--seed", "1", "--out", folder]
    limit = ["--limit", "24"] if run.dry else []
    epochs = 2 if run.dry else 5
    _, first, _ = run.program("ithn", "train", "--epochs", epochs, *limit, *options, log="phantom-1", seconds=seconds)
    if first != 0:
        return {"outcome": outcome(first, 0, 1)}
    done = losses(folder)
    metrics = json.loads((folder / "metrics.json").read_text())
    return {"outcome": "ok", "epochs": [epoch["seconds"] for epoch in done],
            "studies_per_second": [epoch["studies_per_second"] for epoch in done],
            "test": {name: metrics["test"][name] for name in ("bleu_4", "findings_f1_micro")}}


def resumed(run, seconds):
    """Two epochs, then one more by --resume: the losses go on."""
    folder = run.out / "resumed"
    shutil.rmtree(folder, ignore_errors=True)
    options = ["--limit", "24" if run.dry else "96", "--device", run.device, "--out", folder]
    _, first, _ = run.program("ithn", "train", "--epochs", 2, "--seed", "1", *options, log="resumed-1", seconds=seconds / 2)
    _, second, _ = run.program("ithn", "train", "--resume", "--epochs", 3, *options, log="resumed-2", seconds=seconds / 2)
    epochs = losses(folder) if (folder / "epochs.jsonl").exists() else []
    return {"outcome": "ok" if first == second == 0 and len(epochs) == 3 else outcome(second, len(epochs), 3),
            "losses": [epoch["losses"]["total"] for epoch in epochs]}


def batches(run, seconds):
    """Step time and memory against the batch; each is a process of its own, up to the first that fails."""
    table = []
    sizes = [1, 2] if run.dry else [16, 32, 64, 128, 256]
    for size in sizes:
        name = small("train_step", size) if run.dry else f"train_step:batch={size}"
        lines, code, peak = run.program("workload", name, "--repeats", 3, "--device", run.device,
                                        log=f"batch-{size}", seconds=seconds / 2, watch=True)
        row = rows(lines).get(name)
        if not row:
            table.append({"batch": size, "failed": "stopped" if code is None else f"exit code {code}",
                          "message": lines[-1][:300] if lines else ""})
            break
        table.append({"batch": size, "ms": row["ms"], "first_ms": row["first_ms"], "device_mb": peak})
        if run.left() < seconds / 3:
            break
    return {"outcome": "ok" if any("ms" in row for row in table) else "failed", "table": table}


def loader(run, seconds):
    """A run at the published size on drawn films: studies a second beside those of the bare step."""
    folder = run.out / "loader"
    shutil.rmtree(folder, ignore_errors=True)
    size = ["--limit", "24"] if run.dry else ["--preset", "mimic-cxr", "--limit", "320"]
    _, code, peak = run.program("ithn", "train", *size, "--epochs", 2, "--device", run.device, "--seed", "1", "--out", folder,
                                log="loader", seconds=seconds, watch=True)
    if not (folder / "epochs.jsonl").exists():
        return {"outcome": outcome(code, 0, 1)}
    return {"outcome": "ok", "studies_per_second": [epoch["studies_per_second"] for epoch in losses(folder)],
            "device_mb": peak}


def products(run, seconds):
    """Kernels of matrix products, the fastest first for each shape of a training step."""
    name = "cuda" if run.on_cuda else "wgpu"
    lines, code, _ = run.program("products", name, 1 if run.dry else 20, log="products", seconds=seconds)
    found = []
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and "ms" in row:
            found.append(row)
    table = sorted(found, key=lambda row: (row["rows"], row["inner"], row["columns"], row["ms"]))
    return {"outcome": "ok" if table else outcome(code, 0, 1), "table": table}


def compiled(run, seconds):
    if not run.on_cuda:
        return {"outcome": "ok", "table": [], "note": "torch.compile is timed on CUDA alone"}
    name = "train_step:batch=16/compiled"
    lines, code, _ = run.torch(name, "--repeats", 7, "--precision", "tf32", log="compiled", seconds=seconds)
    found = rows(lines)
    return {"outcome": outcome(code, len(found), 1), "table": [{"workload": name, "torch": found.get(name)}]}


def films(run, seconds):
    """Training at the published size on real films, if they are given."""
    if not run.images:
        return {"outcome": "ok", "note": "no films were given"}
    folder = run.out / "films"
    lines, code, peak = run.program("ithn", "train", "--preset", "iu-xray", "--annotation", run.images / "annotation.json",
                                    "--images", run.images / "images", "--device", run.device, "--out", folder,
                                    log="films", seconds=seconds, watch=True)
    epochs = losses(folder) if (folder / "epochs.jsonl").exists() else []
    return {"outcome": "ok" if epochs else outcome(code, 0, 1), "device_mb": peak,
            "studies_per_second": [epoch["studies_per_second"] for epoch in epochs],
            "validation": [epoch.get("validation") for epoch in epochs]}


STEPS = {
    "parity": (75, parity),
    "single": (200, single),
    "bf16": (75, bf16),
    "phantom": (120, phantom),
    "parts": (75, parts),
    "kernels": (60, kernels),
    "resumed": (60, resumed),
    "batches": (90, batches),
    "loader": (75, loader),
    "products": (45, products),
    "compiled": (90, compiled),
    "films": (240, films),
}
