"""What each vendor's requests, replies, streams and errors look like. Pure; one dialect a file."""
