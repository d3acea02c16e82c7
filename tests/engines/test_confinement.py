"""A real program under the real launcher tries what an engine must not do, and what it must."""

import os
import platform
import resource
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from stoker.engines.confinement import Confinement, lack, roots_of
from stoker.engines.spec import Command
from stoker.engines.tether import LIMITS_VARIABLE, PARENT_VARIABLE, landlock_version, tethered
from tests.components.intruder import INTRUDER, attempts

VERSION = landlock_version()
pytestmark = pytest.mark.skipif(not VERSION, reason="this kernel has no Landlock")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model's directory beside another file of the same user."""
    (tmp_path / "secret").write_text("of somebody else")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").write_text("numbers")
    return tmp_path / "model"


def command(run_dir: Path, model: Path) -> Command:
    return Command(argv=(), socket=run_dir / "e" / "e.sock", reads=(model,))


async def test_it_reads_the_libraries_and_drivers_that_its_environment_names(
    run_dir: Path, tmp_path: Path, model: Path
) -> None:
    named = {"LD_LIBRARY_PATH": tmp_path / "lib", "VK_ICD_FILENAMES": tmp_path / "icd" / "x.json"}
    (tmp_path / "lib").mkdir()
    (tmp_path / "icd").mkdir()
    (tmp_path / "lib" / "driver.so").write_text("code")
    named["VK_ICD_FILENAMES"].write_text("{}")
    environment = {name: f":{path}:relative" for name, path in named.items()}
    tries = tuple(
        f"open({str(path)!r}).read()"
        for path in (tmp_path / "lib" / "driver.so", named["VK_ICD_FILENAMES"], tmp_path / "secret")
    )
    one = replace(command(run_dir, model), environment=environment)
    came = await attempts(run_dir, *tries, confinement=Confinement(), command=one)
    assert list(came.values()) == ["did", "did", "EACCES"]


async def test_it_reads_its_model_and_writes_in_its_own_place(run_dir: Path, model: Path) -> None:
    own = run_dir / "e"
    tries = (
        f"open({str(model / 'weights')!r}).read()",
        f"os.listdir({str(model)!r})",
        f"open({str(own / 'file')!r}, 'w').write('x')",
        f"os.unlink({str(own / 'file')!r})",
        f"socket.socket(socket.AF_UNIX).bind({str(own / 'x.sock')!r})",
        "open('/proc/self/status').read()",
        "open('/proc/cpuinfo').read()",
        "open('/dev/null', 'w').write('x')",
        "open('/dev/urandom', 'rb').read(1)",
        "os.getpid()",
        f"assert os.environ['TMPDIR'] == {str(own)!r}",
        "open(os.environ['HOME'] + '/cached', 'w').write('x')",
    )
    results = await attempts(
        run_dir, *tries,
        confinement=Confinement(model.parent / "homes"), command=command(run_dir, model),
    )  # fmt: skip
    assert set(results.values()) == {"did"}, results
    assert (model.parent / "homes" / "fake" / "cached").read_text() == "x", "kept for the next one"
    assert not own.exists(), "and the rest is not"


async def test_it_reads_and_writes_nothing_else(run_dir: Path, model: Path) -> None:
    (run_dir / "other").mkdir()
    tries = (
        f"open({str(model.parent / 'secret')!r}).read()",
        f"os.listdir({str(model.parent)!r})",
        f"open({str(model / 'weights')!r}, 'w')",
        f"os.unlink({str(model / 'weights')!r})",
        f"open({str(model / 'new')!r}, 'w')",
        f"open({str(run_dir / 'other' / 'e.sock')!r}, 'w')",
        f"open({str(run_dir / 'e.pid')!r}, 'w')",
        f"os.symlink('/', {str(run_dir / 'link')!r})",
        "open('/etc/shadow').read()",
        "open('/tmp/from-an-engine', 'w')",
        f"os.execv({str(Path(__file__))!r}, ['x'])",
        "os.listdir('/')",
    )
    results = await attempts(
        run_dir, *tries, confinement=Confinement(), command=command(run_dir, model)
    )
    assert set(results.values()) == {"EACCES"}, results
    (run_dir / "other").rmdir()


async def test_a_link_out_of_the_model_leads_nowhere(run_dir: Path, model: Path) -> None:
    (model / "link").symlink_to(model.parent / "secret")
    attempt = f"open({str(model / 'link')!r}).read()"
    results = await attempts(
        run_dir, attempt, confinement=Confinement(), command=command(run_dir, model)
    )
    assert results[attempt] == "EACCES"


NAMES_A_THREAD = (
    "import threading; over = threading.Event();"
    " one = threading.Thread(target=over.wait, daemon=True); one.start();"
    " at = f'/proc/self/task/{one.native_id}/comm';"
    " os.write(os.open(at, os.O_RDWR), b'cuda-thread'); over.set()"
)


async def test_cuda_may_name_its_threads(run_dir: Path) -> None:
    """Its driver takes a refusal for a broken system. What is beside /proc/self/task stays."""
    other = f"os.open('/proc/{os.getpid()}/oom_score_adj', os.O_WRONLY)"
    own = "os.open('/proc/self/oom_score_adj', os.O_WRONLY)"
    # The kernel may forget a place that is allowed and not open.
    kept = (
        "assert f'/proc/{os.getpid()}/task' in"
        " [os.path.realpath(f'/proc/self/fd/{number}') for number in os.listdir('/proc/self/fd')]"
    )
    results = await attempts(run_dir, NAMES_A_THREAD, kept, other, own, confinement=Confinement())
    assert list(results.values()) == ["did", "did", "EACCES", "EACCES"], results


async def test_so_may_an_engines_workers_unless_root_runs_them(run_dir: Path) -> None:
    """To whom /proc is open, it is with the settings of the kernel."""
    worker = (
        f"import subprocess; names = 'import os;' + {NAMES_A_THREAD!r};"
        " refused = subprocess.call([sys.executable, '-I', '-S', '-c', names], stderr=-3);"
        " refused and exec('raise OSError(errno.EACCES, names)')"
    )
    kernels = "os.open('/proc/sys/kernel/core_pattern', os.O_WRONLY)"
    talks = Command(argv=(), socket=run_dir / "e" / "e.sock", loopback=True)
    tries = (NAMES_A_THREAD, worker, kernels)
    results = await attempts(run_dir, *tries, confinement=Confinement(), command=talks)
    assert results[kernels] in {"EACCES", "EROFS"}
    assert results[NAMES_A_THREAD] == "did"
    powerful = os.access("/proc/sys/kernel/core_pattern", os.W_OK)
    assert results[worker] == ("EACCES" if powerful else "did")


IN_A_CONTAINER = """
mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys && exec "$@"
"""


def test_in_a_container_roots_workers_may_too() -> None:
    """There the settings of the kernel cannot be written, whoever it is."""
    code = "from stoker.engines import confinement as c; print(c._named_threads(several=True))"
    program = [sys.executable, "-c", code]
    if os.access("/proc/sys/kernel/core_pattern", os.W_OK):
        program = ["unshare", "--mount", "sh", "-c", IN_A_CONTAINER, "sh", *program]
    done = subprocess.run(program, capture_output=True, text=True, check=True)
    assert done.stdout == "/proc\n"


async def test_it_changes_nothing_about_files_that_it_cannot_open(
    run_dir: Path, tmp_path: Path
) -> None:
    """Landlock leaves mode, owner, times and attributes of a file to whoever owns it."""
    secret = tmp_path / "secret"
    secret.write_text("of somebody else")
    secret.chmod(0o600)
    here = repr(str(secret))
    tries = (
        f"os.chmod({here}, 0o666)",
        f"os.chown({here}, {os.getuid()}, {os.getgid()})",
        f"os.lchown({here}, {os.getuid()}, {os.getgid()})",
        f"os.utime({here}, (1, 1))",
        f"os.setxattr({here}, 'user.x', b'y')",
        f"os.setxattr({here}, 'user.x', b'y', follow_symlinks=False)",
    )
    results = await attempts(run_dir, *tries, confinement=Confinement())
    assert set(results.values()) == {"EACCES"}, results
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600


async def test_it_sets_limits_for_itself_alone(run_dir: Path) -> None:
    """A limit of no processor time kills as a signal does."""
    me = os.getpid()
    cores = (0, 0)
    tries = (
        f"resource.prlimit({me}, resource.RLIMIT_CORE, {cores})",
        f"resource.prlimit(0, resource.RLIMIT_CORE, {cores})",
        f"resource.setrlimit(resource.RLIMIT_CORE, {cores})",
    )
    before = resource.getrlimit(resource.RLIMIT_CORE)
    results = await attempts(run_dir, *tries, confinement=Confinement())
    assert list(results.values()) == ["EACCES", "did", "did"], results
    assert resource.getrlimit(resource.RLIMIT_CORE) == before


async def test_it_has_none_of_the_users_keys_in_the_kernel(run_dir: Path) -> None:
    """Tickets and passphrases of others lie there; possession is inherited."""
    add_key = {"x86_64": 248, "aarch64": 217}[platform.machine()]
    attempt = (
        f"ctypes.CDLL(None, use_errno=True).syscall({add_key}, b'user', b'mine', b'x', 1, -3)"
        " >= 0 or (_ for _ in ()).throw(OSError(ctypes.get_errno(), ''))"
    )
    results = await attempts(run_dir, attempt, confinement=Confinement())
    assert results == {attempt: "EACCES"}


@pytest.mark.skipif(VERSION < 6, reason="signals are limited from Landlock 6 on")
async def test_it_cannot_touch_other_processes(run_dir: Path) -> None:
    """Not even those of the same user, such as the daemon, whose environment may hold a token."""
    me = os.getpid()
    tries = (
        f"os.kill({me}, 0)",
        f"open('/proc/{me}/environ').read()",
        f"open('/proc/{me}/mem', 'rb')",
        f"os.readlink('/proc/{me}/exe')",
    )
    results = await attempts(run_dir, *tries, confinement=Confinement())
    assert set(results.values()) <= {"EACCES", "EPERM"}, results


async def test_nothing_is_inherited_that_undoes_it(run_dir: Path) -> None:
    """Limits stay over exec, no setuid program helps, no core is written, no variable is left."""
    tries = (
        "assert 'NoNewPrivs:\\t1' in open('/proc/self/status').read()",
        "assert 'Seccomp:\\t2' in open('/proc/self/status').read()",
        "assert not set(os.environ) & {'STOKER_LIMITS', 'STOKER_PARENT_PID'}",
        "import resource; assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)",
    )
    results = await attempts(run_dir, *tries, confinement=Confinement())
    assert set(results.values()) == {"did"}, results


async def test_switched_off_it_may_all(run_dir: Path, model: Path) -> None:
    attempt = f"open({str(model.parent / 'secret')!r}).read()"
    assert (await attempts(run_dir, attempt, confinement=None))[attempt] == "did"


@pytest.mark.parametrize(
    ("limits", "code"), [("offline", 0), ("write /nowhere\nrun /\nread /", 0), ("", 0)]
)
def test_places_that_are_not_there_are_no_trouble(limits: str, code: int) -> None:
    done = subprocess.run(
        tethered(["/bin/true"]),
        env={LIMITS_VARIABLE: f"run /\nread /\n{limits}", PARENT_VARIABLE: str(os.getpid())},
        check=False,
    )
    assert done.returncode == code


def test_a_kernel_that_refuses_starts_nothing(tmp_path: Path) -> None:
    """Landlock is there and a step fails: running unconfined would be a lie."""
    altered = tmp_path / "tether.py"
    text = Path(tethered(["x"])[3]).read_text()
    altered.write_text(text.replace("_PATH_BENEATH = 1, 1", "_PATH_BENEATH = 1, 99"))
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(altered), "/bin/true"],
        env={LIMITS_VARIABLE: "read /"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 6
    assert done.stderr == "0.00.000.000 E tether: cannot be confined: Invalid argument\n"


def test_without_landlock_the_rest_still_holds(tmp_path: Path) -> None:
    """An older kernel: no network and no new privileges, and files as they are."""
    altered = tmp_path / "tether.py"
    text = Path(tethered(["x"])[3]).read_text()
    altered.write_text(text.replace("_RESTRICT_SELF = 444,", "_RESTRICT_SELF = 9999,"))
    tries = ("os.listdir('/')", "socket.socket(socket.AF_INET, socket.SOCK_STREAM)")
    python = (sys.executable, "-I", "-S")
    done = subprocess.run(
        [*python, str(altered), *python, "-c", INTRUDER, *tries],
        env={LIMITS_VARIABLE: "read /usr\noffline"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    first, second = done.stdout.splitlines()
    assert first.startswith("did")
    assert second.startswith("EAFNOSUPPORT")


def test_what_is_lacking_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "stoker.engines.confinement.landlock_version"
    for version, text in ((0, "no Landlock"), (3, "cannot limit TCP"), (4, ""), (7, "")):
        monkeypatch.setattr(said, lambda version=version: version)
        assert text in lack(Confinement())
        assert bool(text) == bool(lack(Confinement()))
    assert "switched off" in lack(None)


def test_an_interpreter_lies_with_its_environment_and_its_base() -> None:
    assert Path(sys.prefix) in roots_of(Path(sys.executable))
    assert Path(sys.base_prefix).resolve() in roots_of(Path(sys.executable))
