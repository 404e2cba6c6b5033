"""Sources and sinks of frames: `source` (camera, stream, file, images, demo), `sink` (video file), `window`.

Opens no shared memory and knows no face, no message and no config.
"""
