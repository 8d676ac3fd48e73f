"""The engine as a plain program: units under ASan and UBSan, switching under TSan, parsers under a fuzzer."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HOUR = 3600

pytestmark = pytest.mark.skipif(
    not (shutil.which("gcc") and shutil.which("make")), reason="gcc or make is not installed"
)
needs_clang = pytest.mark.skipif(not shutil.which("clang"), reason="clang is not installed")


def make(*words: str, timeout: float = 300) -> str:
    command = ["make", "-f", "media.mk", "VENV=.venv", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done.stdout


def test_units_and_switching_under_asan_and_ubsan() -> None:
    told = make("asan")
    assert "unit: all hold" in told
    assert "switching:" in told


def test_switching_under_tsan() -> None:
    assert "switching:" in make("tsan")


@needs_clang
def test_fuzz_targets_hold_for_a_moment() -> None:
    make("fuzz", "FUZZ_SECONDS=2")


@needs_clang
@pytest.mark.long
def test_fuzz_targets_hold_for_an_hour_in_total() -> None:
    seconds = int(os.environ.get("CORDBOARD_FUZZ_SECONDS", HOUR // 5))
    make("fuzz", f"FUZZ_SECONDS={seconds}", timeout=6 * seconds + 300)


@pytest.mark.long
def test_random_commands_and_packets_for_minutes() -> None:
    make("asan", "tsan", timeout=600)
    for sanitizer in ("asan", "tsan"):
        for seed in range(1, 7):
            program = ROOT / f"build/media/switching-{sanitizer}"
            subprocess.run([program, "20", str(seed)], check=True, timeout=120, capture_output=True)
