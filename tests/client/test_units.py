"""What service managers are told, judged by systemd's own checker and by plistlib."""

import plistlib
import subprocess
from pathlib import Path

import pytest

from stoker.client.units import Job, launchd, systemd
from tests.components.debian import ensure_debian_parts

AWKWARD = {"STOKER_HOME": '/home/é "a" \\b/100% $HOME', "PATH": "/usr/bin:/bin"}


@pytest.fixture(scope="session")
def analyze() -> Path:
    return ensure_debian_parts("systemd", ["systemd"], "usr/bin/systemd-analyze", libraries=True)


def verified(analyze: Path, unit: Path) -> subprocess.CompletedProcess[str]:
    libraries = [
        analyze / "usr/lib/systemd", analyze / "lib/systemd",
        *analyze.glob("usr/lib/*-linux-gnu*"), *analyze.glob("lib/*-linux-gnu*"),
        *analyze.glob("usr/lib/*-linux-gnu*/systemd"), *analyze.glob("lib/*-linux-gnu*/systemd"),
    ]  # fmt: skip
    return subprocess.run(
        [analyze / "usr/bin/systemd-analyze", "--user", "--man=no", "verify", unit],
        env={
            "LD_LIBRARY_PATH": ":".join(map(str, libraries)),
            "SYSTEMD_UNIT_PATH": f"{unit.parent}:{analyze}/usr/lib/systemd/user",
            "XDG_RUNTIME_DIR": str(unit.parent),
            "HOME": str(unit.parent),
        },
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def written(folder: Path, job: Job) -> Path:
    manager = systemd("stoker", folder)
    manager.unit.parent.mkdir(parents=True)
    manager.unit.write_bytes(manager.render(job))
    return manager.unit


def test_systemd_accepts_the_unit(analyze: Path, tmp_path: Path) -> None:
    job = Job(("/bin/true", "-P", "a b", "50%", "$x"), AWKWARD, tmp_path / "d.log", "Stoker 100%")
    unit = written(tmp_path, job)
    assert unit == tmp_path / "systemd" / "user" / "stoker.service"
    done = verified(analyze, unit)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    # The checker does see mistakes.
    unit.write_text(unit.read_text().replace("KillMode=mixed", "KillMode=sometimes"))
    assert "Failed to parse kill mode" in verified(analyze, unit).stderr


def test_a_unit_quotes_what_systemd_would_expand(tmp_path: Path) -> None:
    text = written(tmp_path, Job(("/x y", "$a", "50%"), AWKWARD, Path("/l%g"), "d")).read_text()
    assert 'ExecStart="/x y" "$$a" "50%%"\n' in text
    assert 'Environment="STOKER_HOME=/home/é \\"a\\" \\\\b/100%% $HOME"\n' in text
    assert "StandardError=append:/l%%g\n" in text


def test_launchd(tmp_path: Path) -> None:
    manager = launchd("stoker", tmp_path, 501)
    assert manager.unit == tmp_path / "Library/LaunchAgents/dev.stoker.plist"
    found = plistlib.loads(manager.render(Job(("/p", "a b"), AWKWARD, Path("/l"), "d")))
    assert found["Label"] == manager.unit.stem
    assert found["ProgramArguments"] == ["/p", "a b"]
    assert found["EnvironmentVariables"] == AWKWARD
    assert found["RunAtLoad"] is True
    assert found["KeepAlive"] == {"SuccessfulExit": False}
    assert manager.register == ("launchctl", "bootstrap", "gui/501", str(manager.unit))
    assert manager.forget == ("launchctl", "bootout", "gui/501/dev.stoker")
