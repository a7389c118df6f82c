// The Go host: all agents of the fleet that are written in Go, in one program. A plan says which of
// them a process serves.
package main

import (
	"os"

	"tandem/polyglot/agents/filedigest"
	"tandem/polyglot/kit/hosting"
)

func main() {
	os.Exit(hosting.Serve(os.Args[1:], filedigest.Agent))
}
