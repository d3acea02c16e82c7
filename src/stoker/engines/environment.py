"""What an engine inherits of the daemon's environment: a list of what is allowed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

_KEPT: Final = frozenset({
    "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "SYSTEMROOT",
    "TEMP", "TMP", "TMPDIR", "TZ",
})  # fmt: skip
_KEPT_PREFIXES: Final = (
    "CUDA", "DYLD_", "GGML_", "GOMP_", "HIP_", "HSA_", "KMP_", "MESA_", "METAL_", "MTL_", "MUSA_",
    "NCCL_", "NVIDIA_", "OMP_", "ONEAPI_", "ROCBLAS_", "ROCR_", "SYCL_", "VK_", "ZES_",
)  # fmt: skip


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """What drivers and libraries read. HOME stays: drivers cache their compiled kernels there.

    No token, no key, and no setting of an engine's own: those would change the meaning of our
    arguments behind our back.
    """
    return {
        key: value
        for key, value in environ.items()
        if key in _KEPT or key.startswith(_KEPT_PREFIXES)
    }


_LIBRARIES: Final = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
_DRIVERS: Final = ("VK_DRIVER_FILES", "VK_ADD_DRIVER_FILES", "VK_ICD_FILENAMES")


def named_places(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Directories with the libraries and drivers that an environment names."""
    words = [word for name in _LIBRARIES for word in environ.get(name, "").split(":")]
    files = [word for name in _DRIVERS for word in environ.get(name, "").split(":")]
    places = [*map(Path, filter(None, words)), *(Path(file).parent for file in files if file)]
    return tuple(place for place in places if place.is_absolute())
