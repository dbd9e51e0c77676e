"""What a device says of itself: bytes -> frames -> records -> runs, and the log that keeps it."""
