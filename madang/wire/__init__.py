"""Pure codecs: bytes ⇄ values, no I/O, no clock. See README.md."""
