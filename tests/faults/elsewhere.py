"""Faults whose tests lie with what they test: their rows of the table."""

from typing import NamedTuple


class Row(NamedTuple):
    test: str
    fault: str
    sees: str
    lost: str


ROWS = (
    Row(
        "tests/end_to_end/test_run.py::test_stage_killed_in_every_frame_pace_loses_no_frame",
        "kill -9 of stages, also two at once, every-frame pace",
        "the run ends as ever, exit 0",
        "nothing: every frame once",
    ),
    Row(
        "tests/end_to_end/test_run.py::test_full_shared_memory_is_one_sentence_before_anything_starts",
        "more frames asked for than /dev/shm can hold",
        "a sentence, exit 1",
        "nothing",
    ),
    Row(
        "tests/end_to_end/test_run.py::test_stop_signal_ends_all_and_leaves_nothing",
        "SIGTERM, Ctrl-C",
        "exit 0",
        "nothing",
    ),
    Row(
        "tests/end_to_end/test_run.py::test_endpoint_in_use_is_one_sentence",
        "another program has the topic's port",
        "a sentence, exit 2",
        "nothing",
    ),
    Row(
        "tests/topic/test_lost_port.py::test_cameras_neither_wait_for_the_topics_port_nor_end_without_it",
        "another program takes the topic's port while publish is started again",
        "a warning for each try; no topic until that program releases it; everything else continues",
        "the topic's frames meanwhile, counted",
    ),
    Row(
        "tests/stages/test_capture.py::test_stream_that_never_answers_does_not_hold_the_loop",
        "a camera hangs in open",
        "the process beats on; a driver that can't be interrupted ends its process, which is replaced",
        "that camera",
    ),
    Row(
        "tests/video/test_network.py::test_reading_a_stalled_stream_is_interrupted",
        "a camera hangs in read",
        "`no answer within ... s`, then it is opened again",
        "that camera's frames meanwhile",
    ),
    Row(
        "tests/video/test_stream.py::test_damaged_video_goes_on_and_is_the_same_each_time",
        "corrupt packets in a file",
        "a warning at the end; the same frames each time",
        "what can't be decoded",
    ),
    Row(
        "tests/video/test_sink.py::test_killed_writer_leaves_all_but_the_last_second",
        "kill -9 while a video is written",
        "the file plays",
        "at most the last second",
    ),
    Row(
        "tests/gallery/test_killed_training.py::test_kill_at_any_step_of_a_write_leaves_a_whole_gallery",
        "kill -9 while a gallery is written",
        "the old or the new gallery, whole",
        "nothing",
    ),
    Row(
        "tests/gallery/test_store.py::test_damaged_gallery_is_said_and_made_again",
        "gallery file corrupted",
        "a sentence; trained again from the photos",
        "nothing",
    ),
    Row(
        "tests/fuzz/test_pipeline.py::test_garbage_in_every_doorway_ends_no_process",
        "garbage in every socket",
        "drops `garbled`",
        "nothing",
    ),
    Row(
        "tests/monitoring/test_watched.py::test_supervisor_that_hangs_is_not_called_healthy",
        "kill -STOP of the supervisor",
        "/healthz 503; the watchdog isn't fed, so systemd starts it again",
        "nothing",
    ),
    Row(
        "tests/runtime/test_lost_gpu.py::test_stage_that_crashes_or_hangs_on_the_gpu_goes_on_on_the_cpu_when_told",
        'a GPU that is lost, `gpu.when_lost = "cpu"`',
        "one warning; it continues on the CPU",
        "live frames meanwhile",
    ),
)
