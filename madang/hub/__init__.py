"""Use cases. Each takes a Caller. The hub asks for its store and its clock (`ports`) and is told which services there are."""
