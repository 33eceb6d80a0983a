"""What this machine's processor can do."""

from pathlib import Path


def has_bf16() -> bool:
    """Does the CPU compute in bfloat16 itself (AVX512-BF16 or AMX)? Emulated, it is 2-4 times slower than float32."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags
