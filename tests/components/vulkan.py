"""Vulkan without a GPU: shader compiler, headers, loader, and the driver that runs on the CPU."""

import json
import platform
from collections.abc import Mapping
from pathlib import Path

from tests.components.debian import ensure_debian_parts, library_path, parts_cache

_TRIPLET = f"{platform.machine()}-linux-gnu"


def software_vulkan(environ: Mapping[str, str]) -> dict[str, str]:
    """Variables with which llama.cpp is compiled for Vulkan and sees one device, `llvmpipe`.

    `GGML_VK_VISIBLE_DEVICES` is part of them: llama.cpp hides devices that are processors unless
    they are named.
    """
    tools = ensure_debian_parts("glslc", ["glslc"], "usr/bin/glslc", libraries=True)
    # Of a newer release: llama.cpp wants headers that Debian 12 has not. They need no libraries.
    headers = ensure_debian_parts(
        "vulkan-headers",
        ["libvulkan-dev", "spirv-headers"],
        "usr/include/vulkan/vulkan.hpp",
        release="trixie",
    )
    driver = ensure_debian_parts(
        "vulkan-driver",
        ["libvulkan1", "mesa-vulkan-drivers"],
        f"usr/lib/{_TRIPLET}/libvulkan_lvp.so",
        libraries=True,
    )
    libraries = driver / f"usr/lib/{_TRIPLET}"
    link = libraries / "libvulkan.so"  # what compilers look for is in the package of the headers
    if not link.exists():
        link.symlink_to("libvulkan.so.1")
    return {
        "PATH": f"{tools}/usr/bin:{environ['PATH']}",
        "LD_LIBRARY_PATH": f"{library_path(tools)}:{library_path(driver)}",
        "LIBRARY_PATH": str(libraries),
        "CMAKE_PREFIX_PATH": f"{headers}/usr:{driver}/usr",
        "VK_ICD_FILENAMES": str(_manifest(driver)),
        "GGML_VK_VISIBLE_DEVICES": "0",
    }


def _manifest(driver: Path) -> Path:
    """The driver's own manifest names the place it would be installed at."""
    manifest = parts_cache() / "llvmpipe.json"
    library = str(driver / f"usr/lib/{_TRIPLET}/libvulkan_lvp.so")
    icd = {"library_path": library, "api_version": "1.1.230"}
    manifest.write_text(json.dumps({"file_format_version": "1.0.0", "ICD": icd}))
    return manifest
