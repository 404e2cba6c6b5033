"""From pictures, video, a camera or a track of a running pipeline to photos in a person's folder."""
