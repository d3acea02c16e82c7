"""A source package that "compiles" in a second: it wraps the llama.cpp the tests already have.

Everything around the compiler is real that way: pip, the private environment, the self-test with a
real engine, the switch. What the real one needs ten minutes for is `make test-engines`.
"""

import io
import tarfile
from importlib.util import find_spec
from pathlib import Path
from textwrap import dedent

from stoker.engines.llamacpp_worker import WHEEL_VERSION

_BACKEND = """
    import os, pathlib, time, zipfile
    NAME = "xllamacpp-{version}"
    INFO = NAME.replace("-", "-", 1) + ".dist-info"
    WHEEL = "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
    META = "Metadata-Version: 2.1\\nName: xllamacpp\\nVersion: {version}\\n"

    def prepare_metadata_for_build_wheel(directory, config_settings=None):
        folder = pathlib.Path(directory) / INFO
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(META)
        return INFO

    def build_wheel(directory, config_settings=None, metadata_directory=None):
        for percent in (10, 55, 100):
            print(f"[{{percent:3}}%] Building CXX object x.o", flush=True)
            time.sleep(float("{pause}"))
        {sabotage}
        name = NAME + "-py3-none-any.whl"
        source = pathlib.Path({package!r})
        with zipfile.ZipFile(os.path.join(directory, name), "w") as wheel:
            for path in sorted(source.rglob("*")):
                if path.is_file() and path.suffix not in (".pyc", "{left_out}"):
                    wheel.write(path, "xllamacpp/" + str(path.relative_to(source)))
            wheel.writestr(INFO + "/METADATA", META)
            wheel.writestr(INFO + "/WHEEL", WHEEL)
            wheel.writestr(INFO + "/RECORD", "")
        return name
"""


def fake_sdist(folder: Path, *, sabotage: str = "", broken: bool = False, pause: float = 0) -> Path:
    """Write `xllamacpp-<version>.tar.gz`; the folder is to be pip's only source.

    `sabotage` is a statement run while it "compiles"; `broken`: what comes out lacks its library.
    """
    spec = find_spec("xllamacpp")
    assert spec is not None
    assert spec.origin is not None
    backend = dedent(_BACKEND).format(
        version=WHEEL_VERSION,
        package=str(Path(spec.origin).parent),
        sabotage=sabotage or "pass",
        left_out=".so" if broken else "",
        pause=pause,
    )
    files = {
        "pyproject.toml": (
            '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        ),
        "PKG-INFO": f"Metadata-Version: 2.1\nName: xllamacpp\nVersion: {WHEEL_VERSION}\n",
        "backend.py": backend,
    }
    path = folder / f"xllamacpp-{WHEEL_VERSION}.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(f"xllamacpp-{WHEEL_VERSION}/{name}")
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
    return path
