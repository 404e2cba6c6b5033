"""Sources and sinks of frames: `source` (camera, stream, file, images, demo), `sink` (video file), `window`.

Opens no shared memory but the packets' (`gop`), and knows no face, no message and no config.
"""
