"""The yardstick: what models cost on boards, to the digit, and whether that grew."""
