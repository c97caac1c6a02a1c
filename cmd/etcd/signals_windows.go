package main

// ignoreWriteSignals has nothing to do: a write raises no signal here.
func ignoreWriteSignals() {}

// hasTerminal does not matter: there is no SIGHUP. When the console is closed, the user logs
// off or the system shuts down, the process gets what the runtime of Go calls SIGTERM, and
// has a few seconds to stop before it is ended; Ctrl-C is SIGINT.
func hasTerminal() bool { return false }
