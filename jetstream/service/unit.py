"""The text of `jetstream.service` for one machine. Pure: no file and no command.

A unit bears a checksum, so that one that somebody changed is known for what it is.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

HOMES = ("/home", "/root", "/run/user")
UNITS_BYTES = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
MARK = "# jetstream.service, written by `jetstream service install`; `systemctl edit jetstream` changes it. Checksum: "


@dataclass(frozen=True)
class Installation:
    """Where things are, and what the machine has."""

    command: tuple[str, ...] = ("/opt/jetstream/.venv/bin/jetstream",)
    config: str = "/etc/jetstream/jetstream.toml"
    state: str = "/var/lib/jetstream"  # working folder: relative paths of the config begin here
    user: str = "jetstream"
    memory_max: str = "75%"  # of the machine's, or a size such as 2G
    groups: tuple[str, ...] = ("video",)
    reads: tuple[str, ...] = ("/opt/jetstream",)  # folders of the program
    files: tuple[str, ...] = ()  # that the config names, and folders: faces, keys, passwords, videos
    writes: tuple[str, ...] = ()  # folders outside of `state`
    gpu: bool = True
    modprobe: str = ""  # of NVIDIA, which makes its devices; the service itself may not
    argus: bool = False  # a Jetson's camera daemon, whose socket lies in /tmp

    @property
    def is_in_var_lib(self) -> bool:
        return Path(self.state).parent == Path("/var/lib")

    @property
    def is_in_a_home(self) -> bool:
        paths = (*self.command[:1], self.config, self.state, *self.reads, *self.files, *self.writes)
        return any(Path(path).is_relative_to(home) for path in paths for home in HOMES)


def text(place: Installation) -> str:
    """The whole file."""
    body = "\n".join(
        ["", *_unit(place), "", "[Service]", *_service(place), "", *_limits(place), "", *_fence(place), "", *_install()]
    )
    return f"{MARK}{_checksum(body)}\n{body}\n"


def is_ours(unit: str) -> bool:
    """Whether `text` made this file, and nobody changed it."""
    first, _, body = unit.partition("\n")
    return first == f"{MARK}{_checksum(body.removesuffix(chr(10)))}"


def is_memory_limit(limit: str) -> bool:
    """Whether systemd takes it. What it doesn't take it ignores, and there is no limit; a bare number is bytes, which
    nobody means."""
    if percent := re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]{1,2})?)%", limit):
        return 0 < float(percent[1]) <= 100
    if size := re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([KMGT])", limit):
        return 1 <= float(size[1]) * UNITS_BYTES[size[2]] < 2**63
    return limit == "infinity"


def _checksum(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()[:16]


def quoted(word: str) -> str:
    """A word as a unit file has to write it; `%` means something there. In commands `$` does too."""
    word = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{word}"' if not word or any(letter in word for letter in " \t'\"\\;") else word


def _unit(place: Installation) -> list[str]:
    after = ["network-online.target"] + (["nvidia-persistenced.service", "nvargus-daemon.service"] if place.gpu else [])
    wants = ["network-online.target"]
    if place.modprobe:  # loads the module, and fails in silence where there is none
        after.append("modprobe@nvidia_uvm.service")
        wants.append("modprobe@nvidia_uvm.service")
    return [
        "[Unit]",
        "Description=jetstream: live face recognition",
        f"After={' '.join(after)}",
        f"Wants={' '.join(wants)}",
        "# five failures within ten minutes, and it stays down: `systemctl reset-failed jetstream` lifts that",
        "StartLimitIntervalSec=600",
        "StartLimitBurst=5",
    ]


def _service(place: Installation) -> list[str]:
    command = [*place.command, "run", place.config, "--headless", "--set", "pipeline.wait_for_cameras=true"]
    state = ["StateDirectory=" + Path(place.state).name, "StateDirectoryMode=0700"] if place.is_in_var_lib else []
    return [
        "Type=notify",
        "NotifyAccess=main",
        f"ExecStart={' '.join(quoted(word) for word in command).replace('$', '$$')}",
        *([f"ExecStartPre=+-{place.modprobe} -u -c=0"] if place.modprobe else []),
        "ExecReload=/bin/kill -HUP $MAINPID",
        f"User={place.user}",
        f"Group={place.user}",
        f"SupplementaryGroups={' '.join(place.groups)}",
        f"WorkingDirectory={place.state.replace('%', '%%')}",
        "# from Python 3.11 on, no program is loaded from the working folder",
        f"Environment=PYTHONSAFEPATH=1 {quoted(f'HOME={place.state}')}",
        "RuntimeDirectory=jetstream",
        "RuntimeDirectoryMode=0700",
        *state,
        "UMask=0077",
        "Restart=on-failure",
        "RestartSec=5",
        "# stopped while it starts: 128 + SIGTERM",
        "SuccessExitStatus=143",
        "# a config that is wrong stays wrong",
        "RestartPreventExitStatus=2",
        "# fed while each camera's frames come out of the pipeline; a third of it is what a standstill may take",
        "WatchdogSec=30",
        "# the first start builds models, and on a GPU engines; it asks for more while it gets on",
        "TimeoutStartSec=900",
        "TimeoutStopSec=20",
        "# the supervisor ends its processes in order",
        "KillMode=mixed",
        "# of a process that takes too much memory the kernel makes an end, and the supervisor a beginning",
        "OOMPolicy=continue",
    ]


def _limits(place: Installation) -> list[str]:
    return [f"MemoryMax={place.memory_max}", "TasksMax=1024", "# a core would hold faces", "LimitCORE=0"]


def _fence(place: Installation) -> list[str]:
    writes = ([] if place.is_in_var_lib else [place.state]) + list(place.writes)
    return [
        "NoNewPrivileges=yes",
        "CapabilityBoundingSet=",
        "AmbientCapabilities=",
        "ProtectSystem=strict",
        f"ProtectHome={'read-only' if place.is_in_a_home else 'yes'}",
        *(f"ReadWritePaths={quoted(folder)}" for folder in writes),
        "PrivateTmp=yes",
        *(["BindPaths=-/tmp/argus_socket"] if place.argus else []),
        "PrivateMounts=yes",
        "RemoveIPC=yes",
        "# cameras, and NVIDIA's devices of servers and of Jetsons",
        "DevicePolicy=closed",
        "DeviceAllow=char-video4linux rw",
        "DeviceAllow=char-media rw",
        *(f"DeviceAllow={device} rw" for device in (GPU_DEVICES if place.gpu else ())),
        "ProtectKernelTunables=yes",
        "ProtectKernelModules=yes",
        "ProtectKernelLogs=yes",
        "ProtectControlGroups=yes",
        "ProtectClock=yes",
        "ProtectHostname=yes",
        "ProtectProc=invisible",
        "LockPersonality=yes",
        *([] if place.gpu else ["MemoryDenyWriteExecute=yes"]),
        "RestrictRealtime=yes",
        "RestrictSUIDSGID=yes",
        "RestrictNamespaces=yes",
        "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
        "SystemCallArchitectures=native",
        "SystemCallFilter=@system-service",
        "SystemCallFilter=~@privileged",
        "SystemCallErrorNumber=EPERM",
        "KeyringMode=private",
    ]


GPU_DEVICES = ("char-nvidia*", "char-drm", "char-nvhost*", "char-nvmap", "char-nvgpu*")


def _install() -> list[str]:
    return ["[Install]", "WantedBy=multi-user.target"]
