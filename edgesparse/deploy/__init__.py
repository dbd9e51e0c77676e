"""Ways to run a model image: in this process, in QEMU, on a board."""
