"""One prompt on several models at once: what each answers, how fast, and what it costs."""
