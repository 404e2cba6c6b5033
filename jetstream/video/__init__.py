"""Where frames come from and where they go: `source` (camera, stream, file, images, demo), `sink` (a video file).

Opens no shared memory and knows no face, no message and no config.
"""
