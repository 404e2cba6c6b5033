"""The text of `jetstream.service` for one machine. Pure: reads no file and runs no command.

The text contains its own checksum, so that a unit that was changed by hand is recognised.
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
    """The paths, rights and devices that the unit is written for. All paths are absolute."""

    command: tuple[str, ...] = ("/opt/jetstream/.venv/bin/jetstream",)
    config: str = "/etc/jetstream/jetstream.toml"
    state: str = "/var/lib/jetstream"  # working folder: relative paths in the config start here
    user: str = "jetstream"
    memory_max: str = "75%"  # share of the machine's memory, or a size such as 2G
    groups: tuple[str, ...] = ("video",)
    reads: tuple[str, ...] = ("/opt/jetstream",)  # the program's folders
    files: tuple[str, ...] = ()  # files and folders that the config names: faces, keys, passwords, videos
    writes: tuple[str, ...] = ()  # folders outside `state` that the service writes to
    gpu: bool = True
    modprobe: str = ""  # path of nvidia-modprobe, which makes the GPU's device files; the service has no right to
    argus: bool = False  # a Jetson's camera daemon is used; its socket is in /tmp

    @property
    def is_in_var_lib(self) -> bool:
        """Whether systemd can make the working folder (StateDirectory)."""
        return Path(self.state).parent == Path("/var/lib")

    @property
    def is_in_a_home(self) -> bool:
        """Whether any path is in a home folder, which the unit would otherwise hide from the service."""
        paths = (*self.command[:1], self.config, self.state, *self.reads, *self.files, *self.writes)
        return any(Path(path).is_relative_to(home) for path in paths for home in HOMES)


def text(place: Installation) -> str:
    """The unit file's whole content."""
    service = ["[Service]", *_service(place), "", *_limits(place), "", *_sandbox(place)]
    body = "\n".join(["", *_unit(place), "", *service, "", *_install()])
    return f"{MARK}{_checksum(body)}\n{body}\n"


def is_ours(unit: str) -> bool:
    """Whether `unit` is the content of a file that `text` made, unchanged."""
    first, _, body = unit.partition("\n")
    return first == f"{MARK}{_checksum(body.removesuffix(chr(10)))}"


def is_memory_limit(limit: str) -> bool:
    """Whether systemd accepts `limit` as MemoryMax.

    systemd ignores a value that it doesn't accept, and then there is no limit. A bare number would mean bytes; it is
    refused, because it is nearly always a mistake.
    """
    if percent := re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]{1,2})?)%", limit):
        return 0 < float(percent[1]) <= 100
    if size := re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([KMGT])", limit):
        return 1 <= float(size[1]) * UNITS_BYTES[size[2]] < 2**63
    return limit == "infinity"


def _checksum(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()[:16]


def quoted(word: str) -> str:
    """`word` with a unit file's quoting and escapes, `%` included. The caller escapes `$` in commands."""
    word = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{word}"' if not word or any(letter in word for letter in " \t'\"\\;") else word


def _unit(place: Installation) -> list[str]:
    after = ["network-online.target"] + (["nvidia-persistenced.service", "nvargus-daemon.service"] if place.gpu else [])
    wants = ["network-online.target"]
    if place.modprobe:  # loads the module; systemd ignores it where there is no such module
        after.append("modprobe@nvidia_uvm.service")
        wants.append("modprobe@nvidia_uvm.service")
    return [
        "[Unit]",
        "Description=jetstream: live face recognition",
        f"After={' '.join(after)}",
        f"Wants={' '.join(wants)}",
        "# after five failures within ten minutes it stays stopped, until `systemctl reset-failed jetstream`",
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
        "# Python 3.11 and later import no module from the working folder",
        f"Environment=PYTHONSAFEPATH=1 {quoted(f'HOME={place.state}')}",
        "RuntimeDirectory=jetstream",
        "RuntimeDirectoryMode=0700",
        *state,
        "UMask=0077",
        "Restart=on-failure",
        "RestartSec=5",
        "# 128 + SIGTERM: stopped during start-up",
        "SuccessExitStatus=143",
        "# a restart does not mend a wrong config",
        "RestartPreventExitStatus=2",
        "# notified while each camera's frames leave the pipeline; they may stand still for a third of this time",
        "WatchdogSec=30",
        "# the first start builds models and learns faces; it extends this time while it makes progress",
        "TimeoutStartSec=900",
        "TimeoutStopSec=20",
        "# the supervisor ends its processes in order",
        "KillMode=mixed",
        "# when the kernel kills a process for its memory, the supervisor restarts that process",
        "OOMPolicy=continue",
    ]


def _limits(place: Installation) -> list[str]:
    return [f"MemoryMax={place.memory_max}", "TasksMax=1024", "# a core dump would contain faces", "LimitCORE=0"]


def _sandbox(place: Installation) -> list[str]:
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
        "# cameras, and the NVIDIA devices of servers and Jetsons",
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
