"""Builds the programs for a GPU and packs them with all that `run.py` needs.

The folder travels to a machine with an NVIDIA driver, Python and PyTorch; no Rust, network or CUDA toolkit is needed
there. The build downloads no LLVM: kernels are compiled by NVRTC, and a library of stubs stands for LLVM's symbols,
which that path never calls.
"""

import argparse
import json
import lzma
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
TARGET = ROOT / "target-cuda"
PROGRAMS = ("ithn", "workload", "products")
MOST_MB = 60
# The headers under crt/, which PyTorch's wheels lack: of the CUDA version that PyTorch's newest wheels are built for.
HEADERS = "nvidia-cuda-crt==13.*"


def build(target, features):
    """Builds the programs and returns their paths."""
    environment = dict(os.environ, DOCS_RS="1", CARGO_INCREMENTAL="0",
                       RUSTFLAGS="-C link-arg=-Wl,--unresolved-symbols=ignore-all")
    packages = ("ithn-cli", "ithn-benches")
    chosen = [f"{package}/{feature}" for package in packages for feature in features.split(",")]
    chosen.append("ithn-benches/products")
    command = ["cargo", "build", "--release", "--locked", "-p", packages[0], "-p", packages[1], "--features", ",".join(chosen),
               "--bin", "ithn", "--bench", "workload", "--bench", "products", "--target-dir", str(target),
               "--message-format", "json-render-diagnostics"]
    answer = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=True, text=True)
    messages = (json.loads(line) for line in answer.stdout.splitlines())
    built = {message["target"]["name"]: message["executable"] for message in messages if message.get("executable")}
    return {name: Path(built[name]) for name in PROGRAMS}


def stubs(programs, folder):
    """A library with a function that traps for every LLVM symbol which the programs leave undefined."""
    names = set()
    for program in programs:
        listing = subprocess.run(["nm", "-D", "--undefined-only", program], stdout=subprocess.PIPE, check=True, text=True)
        symbols = (line.split()[-1].split("@")[0] for line in listing.stdout.splitlines())
        names |= {name for name in symbols if name.startswith(("LLVM", "cubecl_"))}
    source = folder / "stubs.c"
    source.write_text("".join(f"void {name}(void) {{ __builtin_trap(); }}\n" for name in sorted(names)))
    subprocess.run(["cc", "-shared", "-fPIC", "-w", "-o", folder / "stubs.so", source], check=True)
    source.unlink()


def pack(folder, target, features):
    shutil.rmtree(folder, ignore_errors=True)
    programs = folder / "programs"
    programs.mkdir(parents=True)
    built = build(target, features)
    stubs(built.values(), programs)
    for name, path in built.items():
        subprocess.run(["strip", "-o", programs / name, path], check=True)
    # A dictionary that spans all programs, since they share most of their code.
    filters = [{"id": lzma.FILTER_X86}, {"id": lzma.FILTER_LZMA2, "preset": 3, "dict_size": 256 << 20}]
    with lzma.open(folder / "programs.tar.xz", "w", filters=filters) as file, tarfile.open(fileobj=file, mode="w") as archive:
        for path in sorted(programs.iterdir()):
            archive.add(path, path.name)
    shutil.rmtree(programs)
    shutil.copytree(ROOT / "benches" / "pytorch", folder / "pytorch", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "tests" / "fixtures", folder / "fixtures", ignore=shutil.ignore_patterns("old_files"))
    for path in ("run.py", "machine.py", "steps.py", "report.py"):
        shutil.copy(ROOT / "benches" / "gpu" / path, folder)
    subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, HEADERS], check=True)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20
    print(f"{folder}: {size:.1f} MiB")
    if size > MOST_MB:
        raise SystemExit(f"more than {MOST_MB} MiB")


def main():
    parser = argparse.ArgumentParser(prog=".ci/gpu pack")
    parser.add_argument("folder", type=Path, nargs="?", default=ROOT / "gpu-pack")
    parser.add_argument("--target-dir", type=Path, default=TARGET)
    parser.add_argument("--tuned", action="store_true", help="time kernels before their first use, for minutes")
    arguments = parser.parse_args()
    features = ("cuda-nvrtc,wgpu" if arguments.tuned else "cuda-nvrtc-untuned,wgpu-untuned") + ",kernel-cache"
    pack(arguments.folder.resolve(), arguments.target_dir.resolve(), features)


if __name__ == "__main__":
    main()
