#!/usr/bin/env python3
"""Makes a wheel of the Python package with the program inside.

    cargo build --release
    python python/build_wheel.py [--binary target/release/somata] [--out dist] [--strip]

A wheel is a zip file with a few text files in a known place (packaging.python.org, "Binary distribution format"), so
the standard library makes it: nothing is downloaded. The wheel fits every Python 3 of one platform, since the package
itself has no compiled module. On Linux the platform's name says which glibc the program asks for.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from pathlib import Path

try:
    import tomllib
except ModuleNotFoundError:
    sys.exit("error: build_wheel.py needs Python 3.11 or newer (the wheel itself runs on 3.10)")

HERE = Path(__file__).resolve().parent
# Zip's first possible date: the same input gives the same wheel, whenever it is made.
DATE = (1980, 1, 1, 0, 0, 0)


def platform_tag(binary: Path) -> str:
    """The wheel's name for the platform that `binary` runs on.

    Raises:
        SystemExit: when a Linux program is not linked against glibc, or against libraries that a wheel may not expect.
    """
    if sys.platform != "linux":
        # For example `macosx-11.0-arm64` or `win-amd64`.
        return re.sub(r"[-.]", "_", sysconfig.get_platform())
    data = binary.read_bytes()
    minors = [int(found) for found in re.findall(rb"GLIBC_2\.(\d+)", data)]
    if not minors:
        sys.exit(f"error: `{binary}` does not name a version of glibc, so it cannot be tagged for manylinux")
    libraries = set(re.findall(rb"\blib[\w+-]+\.so\.\d+\b", data))
    # PEP 600: what a manylinux wheel may take from the system. Vulkan is opened at run time where it is there.
    allowed = {b"libc", b"libm", b"libdl", b"librt", b"libpthread", b"libgcc_s", b"libvulkan", b"libutil"}
    if needed := needed_libraries(binary):
        libraries = {library for library in libraries if library in needed}
        foreign = {library for library in libraries if library.split(b".")[0] not in allowed}
        if foreign:
            names = ", ".join(sorted(library.decode() for library in foreign))
            sys.exit(f"error: `{binary}` needs {names}, which a wheel may not expect on the user's machine")
    return f"manylinux_2_{max(minors)}_{platform.machine()}"


def needed_libraries(binary: Path) -> set[bytes]:
    """Libraries that the loader must find; empty where `readelf` is not there to ask."""
    if shutil.which("readelf") is None:
        return set()
    listed = subprocess.run(["readelf", "-d", str(binary)], capture_output=True, check=True).stdout
    return set(re.findall(rb"\(NEEDED\).*\[(.+?)\]", listed))


def metadata(project: dict[str, object], readme: str) -> str:
    """The file METADATA for pyproject's table `project`."""
    lines = ["Metadata-Version: 2.4", f"Name: {project['name']}", f"Version: {project['version']}"]
    lines += [f"Summary: {project['description']}", f"Requires-Python: {project['requires-python']}"]
    lines += [f"License-Expression: {project['license']}", "License-File: LICENSE-MIT", "License-File: LICENSE-APACHE"]
    for classifier in _list(project["classifiers"]):
        lines.append(f"Classifier: {classifier}")
    for dependency in _list(project["dependencies"]):
        lines.append(f"Requires-Dist: {dependency}")
    extras = project["optional-dependencies"]
    assert isinstance(extras, dict)
    for extra, dependencies in extras.items():
        lines.append(f"Provides-Extra: {extra}")
        lines += [f'Requires-Dist: {dependency}; extra == "{extra}"' for dependency in dependencies]
    lines += ["Description-Content-Type: text/markdown", "", readme]
    return "\n".join(lines)


def read_project() -> tuple[dict[str, object], str]:
    """pyproject's table `project`, and what the files of a wheel of it are called: `NAME-VERSION`."""
    project = tomllib.loads((HERE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project, f"{str(project['name']).replace('-', '_')}-{project['version']}"


def _list(value: object) -> list[str]:
    assert isinstance(value, list)
    return [str(one) for one in value]


def build(binary: Path, out: Path, strip: bool) -> Path:
    """Writes the wheel and returns its path.

    Raises:
        SystemExit: when the program is missing, does not run, or is of another version than the package.
    """
    if not binary.is_file():
        sys.exit(f"error: there is no program at `{binary}`\n\nhint: run `cargo build --release`, or give `--binary`")
    project, name = read_project()
    version = subprocess.run([str(binary), "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]
    package_version = re.search(r'__version__ = "(.+)"', (HERE / "src/somata/__init__.py").read_text(encoding="utf-8"))
    told = {"pyproject.toml": project["version"], "__init__.py": package_version[1] if package_version else "nothing"}
    for place, other in told.items():
        if other != version:
            sys.exit(f"error: `{binary}` is version {version}, {place} says {other}\n\nhint: change {place}")
    tag = f"py3-none-{platform_tag(binary)}"
    out.mkdir(parents=True, exist_ok=True)
    wheel = out / f"{name}-{tag}.whl"
    with tempfile.TemporaryDirectory() as scratch:
        program = Path(scratch) / binary.name
        shutil.copy2(binary, program)
        if strip:
            subprocess.run(["strip", str(program)], check=True)
        files: dict[str, bytes] = {
            path.relative_to(HERE / "src").as_posix(): path.read_bytes()
            for path in sorted((HERE / "src/somata").rglob("*"))
            if path.is_file() and path.suffix in (".py", ".typed")
        }
        executable = f"somata/bin/{binary.name}"
        files[executable] = program.read_bytes()
    info = f"{name}.dist-info"
    readme = (HERE / "README.md").read_text(encoding="utf-8")
    files[f"{info}/METADATA"] = metadata(project, readme).encode()
    files[f"{info}/WHEEL"] = (
        f"Wheel-Version: 1.0\nGenerator: somata build_wheel.py\nRoot-Is-Purelib: false\nTag: {tag}\n".encode()
    )
    # Only a wheel has this command: an editable install would otherwise find itself on PATH.
    files[f"{info}/entry_points.txt"] = b"[console_scripts]\nsomata = somata._program:main\n"
    for licence in ("LICENSE-MIT", "LICENSE-APACHE"):
        files[f"{info}/licenses/{licence}"] = (HERE.parent / licence).read_bytes()
    record = "".join(f"{path},sha256={digest(data)},{len(data)}\n" for path, data in files.items())
    files[f"{info}/RECORD"] = (record + f"{info}/RECORD,,\n").encode()
    partial = wheel.with_suffix(".partial")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path, data in files.items():
            entry = zipfile.ZipInfo(path, DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (0o100755 if path == executable else 0o100644) << 16
            archive.writestr(entry, data)
    os.replace(partial, wheel)
    return wheel


def digest(data: bytes) -> str:
    """SHA-256 as RECORD has it: URL-safe base64 without padding."""
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def main() -> None:
    """Reads the command line and builds."""
    parser = argparse.ArgumentParser(description="Makes a wheel of the Python package with the program inside.")
    name = "somata.exe" if os.name == "nt" else "somata"
    parser.add_argument("--binary", type=Path, default=HERE.parent / "target/release" / name, help="the program")
    parser.add_argument("--out", type=Path, default=HERE.parent / "target/wheels", help="folder for the wheel")
    parser.add_argument("--strip", action="store_true", help="remove the program's symbols, for a smaller wheel")
    arguments = parser.parse_args()
    wheel = build(arguments.binary, arguments.out, arguments.strip)
    print(f"{wheel} ({wheel.stat().st_size / 1e6:.1f} MB)")


if __name__ == "__main__":
    main()
