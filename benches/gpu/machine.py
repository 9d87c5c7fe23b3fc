"""Finds what the packed programs need on a machine with an NVIDIA driver: NVRTC and the CUDA headers."""

import importlib.util
import os
import subprocess
import zipfile
from pathlib import Path

HEADERS = ["cuda_fp16.h", "cuda_bf16.h", "mma.h", "crt/mma.h", "cooperative_groups.h"]


def wheel_folders():
    """Folders of PyTorch's own CUDA wheels, `nvidia/<part>` or `nvidia/cu13`."""
    found = importlib.util.find_spec("nvidia")
    for root in found.submodule_search_locations if found else []:
        yield from sorted(path for path in Path(root).iterdir() if path.is_dir())


def toolkits():
    """Installed toolkits, the one that CUDA_PATH names first."""
    named = os.environ.get("CUDA_PATH")
    candidates = ([Path(named)] if named else []) + [Path("/usr/local/cuda"), Path("/opt/cuda")]
    return [path for path in candidates if (path / "include").is_dir()]


def gather(folder, includes, libraries, carried):
    """Links headers and NVRTC into one folder that looks like a toolkit; false if something is missing.

    `carried` are wheels that the pack brought along: PyTorch's own lack the headers under crt/.
    """
    include, library = folder / "include", folder / "lib64"
    for path in (include, library):
        path.mkdir(parents=True, exist_ok=True)
    unpacked = folder / "carried"
    for wheel in carried:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(unpacked)
    carried_includes = sorted(path.parent for path in unpacked.glob("**/crt") if path.is_dir())
    for source in [*includes, *carried_includes]:
        for entry in sorted(source.iterdir()):
            target = include / entry.name
            if not target.exists():
                target.symlink_to(entry)
    for source in libraries:
        for entry in sorted(source.glob("libnvrtc*")):
            target = library / entry.name
            if not target.exists():
                target.symlink_to(entry)
    compilers = sorted(path for path in library.glob("libnvrtc.so*") if ".alt." not in path.name)
    barrier = any((include / name).exists() for name in ("cuda/barrier", "cccl/cuda/barrier"))
    if not compilers or not barrier or not all((include / name).exists() for name in HEADERS):
        return False
    plain = library / "libnvrtc.so"
    if not plain.exists():
        plain.symlink_to(compilers[-1].name)
    return True


def cuda_home(folder, source, carried):
    """A folder for CUDA_PATH and where it came from; `source`, toolkit or wheels, is tried first.

    Raises SystemExit if neither PyTorch's wheels nor a toolkit holds NVRTC and the headers.
    """
    wheels = list(wheel_folders())
    choices = {
        "toolkit": ([path / "include" for path in toolkits()],
                    [path / name for path in toolkits() for name in ("lib64", "lib")], []),
        "wheels": ([path / name for path in wheels for name in ("include", "cccl") if (path / name).is_dir()],
                   [path / "lib" for path in wheels if (path / "lib").is_dir()], carried),
    }
    order = sorted(choices, key=lambda name: name != source)
    for name in order:
        home = folder / f"cuda-{name}"
        if gather(home, *choices[name]):
            return home, name
    raise SystemExit("neither PyTorch's wheels (nvidia-cuda-nvrtc, nvidia-cuda-runtime) nor a CUDA toolkit was found; "
                     "set CUDA_PATH")


def environment(folder, device, home=None):
    """What the packed programs are started with.

    A software Vulkan device compiles by LLVM itself, whose symbols must come before the stubs.
    """
    listing = subprocess.run(["ldconfig", "-p"], stdout=subprocess.PIPE, text=True).stdout if device == "wgpu" else ""
    llvm = [line.split()[-1] for line in listing.splitlines() if "libLLVM" in line]
    found = dict(os.environ, LD_PRELOAD=":".join([*llvm[:1], str(folder / "stubs.so")]))
    if home:
        found["CUDA_PATH"] = str(home)
        found["LD_LIBRARY_PATH"] = f"{home / 'lib64'}:{os.environ.get('LD_LIBRARY_PATH', '')}"
    name = device.partition(":")[0]
    found["BURN_DEVICE"] = "flex" if name == "cpu" else name
    return found


def used_memory():
    """MiB in use on the first GPU, or None without nvidia-smi."""
    try:
        answer = subprocess.run(["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"],
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
        return float(answer.stdout.splitlines()[0])
    except (OSError, subprocess.CalledProcessError, ValueError, IndexError):
        return None


def describe():
    """The machine in words, and the versions that the figures depend on."""
    lines = {"cores": os.cpu_count()}
    try:
        answer = subprocess.run(["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"],
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
        lines["gpu"] = answer.stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        lines["gpu"] = None
    try:
        import torch

        lines |= {"torch": torch.__version__, "cuda": torch.version.cuda, "cuda_available": torch.cuda.is_available()}
    except ImportError:
        lines["torch"] = None
    return lines
