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
        "tests/end_to_end/test_decode.py::test_eight_cameras_are_decoded_by_one_process_whatever_is_killed",
        "kill -9 of decode, then of a capture, 8 cameras",
        "a warning; no other process starts again",
        "live frames meanwhile",
    ),
    Row(
        "tests/end_to_end/test_clips.py::test_killed_processes_cost_a_second_at_most",
        "kill -9 of clips and of a capture while a clip is written",
        "a warning each; the clip goes on",
        "at most 1.3 s of the clip with the capture, nothing with clips",
    ),
    Row(
        "tests/clips/test_camera_clips.py::test_full_disk_is_said_once_and_the_next_clip_is_made",
        "the disk of clips is full",
        "a warning; the clip goes on when there is room again",
        "of the clip, what is no longer in shared memory; it says how much",
    ),
    Row(
        "tests/video/gop/test_fragment_folder.py::test_no_reader_sees_a_torn_fragment_over_kills",
        "kill -9 of a capture while it writes fragments for clips",
        "a warning; no clip has a torn piece",
        "the second that was being written",
    ),
    Row(
        "tests/capturing/test_decoding.py::test_hung_decoder_is_replaced_and_the_other_camera_goes_on",
        "the decoder of one camera hangs in decode",
        "a warning; it is opened again, and the other cameras go on",
        "that camera's frames meanwhile",
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
    Row(
        "tests/runtime/test_change_over.py::test_gpu_that_fails_leaves_its_cameras_to_the_cpu_and_the_others_on_their_gpu",
        'one of two GPUs is lost, `gpu.when_lost = "cpu"`',
        "one warning; its cameras continue on the CPU, the others on their GPU",
        "live frames of its cameras meanwhile",
    ),
    Row(
        "tests/runtime/test_change_over.py::test_killed_build_starts_again_and_the_pipeline_goes_on",
        "kill -9 of build while it builds engines",
        "a warning; it starts again, and ONNX Runtime runs the networks until then",
        "nothing; finished engines stay",
    ),
    Row(
        "tests/runtime/test_change_over.py::test_stage_whose_engine_crashes_goes_on_without_it",
        "an engine that was built during the run crashes the process that opens it",
        "a warning; the stage goes on without it",
        "nothing",
    ),
    Row(
        "tests/gallery/test_layout.py::test_person_whose_photos_cannot_be_read_is_known_from_before",
        "one person's folder or photo can't be read any more",
        "a warning with the folder, the reason and what to do; that person stays known as learnt before",
        "nothing",
    ),
    Row(
        "tests/gallery/test_layout.py::test_whole_folder_that_cannot_be_read_leaves_the_people_known",
        "the whole faces folder can't be read at a start",
        "a warning; the gallery made before is used",
        "nothing",
    ),
    Row(
        "tests/gallery/test_removal.py::test_forget_erases_nothing_behind_a_link",
        "`forget` of a person whose folder is or holds a link",
        "the link goes; the original stays and is named",
        "nothing",
    ),
    Row(
        "tests/recording/test_retention.py::test_clock_that_is_far_ahead_deletes_nothing_for_its_age_and_is_said_once",
        "the clock is days to years ahead, with record.keep_days",
        "one warning; nothing is deleted for its age until the clock agrees again, or keep_days of running have passed",
        "nothing",
    ),
    Row(
        "tests/recording/test_wall_clock.py::test_wrong_clock_after_a_restart_of_the_machine_is_doubted_until_it_is_right",
        "a machine without a real-time clock starts in 1970",
        "one warning; nothing is deleted for its age until the network tells the time",
        "nothing",
    ),
    Row(
        "tests/test_files.py::test_disk_without_modes_is_written_and_said_once",
        "a disk that refuses or ignores chmod (CIFS, NTFS, FAT)",
        "one warning for each folder; everything is written",
        "nothing",
    ),
    Row(
        "tests/cli/test_cli.py::test_what_is_no_photo_is_said_in_one_line_with_the_first_and_listed",
        "films, raw files, folders and damaged pictures in a person's folder",
        "two warnings with the number, the first and the remedy; `people` lists all",
        "those files; the photos are learnt",
    ),
    Row(
        "tests/video/test_images.py::test_heic_of_tiles_that_is_cut_off_is_refused",
        "a photo that was copied only in part",
        "a sentence; the photo is `unreadable`",
        "that photo",
    ),
    Row(
        "tests/test_startup.py::test_run_starts_with_the_cameras_that_answer",
        "a camera is silent at the start and another answers",
        "`no picture yet; the run starts without it`; the others run",
        "that camera's frames meanwhile",
    ),
    Row(
        "tests/video/test_rtsp.py::test_packets_that_become_no_picture_have_a_limit",
        "packets arrive and none becomes a picture (encrypted stream)",
        "`it sends data, but no picture for ... s`, then it is opened again",
        "that camera's frames",
    ),
    Row(
        "tests/video/test_rtsp.py::test_stream_comes_in_the_first_way_that_the_server_takes",
        "an RTSP server refuses TCP",
        "nothing: UDP is used",
        "nothing",
    ),
    Row(
        "tests/video/test_web_pictures.py::test_failed_requests_are_no_loss_before_the_limit_and_one_sentence_then",
        "a snapshot camera answers 503 or not at all",
        "nothing before read_timeout_s; then a sentence, and it is asked again",
        "that camera's frames meanwhile",
    ),
    Row(
        "tests/web/test_flood.py::test_flood_takes_neither_memory_nor_the_loop_nor_the_place_of_who_is_logged_in",
        "a thousand connections to the page that send byte by byte, read nothing or wait",
        "nothing: who is logged in is answered",
        "nothing",
    ),
    Row(
        "tests/web/test_attacks.py::test_page_that_is_killed_amid_a_photo_leaves_nothing_and_no_process",
        "kill -9 of web while a photo is looked at",
        "the photo isn't there; it is sent again",
        "that photo; no part of it is left",
    ),
    Row(
        "tests/web/test_access_file.py::test_nobody_is_let_in_and_everybody_gets_a_sentence",
        "the page's file of users is damaged, locked, forbidden or a folder",
        "nobody is let in; a sentence (503), and the log says why",
        "nothing",
    ),
    Row(
        "tests/end_to_end/test_sources.py::test_source_that_opens_again_slowly_is_not_killed_and_a_silent_camera_holds_nothing_up",
        "a source takes longer to open again than heartbeat_timeout_s",
        "nothing: it isn't killed",
        "that camera's frames meanwhile",
    ),
    Row(
        "tests/video/test_pixels.py::test_orientation_may_change_on_the_way",
        "a stream turns on the way",
        "upright from that frame on",
        "nothing",
    ),
    Row(
        "tests/end_to_end/test_cleaned_up.py::test_stage_that_dies_after_a_clean_up_comes_back",
        "the run directory and the names in /dev/shm are removed, and a stage is killed",
        "one warning; all processes start again; a second pipeline is refused",
        "live frames meanwhile; tracks",
    ),
    Row(
        "tests/runtime/test_run_dir.py::test_systemd_tmpfiles_ages_nothing_of_it",
        "systemd-tmpfiles ages the run directory",
        "nothing: the folder is locked",
        "nothing",
    ),
    Row(
        "tests/runtime/test_run_dir.py::test_folder_that_cannot_be_made_again_or_was_taken_is_one_sentence",
        "the run directory is removed and can't be made again (log-out without linger)",
        "a sentence, exit 1",
        "the run",
    ),
    Row(
        "tests/cli/test_streams.py::test_full_disk_under_standard_output_is_one_sentence",
        "disk full under standard output",
        "a sentence, exit 1",
        "the output",
    ),
    Row(
        "tests/vision/tracking/test_tracker.py::test_camera_that_slows_at_night_and_back_has_one_id",
        "a camera slows from 25 to 2 frames a second and back",
        "nothing: tracks and names stay",
        "nothing",
    ),
    Row(
        "tests/end_to_end/test_sightings.py::test_killed_stage_splits_no_sighting_and_loses_no_message",
        "kill -9 of sightings, track or publish while sightings are open",
        "a warning; the sightings go on with their ids, and the topic's numbers have no gap",
        "nothing",
    ),
    Row(
        "tests/end_to_end/test_sightings.py::test_killed_run_closes_its_sightings_at_the_next_start",
        "kill -9 of a whole run with open sightings",
        "the next start ends them where they were seen last",
        "at most the last second of them",
    ),
    Row(
        "tests/end_to_end/test_sightings.py::test_second_pipeline_on_a_folder_is_told_and_disturbs_nothing",
        "two pipelines write sightings to one folder",
        "a warning of the second, `give each pipeline its own sightings.dir`",
        "the second one's sightings",
    ),
    Row(
        "tests/sightings/test_recorder.py::test_full_disk_stops_nothing_and_nothing_is_missing_afterwards",
        "disk full under the sightings",
        "`sightings wait in memory, and everything else goes on`, once; then `nothing is missing`",
        "pictures meanwhile",
    ),
    Row(
        "tests/sightings/test_teller.py::test_changes_are_told_once_where_the_disk_is_full",
        "disk full where `publish` notes what it told",
        "nothing: each change is told once",
        "nothing",
    ),
    Row(
        "tests/sightings/test_recorder.py::test_sightings_wait_while_another_program_writes",
        "another program holds the database of sightings locked",
        "`database is locked; sightings wait in memory`, once",
        "nothing",
    ),
    Row(
        "tests/sightings/test_recorder.py::test_damaged_database_is_kept_beside_a_new_one",
        "the database of sightings is damaged",
        "a warning; it is kept under another name, and a new one begins",
        "the sightings before, unless a backup is restored",
    ),
    Row(
        "tests/sightings/test_recorder.py::test_database_that_is_replaced_during_a_run_loses_no_open_sighting",
        "the database of sightings is damaged, replaced or removed during a run",
        "a warning; a new one begins, with the open sightings",
        "the ended sightings that were in it",
    ),
    Row(
        "tests/sightings/test_database.py::test_database_of_a_newer_version_is_refused_and_stays",
        "the database of sightings is of a newer jetstream",
        "a sentence; it isn't changed",
        "sightings, until jetstream is updated",
    ),
    Row(
        "tests/sightings/test_recorder.py::test_wall_clock_that_jumps_changes_no_length",
        "wall clock jumps by an hour during a sighting",
        "nothing: its length is right",
        "nothing",
    ),
    Row(
        "tests/sightings/test_retention.py::test_clock_that_leapt_deletes_nothing",
        "the clock is a year ahead, with sightings.keep_days",
        "one warning; no sighting is deleted for its age",
        "nothing",
    ),
)
