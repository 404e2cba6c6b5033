"""Every table, key, default and range. What a config file may say stands here and nowhere else.

Knows no file (`configfile` reads them), no stage and no device.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

Fraction = Annotated[float, Meta(ge=0, le=1)]
Probability = Annotated[float, Meta(gt=0, lt=1)]
NotNegative = Annotated[float, Meta(ge=0)]
Positive = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=1)]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$")]
Pace = Literal["live", "every-frame"]
StageName = Literal["capture", "detect", "track", "recognize", "render", "record", "publish", "learn", "metrics"]


class ConfigTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of every table: an unknown key is a mistake, said with the nearest known one."""


class PipelineConfig(ConfigTable, frozen=True):
    pace: Pace = "live"
    """live: nobody waits, late frames fall and are counted; every-frame: nothing falls, capture waits"""
    run_dir: str = ""
    """folder of sockets and locks; empty: $RUNTIME_DIRECTORY, $XDG_RUNTIME_DIR/jetstream or /tmp/jetstream-UID"""
    slots: Annotated[int, Meta(ge=2, le=256)] = 16
    """frames in each camera's ring"""
    queue_frames: Annotated[int, Meta(ge=1, le=64)] = 4
    """live: frames a camera may have waiting at a stage before the oldest falls"""
    heartbeat_timeout_s: Positive = 5.0
    """a process silent for longer is killed and started again"""
    start_timeout_s: Positive = 60.0
    """the same, before its first heartbeat"""
    stop_timeout_s: Positive = 5.0
    """time to finish after Ctrl-C or SIGTERM, then SIGKILL"""
    restarts: Annotated[int, Meta(ge=0)] = 5
    """more restarts of one process than this within restart_window_s end the pipeline with exit 1; not of publish,
    learn and metrics, which are tried again"""
    restart_window_s: Positive = 60.0
    """window in which restarts are counted"""
    memory_mb: NotNegative = 0.0
    """most memory of its own (MB) that a process may hold: one that leaks is killed and started again; 0: half of the
    machine's"""
    without: tuple[StageName, ...] = ()
    """stages that you start yourself, each with `jetstream run CONFIG --stage NAME`"""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """what is logged, from here up"""
    log_format: Literal["text", "json"] = "text"
    """text: lines on standard error, or fields where that is systemd's journal; json: an object a line"""
    wait_for_cameras: bool = False
    """start although no camera answers, and try each until it does, as a service should"""


class ModelsConfig(ConfigTable, frozen=True):
    dir: str = "models"
    """folder of the built models and of the galleries' embeddings"""


class CameraConfig(ConfigTable, frozen=True):
    name: Name
    """in events and file names: letters, digits, `_` and `-`"""
    source: Annotated[str, Meta(min_length=1)]
    """camera index, /dev path or by-id name, rtsp:// or http:// URL (`${NAME}` in it: from the environment), `gst:
    PIPELINE`, video file, folder or glob of images, `demo`"""
    password_file: str = ""
    """file of mode 0600 with the password for the user in the URL; empty: none"""
    decoder: Literal["cpu", "cuda"] = "cpu"
    """what decodes cameras, streams and videos: cuda: the GPU of gpu.device (NVDEC), or the source is refused"""
    fps: NotNegative = 0.0
    """most frames a second to take; 0: all"""
    max_width: Annotated[int, Meta(ge=16, le=16384)] = 1920
    """px; wider frames are scaled down, keeping their shape"""
    max_height: Annotated[int, Meta(ge=16, le=16384)] = 1080
    """px; higher frames are scaled down, keeping their shape"""
    loop: bool = False
    """start a file again at its end"""
    image_fps: Positive = 25.0
    """frames a second that a folder of images stands for"""
    open_timeout_s: Positive = 10.0
    """a camera that takes longer to open is tried again later"""
    read_timeout_s: Positive = 10.0
    """a camera silent for longer is opened again"""


class IgnoreConfig(ConfigTable, frozen=True):
    box: tuple[float, float, float, float]
    """x1, y1, x2, y2 in px: faces whose centre lies inside are not reported"""
    camera: str = ""
    """one camera's name; empty: all"""


class DetectConfig(ConfigTable, frozen=True):
    preset: Literal["fast", "accurate", "still"] = "fast"
    """what unset keys mean: fast: thresholds 0.7 0.7 0.5, search "nth"; accurate: 0.6 0.7 0.5, "always"; still (for
    single pictures, where no track confirms a face): 0.6 0.7 0.93, "always" """
    thresholds: tuple[Probability, Probability, Probability] | None = None
    """scores that P-Net, R-Net and O-Net must give; unset: the preset's"""
    factor: Annotated[float, Meta(ge=0.3, le=0.9)] = 0.709
    """each pyramid level's size relative to the one before: half the pixels"""
    min_face_px: Annotated[float, Meta(ge=12)] = 40.0
    """smallest face searched for, px"""
    max_face_px: NotNegative = 0.0
    """largest face reported, px; 0: no limit"""
    search: Literal["always", "nth", "motion"] | None = None
    """the whole picture: at every frame, every Nth, or where something moved and every Nth; unset: the preset's"""
    search_every: Count = 4
    """the N of `search`; frames in between only verify the last faces"""
    search_every_most: Annotated[int, Meta(ge=0)] = 24
    """live: N grows up to this while frames fall because detect can't keep up, and comes back; 0: it stays"""
    motion_threshold: Fraction = 0.02
    """share of the picture that must change to search it"""
    ignore: tuple[IgnoreConfig, ...] = ()
    """regions without faces of interest"""
    batch: Annotated[int, Meta(ge=1, le=64)] = 8
    """live: most cameras' frames taken at once"""
    threads: Annotated[int, Meta(ge=1, le=64)] = 1
    """inference threads"""


class TrackConfig(ConfigTable, frozen=True):
    strong_score: Fraction = 0.9
    """detections from here on find and start tracks; weaker ones only continue them"""
    instant_score: Fraction = 0.98
    """a new face with this score is confirmed at once"""
    min_iou: Fraction = 0.15
    """least overlap of a strong detection with its track"""
    min_weak_iou: Fraction = 0.3
    """the same for a weak detection"""
    confirm_s: NotNegative = 0.06
    """any other new face is confirmed when it is found again this long after its first detection"""
    tentative_s: NotNegative = 0.12
    """a face that isn't confirmed may be missing this long"""
    hold_s: NotNegative = 0.13
    """a confirmed face is called lost when missing longer than this"""
    max_lost_s: NotNegative = 2.0
    """and forgotten when missing longer than this"""
    half_life_s: Positive = 4.0
    """age at which a vote counts half"""


class RecognizeConfig(ConfigTable, frozen=True):
    faces: str = "faces"
    """folder of <name>/*.jpg; `demo`: the demo's one known person"""
    max_distance: Annotated[float, Meta(gt=0, le=2)] | None = None
    """largest embedding distance at which a face may get a name; unset: the gallery's"""
    false_accept_rate: Annotated[float, Meta(ge=0.00001, le=0.2)] = 0.001
    """share of strangers' faces that may get a name; the gallery's thresholds are calibrated for it"""
    mirror: bool = True
    """a face and its mirror image are embedded and averaged: fewer mistakes for twice the time"""
    min_quality: Fraction = 0.05
    """a face whose look is poorer is not embedded: too small, blurred, turned, dark, or cut by the border"""
    watch_s: NotNegative = 2.0
    """live: how often photos that changed are looked for, to learn them; 0: never"""
    budget_per_s: Positive = 20.0
    """most faces a second and camera that are recognised"""
    retry_s: NotNegative = 0.15
    """an unsure track is asked again after this time"""
    refresh_s: NotNegative = 1.0
    """a settled track is asked again after this time"""
    batch: Annotated[int, Meta(ge=1, le=256)] = 32
    """most faces in one run of the network"""
    threads: Annotated[int, Meta(ge=1, le=64)] = 1
    """inference threads"""


class GpuConfig(ConfigTable, frozen=True):
    backend: Literal["auto", "tensorrt", "onnxruntime", "cpu"] = "auto"
    """what runs the networks: auto: the best that works here, and the log says which; onnxruntime: its CUDA provider"""
    device: Annotated[int, Meta(ge=0, le=63)] = 0
    """which GPU, as `jetstream doctor` counts them"""
    precision: Literal["fp16", "fp32"] = "fp16"
    """TensorRT's arithmetic: fp16 is faster, fp32 gives the CPU's answers"""
    batch: Annotated[int, Meta(ge=4, le=512)] = 128
    """crops in one run of R-Net on a GPU, 4 and 16 times as many where there are more; of O-Net a quarter"""
    max_wait_ms: NotNegative = 0.0
    """live: longest wait for other cameras' frames to fill a batch, ms; 0: none"""
    when_lost: Literal["restart", "cpu"] = "restart"
    """when detect or recognize fails twice within pipeline.restart_window_s: start it as before, or on the CPU"""
    engines_dir: str = ""
    """folder of TensorRT's built engines; empty: `engines` in models.dir"""


class RenderConfig(ConfigTable, frozen=True):
    window: bool = True
    """show a window where there is a screen"""
    landmarks: bool = True
    """draw the five points of a face"""
    scale: Annotated[float, Meta(gt=0, le=4)] = 1.0
    """size of the window relative to the frame"""
    blur: Literal["none", "unknown", "all"] = "none"
    """faces made unrecognisable, in the window and in every recorded video: those without a name, or all"""


class RecordConfig(ConfigTable, frozen=True):
    dir: str = ""
    """folder of recordings and events; empty: nothing is recorded"""
    video: Literal["annotated", "clean", "none"] = "annotated"
    """what the video shows; `none`: events only"""
    codec: Literal["auto", "h264", "mpeg4"] = "auto"
    """auto: H.264 where the encoder is there, else MPEG-4"""
    file_hours: NotNegative = 24.0
    """a new video and event file is begun after so long; 0: one a run"""
    keep_days: NotNegative = 0.0
    """while recording, recordings in dir that ended longer ago are deleted; 0: never"""
    keep_gb: NotNegative = 0.0
    """the same for the oldest, where recordings take more than so many GB (1e9 bytes) together; 0: no limit"""


class PublishConfig(ConfigTable, frozen=True):
    enabled: bool = True
    """publish the detections topic"""
    endpoint: Annotated[str, Meta(pattern=r"^(tcp|ipc)://.+$")] = "tcp://127.0.0.1:5570"
    """ZeroMQ endpoint of the detections topic; without keys, of this machine only: a loopback address, or ipc://"""
    keys: str = ""
    """folder of keys (`jetstream keys`): only subscribers on its list may listen, on any endpoint; empty: no keys"""


class MetricsConfig(ConfigTable, frozen=True):
    enabled: bool = True
    """serve /metrics (Prometheus), /healthz and /readyz"""
    endpoint: Annotated[str, Meta(pattern=r"^http://(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}$")] = (
        "http://127.0.0.1:5571"
    )
    """where; loopback only, unless metrics.remote"""
    remote: bool = False
    """let other machines ask, which need no password: camera names, rates and counts, no people"""
    fresh_s: Positive = 5.0
    """/readyz: a camera whose newest followed frame is older isn't ready"""


class Config(ConfigTable, frozen=True):
    pipeline: PipelineConfig = PipelineConfig()
    models: ModelsConfig = ModelsConfig()
    cameras: tuple[CameraConfig, ...] = ()
    detect: DetectConfig = DetectConfig()
    track: TrackConfig = TrackConfig()
    recognize: RecognizeConfig = RecognizeConfig()
    gpu: GpuConfig = GpuConfig()
    render: RenderConfig = RenderConfig()
    record: RecordConfig = RecordConfig()
    publish: PublishConfig = PublishConfig()
    metrics: MetricsConfig = MetricsConfig()


PRESETS: Mapping[str, Mapping[str, Any]] = {
    # O-Net's 0.5 only lets weak detections continue tracks; a new one needs track.strong_score
    "fast": {"thresholds": (0.7, 0.7, 0.5), "search": "nth"},
    "accurate": {"thresholds": (0.6, 0.7, 0.5), "search": "always"},
    # measured: all 46 + 42 true faces of two labelled sets score over 0.94, the best false one 0.90
    "still": {"thresholds": (0.6, 0.7, 0.93), "search": "always"},
}


def with_preset(config: Config) -> Config:
    """`config` with every key that `detect.preset` decides filled in."""
    preset = PRESETS[config.detect.preset]
    missing = {key: value for key, value in preset.items() if getattr(config.detect, key) is None}
    return msgspec.structs.replace(config, detect=msgspec.structs.replace(config.detect, **missing))


def cuda_device(camera: CameraConfig, config: Config) -> int | None:
    """The GPU that decodes a camera; None: the CPU does."""
    return config.gpu.device if camera.decoder == "cuda" else None


def engines_dir(config: Config) -> Path:
    """The folder of TensorRT's engines."""
    return Path(config.gpu.engines_dir) if config.gpu.engines_dir else Path(config.models.dir) / "engines"


def run_dir(config: Config) -> Path:
    """The folder of this instance's sockets."""
    if config.pipeline.run_dir:
        return Path(config.pipeline.run_dir).absolute()
    if service := os.environ.get("RUNTIME_DIRECTORY"):
        return Path(service.split(":")[0])
    if session := os.environ.get("XDG_RUNTIME_DIR"):
        return Path(session) / "jetstream"
    return Path(f"/tmp/jetstream-{os.getuid()}")
