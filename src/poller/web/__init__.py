"""Page, API, metrics and health over HTTP; and the control socket."""
