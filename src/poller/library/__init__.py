"""The vehicle as the bimmer_connected library knows it: its model, its words, its JSON.

A view beside the road: pure functions from the answers that the journal holds (`answers`, then
`understand`), or from our readings where a source sends no such answer (`readings`), to a
`Vehicle`, and from that to the library's own keys (`keys`). Here alone its quirks are kept, as of
release 0.17.4; the signals know better. None of it does I/O or remembers anything.

For scripts there is more: `account` asks BMW and gives orders, `folder` reads captured answers.
"""
