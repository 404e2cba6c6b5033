"""Every table, key, default and range of a config. Nothing else defines any of them.

The string below a key is its description in the reference. Knows no file (`load` reads them), no stage and no device.
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
TOPIC = r"^([^\s#+/][^\s#+]{0,199})?$"
BROKER = r"^(mqtts?://([^@/\s]+@)?(\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?/?)?$"
Pace = Literal["live", "every-frame"]
StageName = Literal[
    "capture",
    "decode",
    "detect",
    "track",
    "recognize",
    "render",
    "record",
    "publish",
    "sightings",
    "web",
    "encode",
    "learn",
    "regroup",
    "build",
    "clips",
    "alerts",
    "metrics",
    "mqtt",
]
AlertKind = Literal["enter", "exit", "named", "unknown", "zone", "stranger_again", "camera_down"]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class ConfigTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of every table. An unknown key is an error, which names the nearest known key."""


class PipelineConfig(ConfigTable, frozen=True):
    pace: Pace = "live"
    """live: no stage waits, and late frames are dropped and counted. every-frame: no frame is dropped, capture waits"""
    run_dir: str = ""
    """folder of sockets and locks. Empty: $RUNTIME_DIRECTORY, $XDG_RUNTIME_DIR/jetstream or /tmp/jetstream-UID"""
    slots: Annotated[int, Meta(ge=2, le=256)] = 16
    """frames in each camera's ring in shared memory"""
    packets_mb: Annotated[int, Meta(ge=1, le=1024)] = 16
    """live: MB of each camera's ring of packets in shared memory, if its decoder is shared or shared-cuda. 16 MB hold
    16 s at 8 Mbit/s; a key frame may take half of it"""
    queue_frames: Annotated[int, Meta(ge=1, le=64)] = 4
    """live: frames of a camera that may wait at a stage; the oldest is dropped beyond that"""
    heartbeat_timeout_s: Positive = 5.0
    """a process that sends no heartbeat for longer is killed and restarted"""
    start_timeout_s: Positive = 60.0
    """time limit for a process to send its first heartbeat"""
    stop_timeout_s: Positive = 5.0
    """time to finish after Ctrl-C or SIGTERM. After it, processes are killed"""
    restarts: Annotated[int, Meta(ge=0)] = 5
    """restarts of one process within restart_window_s that are allowed. One more ends the pipeline with exit code 1;
    publish, sightings, web, encode, learn, regroup, build, clips, alerts, metrics and mqtt are retried instead"""
    restart_window_s: Positive = 60.0
    """time in which restarts are counted"""
    memory_mb: NotNegative = 0.0
    """MB of private memory that a process may use. Above it, the process is killed and restarted. 0: half of the
    machine's memory"""
    without: tuple[StageName, ...] = ()
    """stages that are not started. Start each yourself with `jetstream run CONFIG --stage NAME`"""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """lowest level that is logged"""
    log_format: Literal["text", "json"] = "text"
    """text: lines on standard error, or fields if standard error is systemd's journal. json: a JSON object a line"""
    wait_for_cameras: bool = False
    """start even if no camera answers, and retry each one. Useful for a service"""


class ModelsConfig(ConfigTable, frozen=True):
    dir: str = "models"
    """folder of the built models and of the galleries, which hold the embeddings"""


class ZoneConfig(ConfigTable, frozen=True):
    name: Name
    """name in sightings: letters, digits, `_` and `-`"""
    polygon: Annotated[tuple[tuple[float, float], ...], Meta(min_length=3, max_length=64)]
    """corners, x and y in px of the frame. A face is in the zone while the centre of its box is inside"""


class CameraConfig(ConfigTable, frozen=True):
    name: Name
    """name in events and file names: letters, digits, `_` and `-`"""
    source: Annotated[str, Meta(min_length=1)]
    """camera index, /dev path or by-id name, rtsp:// or http:// URL, `gst: PIPELINE`, file of a video or picture,
    folder or glob of images, or `demo`. `${NAME}` in a URL is replaced by the environment variable"""
    password_file: str = ""
    """file of mode 0600 that holds the password for the user in the URL. Empty: no password file"""
    decoder: Literal["cpu", "cuda", "shared", "shared-cuda"] = "cpu"
    """what decodes cameras, streams and videos. cpu: the process that reads the camera. cuda: that process, by NVDEC on
    the camera's GPU (gpu.device, gpu.devices); a source that it can't decode is refused. shared, shared-cuda: the same,
    but live a process for 25 of them decodes the network streams and videos of these cameras, so that a connection
    outlives its decoder"""
    fps: NotNegative = 0.0
    """largest number of frames a second to process. 0: all frames"""
    max_width: Annotated[int, Meta(ge=16, le=16384)] = 1920
    """px of the upright picture. Wider frames are scaled down; the aspect ratio stays"""
    max_height: Annotated[int, Meta(ge=16, le=16384)] = 1080
    """px of the upright picture. Higher frames are scaled down; the aspect ratio stays"""
    rotate: Literal[0, 90, 180, 270] = 0
    """degrees clockwise by which the picture is turned, for a camera that is mounted on its side or its head. An
    orientation that the source itself states is applied before"""
    flip: Literal["", "horizontal", "vertical", "both"] = ""
    """how the picture is mirrored after rotate. horizontal: left and right change places. Empty: not at all"""
    loop: bool = False
    """play a file again from its start when it ends"""
    image_fps: Positive = 25.0
    """frame rate of a folder or glob of images"""
    open_timeout_s: Positive = 10.0
    """time limit to open a camera. Beyond it, opening is retried later"""
    read_timeout_s: Positive = 10.0
    """time limit for the next frame of a camera. Beyond it, the camera is opened again"""
    area: str = ""
    """where the camera is, such as `kitchen`, for `jetstream presence`. Several cameras may share one. Empty: the
    camera's name"""
    zones: tuple[ZoneConfig, ...] = ()
    """parts of the picture that have a name"""


class IgnoreConfig(ConfigTable, frozen=True):
    box: tuple[float, float, float, float]
    """x1, y1, x2, y2 in px. Faces whose centre is inside are not reported"""
    camera: str = ""
    """name of the camera. Empty: all cameras"""


class DetectConfig(ConfigTable, frozen=True):
    detector: str = "mtcnn"
    """network that finds faces: mtcnn, or the name of a detector that `jetstream models add` added"""
    preset: Literal["fast", "accurate", "still"] = "fast"
    """values of thresholds and search where they are unset. fast: 0.7 0.7 0.5, "nth". accurate: 0.6 0.7 0.5, "always".
    still: 0.6 0.7 0.93, "always", for single pictures, where no track confirms a face"""
    thresholds: tuple[Probability, Probability, Probability] | None = None
    """least scores of P-Net, R-Net and O-Net. Unset: as preset says"""
    factor: Annotated[float, Meta(ge=0.3, le=0.9)] = 0.709
    """size of each pyramid level relative to the one before. 0.709 halves the pixels"""
    min_face_px: Annotated[float, Meta(ge=12)] = 40.0
    """side of the smallest face that is searched for, px"""
    max_face_px: NotNegative = 0.0
    """side of the largest face that is reported, px. 0: no limit"""
    search: Literal["always", "nth", "motion"] | None = None
    """when whole frames are searched. always: every frame. nth: every Nth. motion: every Nth, and frames in which
    something moved. Unset: as preset says"""
    search_every: Count = 4
    """the N of search. In the frames between, only the faces found last are verified"""
    search_every_most: Annotated[int, Meta(ge=0)] = 24
    """live: N grows up to this while frames are dropped because detect is too slow, and shrinks again afterwards. 0: N
    doesn't change"""
    motion_threshold: Fraction = 0.02
    """share of the picture that must change for it to be searched"""
    ignore: tuple[IgnoreConfig, ...] = ()
    """regions whose faces are not reported"""
    batch: Annotated[int, Meta(ge=1, le=64)] = 8
    """live: largest number of frames, of different cameras, in one batch"""
    threads: Annotated[int, Meta(ge=1, le=64)] = 1
    """inference threads"""
    processes: Annotated[int, Meta(ge=1, le=16)] = 1
    """processes of detect that share the cameras; with gpu.devices, so many for each of these GPUs"""


class TrackConfig(ConfigTable, frozen=True):
    strong_score: Fraction = 0.9
    """a detection of at least this score is strong: it may start a track. Weaker ones only continue tracks"""
    instant_score: Fraction = 0.98
    """a new track is confirmed at once if its detection has at least this score"""
    min_iou: Fraction = 0.15
    """least overlap (intersection over union) of a strong detection with its track"""
    min_weak_iou: Fraction = 0.3
    """least overlap of a weak detection with its track"""
    confirm_s: NotNegative = 0.06
    """any other new track is confirmed by a detection at least this long after its first one"""
    tentative_s: NotNegative = 0.12
    """a track that isn't confirmed is deleted after this long without a detection"""
    hold_s: NotNegative = 0.13
    """a confirmed track becomes lost after this long without a detection"""
    max_lost_s: NotNegative = 2.0
    """a track is deleted after this long without a detection"""
    kalman: Literal["scalar", "filterpy"] = "scalar"
    """what computes where a face should be now. Both are the same Kalman filter and give the same boxes. scalar: the
    fastest; filterpy: that package's 8x8 matrices, for 16 times the processor time, as a check on the first"""
    processes: Annotated[int, Meta(ge=0, le=64)] = 0
    """processes that share the cameras. 0: one for each 32 cameras"""
    half_life_s: Positive = 4.0
    """age at which an answer of recognition has half its weight in the vote for a name"""


class RecognizeConfig(ConfigTable, frozen=True):
    faces: str = "faces"
    """folder of photos, `<name>/*.jpg`. `demo`: the one known person of the demo"""
    max_distance: Annotated[float, Meta(gt=0, le=2)] | None = None
    """largest embedding distance at which a face gets a name. Unset: calibrated by false_accept_rate"""
    false_accept_rate: Annotated[float, Meta(ge=0.00001, le=0.2)] = 0.003
    """share of strangers' looks that may get a name, for which the gallery's thresholds are calibrated. In open-set
    identification this is the false positive identification rate (FPIR). For whom it holds: docs/people.md"""
    model: str = ""
    """network that compares faces: sface, dlib, or the name of one that `jetstream models add` added. Empty: the one of
    the gallery that exists, else sface"""
    mirror: bool | None = None
    """average the embeddings of a face and its mirror image, for twice the time. Unset: with dlib only, where it makes
    fewer errors"""
    min_quality: Fraction = 0.05
    """faces of lower quality are not recognised: too small, blurred, turned, dark, cut by the border, or covered.
    Applies to the estimate from box and landmarks, before a face is sent to recognition, and to the quality measured
    there"""
    watch_s: NotNegative = 2.0
    """live: time between two checks for changed photos, after which the gallery is trained. 0: no checks"""
    budget_per_s: Positive = 20.0
    """largest number of faces of one camera that are recognised in a second"""
    retry_s: NotNegative = 0.15
    """a track without a certain name is recognised again after this time, then after ever longer ones"""
    refresh_s: NotNegative = 1.0
    """a track with a certain name is recognised again after this time"""
    batch: Annotated[int, Meta(ge=1, le=256)] = 32
    """largest number of faces in one inference; SFace on a CPU takes one, where more at once are slower"""
    threads: Annotated[int, Meta(ge=1, le=64)] = 1
    """inference threads"""


class GpuConfig(ConfigTable, frozen=True):
    backend: Literal["auto", "tensorrt", "onnxruntime", "cpu"] = "auto"
    """what runs the networks. auto: the fastest that works on this machine; the log names it. onnxruntime: its CUDA
    provider"""
    device: Annotated[int, Meta(ge=0, le=63)] = 0
    """number of the GPU, as in `jetstream doctor`. With devices: the one of them for what runs in one process, such as
    commands and training; unset, the first"""
    devices: tuple[Annotated[int, Meta(ge=0, le=63)], ...] = ()
    """numbers of several GPUs that share the cameras, as `[0, 1]`: detect, recognize and decode have a process for
    each. Empty: device alone"""
    bindings: Literal["auto", "pycuda", "cuda-core"] = "auto"
    """Python package that calls CUDA for TensorRT and the kernels. auto: PyCUDA where it can be imported, else
    cuda-core"""
    precision: Literal["fp16", "fp32"] = "fp16"
    """arithmetic of TensorRT. fp16 is faster; fp32 gives the same results as the CPU. fp16 is for O-Net and dlib's
    embedder; P-Net, R-Net, SFace and added networks are always computed in fp32"""
    batch: Annotated[int, Meta(ge=4, le=512)] = 128
    """crops in one inference of R-Net on a GPU; 4 or 16 times as many if more crops wait. O-Net takes a quarter"""
    max_wait_ms: NotNegative = 0.0
    """live: longest time to wait for frames of other cameras to fill a batch, ms. 0: no waiting"""
    when_lost: Literal["restart", "cpu"] = "restart"
    """what to do when detect or recognize fails twice within pipeline.restart_window_s. restart: restart it as before.
    cpu: restart it on the CPU"""
    engines_dir: str = ""
    """folder of the built TensorRT engines. Empty: `engines` in models.dir"""


class RenderConfig(ConfigTable, frozen=True):
    window: bool = True
    """show a window if there is a screen"""
    landmarks: bool = True
    """draw the five landmarks of each face"""
    scale: Annotated[float, Meta(gt=0, le=4)] = 1.0
    """size of the window relative to the frames"""
    blur: Literal["none", "unknown", "all"] = "none"
    """faces that are blurred beyond recognition, in the window and in every video: none, unknown (those without a name)
    or all"""


class RecordConfig(ConfigTable, frozen=True):
    dir: str = ""
    """folder of videos and events. Empty: nothing is recorded"""
    video: Literal["annotated", "clean", "none"] = "annotated"
    """annotated: video with boxes and names. clean: video without them. none: no video, events only"""
    codec: Literal["auto", "h264", "mpeg4"] = "auto"
    """codec of the video. auto: H.264 if its encoder is installed, else MPEG-4"""
    file_hours: NotNegative = 24.0
    """a new video file and a new event file are started after this many hours. 0: one of each a run"""
    keep_days: NotNegative = 0.0
    """recordings in dir that ended more than this many days ago are deleted while recording runs. 0: never"""
    keep_gb: NotNegative = 0.0
    """the oldest recordings in dir are deleted while all take more than this many GB (1e9 bytes). 0: no limit"""


class ClipsConfig(ConfigTable, frozen=True):
    dir: str = ""
    """folder of clips: one for each sighting, or for several that overlap. Only this user can read it. Empty: none"""
    pre_s: Annotated[float, Meta(ge=0, le=120)] = 5.0
    """a clip begins at least this long before its sighting"""
    post_s: Annotated[float, Meta(ge=0, le=120)] = 5.0
    """a clip goes on for this long after its sighting"""
    part_s: Annotated[float, Meta(ge=10, le=3600)] = 300.0
    """a longer sighting has several clips, one after another"""
    ring_mb: Annotated[int, Meta(ge=4, le=4096)] = 32
    """MB of shared memory that the newest seconds of a camera may take. Where they need more, clips begin later"""
    audio: bool = False
    """clips have the camera's sound, where MP4 can have it (AAC, Opus, MP3, FLAC)"""
    keep_days: NotNegative = 14.0
    """clips that ended more than this many days ago are deleted. 0: never"""
    keep_gb: NotNegative = 10.0
    """the oldest clips are deleted while all take more than this many GB (1e9 bytes). 0: no limit"""


class PublishConfig(ConfigTable, frozen=True):
    enabled: bool = True
    """publish the detections topic"""
    endpoint: Annotated[str, Meta(pattern=r"^(tcp|ipc)://.+$")] = "tcp://127.0.0.1:5570"
    """ZeroMQ endpoint of the detections topic. Without keys it must be a loopback address or ipc://"""
    keys: str = ""
    """folder of keys, made by `jetstream keys`. Only subscribers on its allow list may connect, at any endpoint. Empty:
    no keys"""


class SightingsConfig(ConfigTable, frozen=True):
    enabled: bool = True
    """record sightings: who was at which camera, from when to when"""
    dir: str = "sightings"
    """folder of the database and of the pictures of faces. Only this user can read it"""
    confirm_s: NotNegative = 0.5
    """a face begins a sighting when it has been followed for this long"""
    absence_s: Positive = 30.0
    """a sighting ends when its face hasn't been seen for this long. Until then a return continues it"""
    looks: Annotated[int, Meta(ge=0, le=10)] = 3
    """largest number of pictures of the face that a sighting keeps. 0: none, so strangers are not told apart"""
    keep_days: NotNegative = 365.0
    """sightings of known people that ended more than this many days ago are deleted. 0: never"""
    keep_strangers_days: NotNegative = 30.0
    """sightings of strangers that ended more than this many days ago are deleted. 0: never"""
    keep_gb: NotNegative = 5.0
    """the oldest pictures of faces are deleted while all take more than this many GB (1e9 bytes). 0: no limit"""


class PresenceConfig(ConfigTable, frozen=True):
    away_s: Positive = 300.0
    """a person who hasn't been seen at any camera for this long is away"""


class MetricsConfig(ConfigTable, frozen=True):
    enabled: bool = True
    """serve /metrics (Prometheus), /healthz and /readyz"""
    endpoint: Annotated[str, Meta(pattern=r"^http://(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}$")] = (
        "http://127.0.0.1:5571"
    )
    """address of the HTTP server. It must be a loopback address unless metrics.remote is true"""
    remote: bool = False
    """allow other machines to read metrics, without a password. They see camera names, rates and counts, no people"""
    fresh_s: Positive = 5.0
    """/readyz: a camera is ready while its newest tracked frame is not older"""


class WebConfig(ConfigTable, frozen=True):
    enabled: bool = True
    """serve the page: live pictures, strangers to sort, people, sightings"""
    endpoint: Annotated[str, Meta(pattern=r"^https?://(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}$")] = (
        "http://127.0.0.1:5572"
    )
    """address of the page. One that other machines can reach needs a user (`jetstream users add NAME`), and either
    https with cert and key, or behind_proxy"""
    dir: str = "web"
    """folder of users, sessions and tokens. Only this user can read it"""
    cert: str = ""
    """file of the TLS certificate, with those that it depends on, for an https endpoint"""
    key: str = ""
    """file of the certificate's private key"""
    behind_proxy: bool = False
    """a reverse proxy ends TLS, and nobody reaches the endpoint but through it"""
    proxies: tuple[str, ...] = ()
    """addresses of proxies. The address of a client is taken from their header X-Forwarded-For"""
    memory_mb: Positive = 1000.0
    """MB of private memory that the page's process may use. Above it, the process is killed and restarted"""


class MqttConfig(ConfigTable, frozen=True):
    enabled: bool = False
    """tell an MQTT broker, and so Home Assistant, of sightings. Needs sightings.enabled"""
    broker: Annotated[str, Meta(pattern=BROKER)] = ""
    """address of the broker, `mqtt://USER@HOST:1883`, or `mqtts://USER@HOST:8883` for TLS. `${NAME}` is replaced by the
    environment variable"""
    password_file: str = ""
    """file of mode 0600 that holds the password for the user in the address. Empty: no password file"""
    ca: str = ""
    """file of the certificate that the broker's one is signed with. Empty: those of the system"""
    cert: str = ""
    """file of this client's own TLS certificate, for a broker that asks for one"""
    key: str = ""
    """file of the private key of cert"""
    client_id: str = ""
    """name of this client at the broker, which no other may have. Empty: made of prefix and the machine's name"""
    prefix: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,40}(/[A-Za-z0-9_-]{1,40}){0,3}$")] = "jetstream"
    """what the topics begin with. Two instances at one broker need different ones"""
    discovery: Annotated[str, Meta(pattern=r"^([A-Za-z0-9_-]{1,40}(/[A-Za-z0-9_-]{1,40}){0,3})?$")] = "homeassistant"
    """what Home Assistant's discovery topics begin with. Empty: no discovery"""
    faces: bool = False
    """send the face of each camera's last sighting, as a picture that Home Assistant shows"""
    commands: bool = False
    """let who may write to the broker switch off the recording of a camera, and hide all faces of it"""
    also: Literal["", "frigate"] = ""
    """a second form of the events. frigate: `frigate/tracked_object_update`, as automations for Frigate take it"""


class AlertConfig(ConfigTable, frozen=True):
    name: Name
    """name in messages and commands: letters, digits, `_` and `-`"""
    when: tuple[AlertKind, ...]
    """what is told. enter, exit: a sighting began, ended. named: it got a name. unknown: it has no name after
    unknown_after_s. zone: a face was in one of zones. stranger_again: a stranger who was seen before. camera_down: a
    camera gives no frames for down_s, and told again when it does"""
    who: tuple[str, ...] = ()
    """names of people; enter, exit, named and zone are told of them only. Empty: of everybody"""
    cameras: tuple[str, ...] = ()
    """only at these cameras. Empty: at all"""
    areas: tuple[str, ...] = ()
    """only in these areas. Empty: in all"""
    zones: tuple[str, ...] = ()
    """zones of which `zone` tells"""
    hours: str = ""
    """only at this time of day, local time, such as `22:00-06:00`, over midnight. Empty: at any time"""
    days: tuple[Weekday, ...] = ()
    """only on these days; hours over midnight belong to the day on which they begin. Empty: on every day"""
    cooldown_s: NotNegative = 60.0
    """time in which the same isn't told again of the same person, stranger or camera. Strangers without a number count
    as one at each camera"""
    unknown_after_s: NotNegative = 5.0
    """time after the begin of a sighting at which it is told as unknown. Recognition needs some moments for a name"""
    down_s: Annotated[float, Meta(ge=5)] = 60.0
    """time without frames after which a camera is down"""
    webhook: str = ""
    """address to which each alert is sent by POST, https:// or, with private, http://. `${NAME}` is replaced by the
    environment variable"""
    command: tuple[str, ...] = ()
    """program and its arguments, run for each alert without a shell, with the alert as JSON on its standard input"""
    mqtt: Annotated[str, Meta(pattern=TOPIC)] = ""
    """topic to which each alert is published, at the broker in `[mqtt]`, whether that is enabled or not"""
    secret_file: str = ""
    """webhook: file of mode 0600 with the secret of the signature (HMAC-SHA256). Empty: not signed"""
    headers: dict[str, str] = {}
    """webhook: further headers. `${NAME}` is replaced by the environment variable"""
    body: dict[str, str | int | bool] = {}
    """webhook: the JSON that another service asks for, in which `{text}`, `{alert}`, `{type}`, `{who}`, `{camera}`,
    `{area}`, `{zone}` and `{time}` are replaced, and `${NAME}` as in headers. Empty: jetstream's own"""
    looks: bool = False
    """webhook: send the best picture of the face, too"""
    private: bool = False
    """webhook: its host may be in a private network or on this machine"""
    ca_file: str = ""
    """webhook: file of the certificates by which the host's is verified. Empty: those of the system"""
    send_timeout_s: Annotated[float, Meta(gt=0, le=60)] = 10.0
    """time limit of one delivery. Beyond it, it is tried again later"""


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
    sightings: SightingsConfig = SightingsConfig()
    presence: PresenceConfig = PresenceConfig()
    clips: ClipsConfig = ClipsConfig()
    metrics: MetricsConfig = MetricsConfig()
    web: WebConfig = WebConfig()
    mqtt: MqttConfig = MqttConfig()
    alerts: tuple[AlertConfig, ...] = ()


PRESETS: Mapping[str, Mapping[str, Any]] = {
    # detections of 0.5 to track.strong_score only continue tracks; a new track needs a stronger one
    "fast": {"thresholds": (0.7, 0.7, 0.5), "search": "nth"},
    "accurate": {"thresholds": (0.6, 0.7, 0.5), "search": "always"},
    # measured on two labelled sets: all 46 + 42 faces score over 0.94, the best false one 0.90
    "still": {"thresholds": (0.6, 0.7, 0.93), "search": "always"},
}


def with_preset(config: Config) -> Config:
    """`config` with every key that `detect.preset` decides filled in."""
    preset = PRESETS[config.detect.preset]
    missing = {key: value for key, value in preset.items() if getattr(config.detect, key) is None}
    return msgspec.structs.replace(config, detect=msgspec.structs.replace(config.detect, **missing))


def is_decoded_on_gpu(camera: CameraConfig) -> bool:
    """Whether NVDEC decodes a camera."""
    return camera.decoder in ("cuda", "shared-cuda")


def cuda_device(camera: CameraConfig, config: Config) -> int | None:
    """The number of the GPU that decodes a camera; None: the CPU decodes it."""
    return config.gpu.device if is_decoded_on_gpu(camera) else None


def decodes_apart(camera: CameraConfig, config: Config) -> bool:
    """Whether a camera's video, if it is any, is decoded in another process than the one that reads it."""
    return config.pipeline.pace == "live" and camera.decoder in ("shared", "shared-cuda")


FILMS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".ts", ".m2ts")


def may_be_encoded(camera: CameraConfig, config: Config) -> bool:
    """Whether clips of a camera may need its pictures to be encoded: where faces are blurred. Else not where packets
    come by RTSP or from a film, of whose codecs MP4 has all but JPEG; of the rest, that is known once it is open."""
    source = camera.source.lower()
    return config.render.blur != "none" or not (source.startswith(("rtsp://", "rtsps://")) or source.endswith(FILMS))


def engines_dir(config: Config) -> Path:
    """The folder of the built TensorRT engines."""
    return Path(config.gpu.engines_dir) if config.gpu.engines_dir else Path(config.models.dir) / "engines"


def area_of(camera: CameraConfig) -> str:
    """The name of the area that a camera sees."""
    return camera.area or camera.name


def run_dir(config: Config) -> Path:
    """The folder of this instance's sockets."""
    if config.pipeline.run_dir:
        return Path(config.pipeline.run_dir).absolute()
    if service := os.environ.get("RUNTIME_DIRECTORY"):
        return Path(service.split(":")[0])
    if session := os.environ.get("XDG_RUNTIME_DIR"):
        return Path(session) / "jetstream"
    return Path(f"/tmp/jetstream-{os.getuid()}")
