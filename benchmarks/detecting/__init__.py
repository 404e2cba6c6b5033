"""What `bench_detect.py` consists of."""
