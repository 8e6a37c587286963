"""Sources that an offline study needs: functions of packages, and weights in GGUF files."""
