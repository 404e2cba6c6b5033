"""What the stages that write frames share: `frame_writer` (into the ring), `retrying` (a source that fails is opened
again), `packets` (a stream's packets, for another process to decode), `decoding` (that process's cameras) and
`decoder_thread`."""
