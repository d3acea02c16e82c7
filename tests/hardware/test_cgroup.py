"""Limits of control groups: trees as kernels show them, of both versions."""

from pathlib import Path

import psutil
import pytest

from stoker.hardware.cgroup import core_quota, memory_left, memory_limit

GIB = 1024**3
# Version 1 writes this for no limit: a signed 64-bit number, in whole pages.
UNLIMITED = "9223372036854771712"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return tmp_path / "own"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "cgroup"


def group(folder: Path, **files: str) -> None:
    """Names of files with `__` for a dot."""
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(f"{text}\n")


def test_without_groups_there_is_no_limit(root: Path, own: Path) -> None:
    assert (memory_limit(root, own), memory_left(root, own), core_quota(root, own)) == (None,) * 3


def test_the_groups_around_it_limit_a_service_too(root: Path, own: Path) -> None:
    """`systemctl set-property user.slice MemoryMax=8G CPUQuota=350%`, and a service in it."""
    own.write_text("0::/user.slice/runner.service\n")
    group(root)
    group(
        root / "user.slice", memory__max=str(8 * GIB), memory__current=str(6 * GIB),
        memory__stat=f"anon 1\ninactive_file {GIB}\nactive_file 0", cpu__max="350000 100000",
    )  # fmt: skip
    group(
        root / "user.slice/runner.service", memory__max="max", memory__current=str(GIB),
        memory__stat="inactive_file 0", cpu__max="max 100000",
    )  # fmt: skip
    assert memory_limit(root, own) == 8 * GIB
    assert memory_left(root, own) == 3 * GIB
    assert core_quota(root, own) == 3


def test_where_it_is_slowed_down_it_has_no_more(root: Path, own: Path) -> None:
    own.write_text("0::/\n")
    group(root, memory__max=str(8 * GIB), memory__high=str(2 * GIB), memory__current=str(3 * GIB))
    assert memory_limit(root, own) == 2 * GIB
    assert memory_left(root, own) == 0


@pytest.mark.parametrize("inside", [True, False])
def test_version_1_on_a_host_and_in_a_container(root: Path, own: Path, inside: bool) -> None:  # noqa: FBT001
    """In a container the path is the host's, and the mount begins at the container's own group."""
    own.write_text("9:name=systemd:/\n4:memory:/docker/ab\n3:cpu,cpuacct:/docker/ab\n0::/\n")
    own_group = "" if inside else "docker/ab"
    if not inside:
        group(root / "memory", memory__limit_in_bytes=UNLIMITED, memory__usage_in_bytes="0")
        group(root / "cpu", cpu__cfs_quota_us="-1", cpu__cfs_period_us="100000")
    group(
        root / "memory" / own_group, memory__limit_in_bytes=str(4 * GIB),
        memory__usage_in_bytes=str(3 * GIB),
        memory__stat=f"active_file 0\ntotal_inactive_file {GIB}\ntotal_active_file {GIB}",
    )  # fmt: skip
    group(root / "cpu" / own_group, cpu__cfs_quota_us="50000", cpu__cfs_period_us="100000")
    assert memory_limit(root, own) == 4 * GIB
    assert memory_left(root, own) == 3 * GIB
    assert core_quota(root, own) == 1


def test_the_groups_of_this_very_process_are_read() -> None:
    limit, left = memory_limit(), memory_left()
    assert limit is None or limit > psutil.Process().memory_info().rss
    assert left is None or left > 0
