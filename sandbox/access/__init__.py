"""Who asks: API keys and signed tokens, what they allow, and how they are made."""
