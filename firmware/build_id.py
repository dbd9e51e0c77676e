"""Names the sources that firmware is made from.

The build id is the first 16 bytes of a SHA-256 over every file that can change the firmware. The
build compiles it into `es_build_id`; the host compares it with the sources at hand to tell whether
a firmware is stale.

    python firmware/build_id.py ROOT                     prints it, 32 hex digits
    python firmware/build_id.py ROOT --output FILE.c     writes the C source, if it differs

`--only KERNEL,KERNEL` is for firmware that has only these kernels (only_kernels.py).
"""

import argparse
import hashlib
import zlib
from pathlib import Path

FOLDERS = ("cmsis_kernels", "firmware")
SUFFIXES = frozenset({".c", ".h", ".def", ".ld", ".json", ".cmake"})
BUILD_ID_BYTES = 16


def source_files(root: Path) -> list[str]:
    """The paths that count, relative to `root`, with slashes, sorted."""
    found = (
        path for folder in FOLDERS for path in (root / folder).rglob("*") if path.suffix in SUFFIXES
    )
    return sorted(["CMakeLists.txt", *(path.relative_to(root).as_posix() for path in found)])


def build_id(root: Path, only: str = "") -> bytes:
    """Digest of path, length and bytes of each file, in order, and of the kernels chosen."""
    digest = hashlib.sha256()
    for name in source_files(root):
        data = (root / name).read_bytes()
        digest.update(f"{name}\0{len(data)}\0".encode())
        digest.update(data)
    if only:
        digest.update(",".join(sorted(only.split(","))).encode())
    return digest.digest()[:BUILD_ID_BYTES]


def tables_crc(root: Path) -> int:
    """CRC-32 of all .def tables, in the order of their paths."""
    tables = [name for name in source_files(root) if name.endswith(".def")]
    return zlib.crc32(b"".join((root / name).read_bytes() for name in tables))


def c_source(root: Path, only: str) -> str:
    """A C file that defines `es_build_id` and `es_tables_crc`."""
    value = build_id(root, only)
    values = ", ".join(f"0x{byte:02x}" for byte in value)
    return (
        '#include "es_build_id.h"\n\n'
        f"const uint8_t es_build_id[{len(value)}] = {{{values}}};\n"
        f"const uint32_t es_tables_crc = 0x{tables_crc(root):08x}u;\n"
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", type=Path)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    if arguments.output is None:
        print(build_id(arguments.root, arguments.only).hex())
        return
    source = c_source(arguments.root, arguments.only)
    if not arguments.output.exists() or arguments.output.read_text() != source:
        arguments.output.write_text(source)


if __name__ == "__main__":
    main()
