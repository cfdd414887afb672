"""Takes over what other programs are configured with: their files become settings, with what has no equivalent told."""
