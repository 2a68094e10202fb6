"""The edges through which devices and other systems reach the hub: I/O around the codecs of `madang.wire`. See README.md."""
