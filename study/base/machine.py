"""The machine that a program runs on."""

import os
import platform
import re
from pathlib import Path

INSTRUCTION_SETS = {"amx_tile": "AMX", "avx512f": "AVX-512", "avx2": "AVX2"}  # flags of Linux, the highest first


def description(info: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name, its highest instruction set for matrices, and the cores that this process may use."""
    text = info.read_text(encoding="utf-8") if info.is_file() else ""
    fields = dict(re.findall(r"^(model name|flags)\s*: (.*)$", text, re.MULTILINE))
    flags = fields.get("flags", "").split()
    highest = next((name for flag, name in INSTRUCTION_SETS.items() if flag in flags), None)
    processor = fields.get("model name", platform.machine()) + (f" with {highest}" if highest else "")
    return f"{processor}, {cores()} cores"


def cores() -> int:
    """The cores that this process may use, if the system tells; else all."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
