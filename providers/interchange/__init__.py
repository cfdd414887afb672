"""Fixtures of other tools: aimock's are read and written, cassettes of VCR are read. No code in them is ever run."""
