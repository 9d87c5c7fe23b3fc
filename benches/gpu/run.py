"""Takes the figures of a GPU with the programs that `pack.py` packed, most valuable first.

    python3 run.py [--out FOLDER] [--device cuda:0] [--seconds N] [--only STEP,...] [--skip STEP,...] [--images FOLDER]

Every step is bounded in time and its result is written to results.json at once. At the end a table is printed, and
section.md holds the part of docs/performance.md.
"""

import argparse
import json
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import machine
import report
import steps

HERE = Path(__file__).resolve().parent


class Run:
    """Programs, their environment and the results so far."""

    def __init__(self, arguments):
        self.device, self.dry, self.images = arguments.device, arguments.dry, arguments.images
        self.on_cuda = self.device.startswith("cuda")
        self.out = arguments.out.resolve()
        self.out.mkdir(parents=True, exist_ok=True)
        self.programs = HERE / "programs"
        if not self.programs.is_dir():
            with tarfile.open(HERE / "programs.tar.xz") as archive:
                archive.extractall(self.programs, filter="data")
        home = None
        self.results = {"device": self.device, "dry": self.dry, "machine": machine.describe(), "steps": {}}
        if self.on_cuda:
            home, source = machine.cuda_home(self.out / "cuda", arguments.cuda, sorted(HERE.glob("*.whl")))
            self.results["machine"]["headers"] = source
        self.environment = machine.environment(self.programs, self.device, home)
        self.kernels = self.out / "kernels"
        self.configure(self.out)
        self.ends = time.monotonic() + arguments.seconds

    def left(self):
        return self.ends - time.monotonic()

    def configure(self, folder, *sections):
        """Makes programs that start in the folder keep compiled kernels for those that follow."""
        folder.mkdir(parents=True, exist_ok=True)
        kept = ["[compilation]", "cache = true", "[environment.path]", f"directory = {json.dumps(str(self.kernels))}"]
        (folder / "cubecl.toml").write_text("\n".join([*kept, *sections]) + "\n")

    def program(self, name, *arguments, log, seconds, watch=False, folder=None):
        """Runs one of our programs; -> (lines of standard output, exit code or None when stopped, peak MiB)."""
        return self.command([str(self.programs / name), *map(str, arguments)], log, seconds, watch, self.environment,
                            folder)

    def torch(self, *arguments, log, seconds, watch=False):
        """Runs the PyTorch workloads."""
        device = self.device if self.on_cuda else "cpu"
        command = [sys.executable, str(HERE / "pytorch" / "workloads.py"), *map(str, arguments), "--device", device]
        return self.command(command, log, seconds, watch, None)

    def command(self, command, log, seconds, watch, environment, folder=None):
        path = self.out / f"{log}.log"
        before = machine.used_memory() if watch else None
        peak = before
        with path.open("w") as file:
            process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=environment,
                                       cwd=folder or self.out)
            ends = time.monotonic() + min(seconds, self.left())
            while process.poll() is None and time.monotonic() < ends:
                time.sleep(0.2)
                if watch and (used := machine.used_memory()) is not None:
                    peak = max(peak or 0, used)
            if process.poll() is None:
                process.kill()
                process.wait()
                code = None
            else:
                code = process.returncode
        grown = None if peak is None or before is None else peak - before
        return path.read_text(errors="replace").splitlines(), code, grown

    def save(self):
        (self.out / "results.json").write_text(json.dumps(self.results, indent=1) + "\n")


def chosen(parser, text):
    names = [name for name in (text or "").split(",") if name]
    if unknown := [name for name in names if name not in steps.STEPS]:
        parser.error(f"no step {', '.join(unknown)}; there are {', '.join(steps.STEPS)}")
    return names


def main():
    parser = argparse.ArgumentParser(prog=".ci/gpu run")
    parser.add_argument("--out", type=Path, default=Path("gpu-results"))
    parser.add_argument("--device", default="cuda:0", help="cuda:0, wgpu or cpu")
    parser.add_argument("--seconds", type=float, default=470, help="for all steps together")
    parser.add_argument("--only", help="these steps, comma-separated")
    parser.add_argument("--skip", help="all but these steps")
    parser.add_argument("--cuda", default="toolkit", choices=["toolkit", "wheels"],
                        help="where NVRTC and headers are looked for first")
    parser.add_argument("--images", type=Path, help="R2Gen's annotation.json and images/: also trains on them")
    parser.add_argument("--dry", action="store_true", help="small sizes, to try every step without a GPU")
    arguments = parser.parse_args()
    only, skip = chosen(parser, arguments.only), chosen(parser, arguments.skip)
    run = Run(arguments)
    run.save()
    for name, (seconds, step) in steps.STEPS.items():
        if name in skip or only and name not in only:
            continue
        began = time.monotonic()
        if run.left() < 5:
            result = {"outcome": "not run: no time left"}
        else:
            try:
                result = step(run, seconds * (4 if run.dry else 1))
            except Exception as error:  # a step that fails must not cost those that follow
                result = {"outcome": f"failed: {type(error).__name__}: {error}"}
        result["seconds"] = round(time.monotonic() - began, 1)
        run.results["steps"][name] = result
        run.save()
        print(f"{name}: {result['outcome']} ({result['seconds']} s)", flush=True)
    section = report.section(run.results)
    (run.out / "section.md").write_text(section)
    print(f"\n{section}")
    bad = [name for name, result in run.results["steps"].items() if result["outcome"] != "ok"]
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
