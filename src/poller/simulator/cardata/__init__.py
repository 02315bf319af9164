"""A fake BMW CarData: device login, REST with its quota, the stream."""
