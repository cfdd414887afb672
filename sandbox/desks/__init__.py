"""What the rooms of a screen have a gateway do, wherever the screen is: in this program, or attached from elsewhere.

Each work is a function of the runtime that tells what comes of it as plain data. No widget, and no HTTP.
"""
