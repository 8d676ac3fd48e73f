"""Builds `cordboard.media._engine` with cffi in API mode: `setup.py` names this file in `cffi_modules`.

The declarations that Python sees are those of `engine/engine.h`, which is the contract; the extension uses the limited
API, so one wheel serves every Python from 3.11 on.
"""

# mypy: disable-error-code="import-untyped"

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from cffi import FFI

ENGINE = Path(__file__).resolve().parent / "engine"
SOURCES = (
    "board",
    "engine",
    "jack",
    "send",
    "clip",
    "mix",
    "record",
    "rtcp",
    "srtp",
    "dtmf",
    "jitter",
    "resample",
    "g711",
    "g722",
    "opus",
)

# For the tests, which measure the parts by themselves: opaque structures of the size that C knows.
_PARTS = """
enum codec { NO_CODEC, PCMU, PCMA, G722, OPUS, TELEPHONE_EVENT, COMFORT_NOISE };
struct encoder { ...; };
struct decoder { ...; };
struct resampler { ...; };
bool encoder_open(struct encoder *e, enum codec codec);
void encoder_close(struct encoder *e);
size_t encode(struct encoder *e, const int16_t *pcm, size_t samples, uint8_t *out, size_t room);
bool decoder_open(struct decoder *d, enum codec codec);
void decoder_close(struct decoder *d);
size_t decode(struct decoder *d, const uint8_t *payload, size_t size, int16_t *pcm);
void g711_prepare(void);
void resample_prepare(void);
bool resampler_open(struct resampler *r, int from, int to);
size_t resample(struct resampler *r, const int16_t *in, size_t count, int16_t *out);
"""


def declarations() -> str:
    """`engine.h` without comments and preprocessor lines, as cffi's parser wants it."""
    header = (ENGINE / "engine.h").read_text(encoding="utf-8")
    header = re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL)
    return _PARTS + "\n".join(line for line in header.splitlines() if not line.startswith("#"))


def _relative(path: Path) -> str:
    """setuptools wants paths below the folder that it is run in."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def builder() -> FFI:
    ffi = FFI()
    ffi.cdef(declarations())
    ffi.set_source(
        "cordboard.media._engine",
        '#include <stdbool.h>\n#include "codec.h"\n#include "engine.h"\n#include "resample.h"\n',
        sources=[_relative(ENGINE / f"{name}.c") for name in SOURCES],
        include_dirs=[str(ENGINE)],
        define_macros=[("_GNU_SOURCE", None)],
        extra_compile_args=["-std=c11", "-O3", "-fvisibility=hidden", "-Wall", "-Wextra", "-Wno-unused-parameter"],
        libraries=["m", "dl", "pthread"],
        depends=[_relative(path) for path in sorted(ENGINE.glob("*.h"))],
        py_limited_api=True,
    )
    return ffi


def build_in_place() -> Path:
    """For work on the engine: compile beside this file, without installing anything."""
    with TemporaryDirectory() as folder:
        os.chdir(folder)
        made = Path(builder().compile(tmpdir=folder))
        target = ENGINE.parent / made.name
        staged = target.with_suffix(".new")
        shutil.copyfile(made, staged)
        staged.replace(target)  # a program that runs keeps the old file
    return target


if __name__ == "__main__":
    print(build_in_place())
else:
    ffibuilder = builder()
