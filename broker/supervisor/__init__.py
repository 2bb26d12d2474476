"""One machine's processes: started, watched, restarted and ended together."""
