"""How providers are doing: metrics of real traffic, and a monitor that looks by itself."""
