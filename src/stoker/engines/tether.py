"""Run a program on a tether: it ends when Stoker does, and reaches only what it was given.

    python -I -S tether.py program arguments...

A `kill -9` of the daemon leaves it no moment to stop its engines, and only a process itself may ask
the kernel for limits that it cannot shed again. This file asks for both, then becomes the program.
A program that ends in `.py` is run by this very interpreter, which saves starting a second one.

The wish to end with the parent is not inherited. A program that starts others (`--with-children`)
gets a guard: a process of its group that sleeps until the program is gone, however that came, and
then kills what is left of the group.

The limits are Landlock's (https://docs.kernel.org/userspace-api/landlock.html): files by their
place, TCP, signals to and abstract sockets of processes outside. For engines that need no network a
seccomp filter also closes what Landlock has no words for: UDP, connecting to anything at all, and
what needs no file to be opened, such as changing its mode.
One whose processes talk to each other gets a network of its own, which has a loopback and no way
out (https://man7.org/linux/man-pages/man7/network_namespaces.7.html).
It imports nothing of Stoker, and of Python only what the interpreter has loaded already: it is on
the way of every start.
"""

import ctypes
import os
import resource
import signal
import struct
import sys
import time

PARENT_VARIABLE = "STOKER_PARENT_PID"
"""Set by the launcher: who must be alive."""

LIMITS_VARIABLE = "STOKER_LIMITS"
"""Set by the launcher: one rule a line, a word of `_RIGHTS` and a path, or a word alone: `offline`
for no network, `loopback` for one of its own.

Without it the program runs unconfined.
"""

_WITH_CHILDREN = "--with-children"
_TRY_LOOPBACK = "--try-loopback"
_LINUX = sys.platform == "linux"
_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 22, 38
_EXIT_ORPHAN, _EXIT_UNCONFINED = 5, 6

# Numbers of system calls; Landlock's are the same on every architecture.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG, _PATH_BENEATH = 1, 1

# include/uapi/linux/landlock.h
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_REMOVE_DIR, _REMOVE_FILE, _MAKE_DIR, _MAKE_REG = 1 << 4, 1 << 5, 1 << 7, 1 << 8
_MAKE_SOCK, _MAKE_FIFO, _MAKE_SYM = 1 << 9, 1 << 10, 1 << 12
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_TCP, _SCOPES = 3, 3  # bind and connect; abstract sockets and signals
_ON_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_FS_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16, 6: 16, 7: 16, 8: 16, 9: 17}
"""ABI version to how many of the rights to files it knows; a later kernel knows the last one's."""

_READ = _READ_FILE | _READ_DIR
_RIGHTS = {
    "read": _READ,
    "run": _READ | _EXECUTE,
    "change": _WRITE_FILE,
    "device": _READ | _WRITE_FILE | _IOCTL_DEV,
    "write": _READ | _WRITE_FILE | _TRUNCATE | _REFER | _REMOVE_DIR | _REMOVE_FILE
    | _MAKE_DIR | _MAKE_REG | _MAKE_SOCK | _MAKE_FIFO | _MAKE_SYM,
}  # fmt: skip

_CAPABILITIES_VERSION = 0x20080522
_KEPT_CAPABILITIES = 1 << 1 | 1 << 14 | 1 << 23  # DAC_OVERRIDE, IPC_LOCK, SYS_NICE
"""What root's engines keep. Any more would let them look into other processes' memory."""

# Of each machine: its name for seccomp; the numbers of socket, socketpair and prlimit64; of all
# that is closed: connect, what changes a file's mode, owner, times and attributes by its name, and
# the kernel's keys.
_CALLS = {
    "x86_64": (0xC000003E, 41, 53, 302, (
        42, 90, 92, 94, 260, 268, 452, 132, 235, 261, 280, 188, 189, 197, 198, 463, 466, 469,
        248, 249, 250,
    )),
    "aarch64": (0xC00000B7, 198, 199, 261, (
        203, 53, 54, 452, 88, 5, 6, 14, 15, 463, 466, 469, 217, 218, 219,
    )),
}  # fmt: skip
_IO_URING_SETUP, _X32 = 425, 0x40000000
_AF_UNIX, _AF_INET, _EACCES, _ENOSYS, _EAFNOSUPPORT = 1, 2, 13, 38, 97

_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000
_SOCK_STREAM, _SOCK_DGRAM, _SOCK_SEQPACKET, _SIOCSIFFLAGS, _IFF_UP = 1, 2, 5, 0x8914, 1


def tethered(
    argv: "list[str] | tuple[str, ...]", *, with_children: bool = False
) -> tuple[str, ...]:
    """The command that runs `argv` tethered. Elsewhere than on Linux, `argv` as it is.

    `with_children`: also what `argv` starts. It must lead a process group of its own.
    """
    if not _LINUX:
        return tuple(argv)
    flags = (_WITH_CHILDREN,) if with_children else ()
    return (sys.executable, "-I", "-S", __file__, *flags, *argv)


def landlock_version() -> int:
    """The ABI of this kernel's Landlock; 0 where there is none, or where it is switched off."""
    if not _LINUX:
        return 0
    version: int = _kernel().syscall(_CREATE_RULESET, None, 0, _VERSION_FLAG)
    return max(version, 0)


def loopback_probe() -> tuple[str, ...]:
    """A command that ends with 0 where an engine can have a network of its own."""
    return (sys.executable, "-I", "-S", __file__, _TRY_LOOPBACK)


def _kernel() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _die_with(parent: int) -> None:
    """See to it that this process ends when `parent` does, however that comes about."""
    if _LINUX:
        # SIGKILL: this must also work while a model loads, when SIGTERM is not heard.
        _kernel().prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the request above was in place
            os._exit(_EXIT_ORPHAN)
        return

    import threading  # noqa: PLC0415  # only where it is needed

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(_EXIT_ORPHAN)

    threading.Thread(target=watch, daemon=True).start()


def _start_guard() -> None:
    guarded = os.getpid()
    if os.fork():
        return
    # Before the death can be heard of: no signal may end the guard but the one that cannot be
    # caught. TERM goes to the whole group, and the program may take its time with it.
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    _kernel().prctl(_PR_SET_PDEATHSIG, signal.SIGUSR1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):  # whoever reads the program's output waits for its last writer
        os.dup2(nowhere, stream)
    if os.getppid() == guarded:
        signal.sigwait({signal.SIGUSR1})
    os.killpg(guarded, signal.SIGKILL)
    os._exit(0)


def _confine(limits: list[str]) -> None:
    """Enter the limits, for good. Raises OSError when a kernel that could do so refuses."""
    kernel = _kernel()
    offline = "offline" in limits
    if "loopback" in limits:
        if _has_loopbacks(kernel):
            _enter_loopback(kernel)
        else:
            _say("W", "no network of its own on this machine: this engine keeps the machine's")
    _checked(kernel.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _drop_capabilities(kernel)
    if version := landlock_version():
        handled = (1 << _FS_RIGHTS[min(version, max(_FS_RIGHTS))]) - 1
        handled_tcp = _TCP if offline and version >= 4 else 0
        attributes = struct.pack("=QQQ", handled, handled_tcp, _SCOPES if version >= 6 else 0)
        size = 24 if version >= 6 else 16 if version >= 4 else 8
        ruleset = _checked(kernel.syscall(_CREATE_RULESET, attributes, size, 0))
        for limit in limits:
            right, _, path = limit.partition(" ")
            if path:
                _allow(kernel, ruleset, _RIGHTS[right] & handled, path)
        _checked(kernel.syscall(_RESTRICT_SELF, ruleset, 0))
        os.close(ruleset)
    if offline and os.uname().machine in _CALLS:
        _cut_off(kernel, _CALLS[os.uname().machine])


def _has_loopbacks(kernel: ctypes.CDLL) -> bool:
    """Whether the kernel lets this user enter one: a child tries.

    Some systems give a network and then refuse to bring its loopback up. No engine could talk to
    its workers there.
    """
    child = os.fork()
    if not child:
        try:
            _enter_loopback(kernel)
        except OSError:
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return status == 0


def _enter_loopback(kernel: ctypes.CDLL) -> None:
    """Leave this machine's network for one with a loopback alone. Raises OSError."""
    user, group = os.geteuid(), os.getegid()
    if kernel.unshare(_NEW_NETWORK) < 0:  # root's right; others may where they are their own root
        _checked(kernel.unshare(_NEW_USER | _NEW_NETWORK))
        # Whoever it was, it stays. Groups have to be given up before one may be named.
        for name, text in (
            ("uid_map", f"{user} {user} 1"),
            ("setgroups", "deny"),
            ("gid_map", f"{group} {group} 1"),
        ):
            file = os.open(f"/proc/self/{name}", os.O_WRONLY)
            os.write(file, text.encode())
            os.close(file)
    device = _checked(kernel.socket(_AF_INET, _SOCK_DGRAM, 0))
    _checked(kernel.ioctl(device, _SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", _IFF_UP)))
    os.close(device)


def _drop_capabilities(kernel: ctypes.CDLL) -> None:
    header = struct.pack("=Ii", _CAPABILITIES_VERSION, 0)
    mine = ctypes.create_string_buffer(24)
    _checked(kernel.capget(header, mine))
    # Effective, permitted, inheritable: those below 32, then the others.
    _, permitted, *_ = struct.unpack("=6I", mine.raw)
    kept = permitted & _KEPT_CAPABILITIES
    _checked(kernel.capset(header, struct.pack("=6I", kept, kept, 0, 0, 0, 0)))


def _allow(kernel: ctypes.CDLL, ruleset: int, rights: int, path: str) -> None:
    try:
        place = os.open(path, 0x200000 | os.O_CLOEXEC)  # O_PATH, which os lacks on other systems
    except OSError:
        return  # not on this machine: nothing to allow
    if not os.path.isdir(path):  # noqa: PTH112  # pathlib would cost 5 ms
        rights &= _ON_FILES
    rule = struct.pack("=Qi", rights, place)
    _checked(kernel.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0))
    if path.startswith("/proc/self/"):
        # The rule is for what the kernel has in memory. Of a process it makes that anew whenever
        # memory ran short, which loading sees to, unless somebody has it open.
        os.set_inheritable(place, True)
    else:
        os.close(place)


def _cut_off(kernel: ctypes.CDLL, calls: "tuple[int, int, int, int, tuple[int, ...]]") -> None:
    """What Landlock leaves open.

    No socket but a local one, and no connection to anybody: an engine only ever accepts. No
    datagram either, which needs no connection; of a socket's kind the low four bits count. Packets
    in sequence do need one, and CUDA does not start without such a socket. Nothing about a file
    that it cannot open, no limits for others, no keys of the user's.
    """
    machine, socket, pair, prlimit, closed = calls
    load, equal, at_least, give, mask = 0x20, 0x15, 0x35, 0x06, 0x54  # BPF's words for it
    refuse = 0x00050000
    code = _assembled([
        (load, "", "", 4), (equal, "", "absent", machine),  # other machines' calls, and those of
        (load, "", "", 0), (at_least, "absent", "", _X32),  # x32, have other numbers
        (equal, "absent", "", _IO_URING_SETUP), *((equal, "refused", "", one) for one in closed),
        (equal, "limits", "", prlimit), (equal, "socket", "", socket), (equal, "", "allowed", pair),
        "socket", (load, "", "", 16), (equal, "local", "", _AF_UNIX),
        (give, "", "", refuse | _EAFNOSUPPORT),
        "local", (load, "", "", 24), (mask, "", "", 15),
        (equal, "allowed", "", _SOCK_STREAM), (equal, "allowed", "refused", _SOCK_SEQPACKET),
        "limits", (load, "", "", 16), (equal, "allowed", "refused", 0),  # of this very process
        "allowed", (give, "", "", 0x7FFF0000),
        "refused", (give, "", "", refuse | _EACCES),
        "absent", (give, "", "", refuse | _ENOSYS),
    ])  # fmt: skip
    program = ctypes.create_string_buffer(code)
    filter_ = struct.pack("@HP", len(code) // 8, ctypes.addressof(program))
    _checked(kernel.prctl(_PR_SET_SECCOMP, 2, filter_, 0, 0))


def _assembled(program: "list[str | tuple[int, str, str, int]]") -> bytes:
    """BPF of lines and marks: where a line goes on if it is true, and if not; empty: behind it."""
    marks: dict[str, int] = {}
    lines: list[tuple[int, str, str, int]] = []
    for one in program:
        if isinstance(one, str):
            marks[one] = len(lines)
        else:
            lines.append(one)
    return b"".join(
        struct.pack(
            "=HBBI", code, *(marks[to] - at - 1 if to else 0 for to in (true, false)), value
        )
        for at, (code, true, false, value) in enumerate(lines)
    )


def _say(level: str, text: str) -> None:
    # As llama.cpp writes its log, so that one reader understands both.
    sys.stderr.write(f"0.00.000.000 {level} tether: {text}\n")
    sys.stderr.flush()


def _checked(answer: int) -> int:
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return answer


def _main(argv: list[str]) -> None:
    if argv == [_TRY_LOOPBACK]:
        sys.exit(not _has_loopbacks(_kernel()))
    _die_with(int(os.environ.pop(PARENT_VARIABLE, "") or os.getppid()))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # it would hold prompts
    limits = os.environ.pop(LIMITS_VARIABLE, "")
    if limits:
        try:
            _confine(limits.splitlines())
        except OSError as error:
            _say("E", f"cannot be confined: {error.strerror}")
            sys.exit(_EXIT_UNCONFINED)
    if argv[0] == _WITH_CHILDREN:
        argv = argv[1:]
        # Confined already: signals do not cross the limits, a death's neither.
        _start_guard()
    if argv[0].endswith(".py"):
        sys.argv = argv
        with open(argv[0], "rb") as file:  # noqa: PTH123  # as above
            code = compile(file.read(), argv[0], "exec")
        exec(code, {"__name__": "__main__", "__file__": argv[0]})  # noqa: S102  # Stoker's own
        return
    try:
        os.execvp(argv[0], argv)  # noqa: S606  # a shell is what we do not want
    except OSError as error:
        sys.exit(f"error: {argv[0]} cannot be run: {error.strerror}")


if __name__ == "__main__":
    _main(sys.argv[1:])
