"""Enrolment: takes photos of a person from pictures, video, a camera, or a track of a running pipeline."""
