//! Where in its code a process waits: real programs of each runtime, blocked in a named function.
