// Calls one agent: `go run ./example` over the mesh, `go run ./example HOST:PORT` over the edge.
package main

import (
	"context"
	"log"
	"os"
	"time"

	"google.golang.org/grpc"

	tandem "@@name@@"
	contract "@@name@@/@@folder@@"
)

func main() {
	channel, err := dial()
	if err != nil {
		log.Fatal(err)
	}
	defer channel.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	agent := contract.New@@service@@Client(channel)
	answer, err := agent.@@method@@(ctx, &contract.@@request@@{@@fields@@})
	if err != nil {
		log.Fatalf("%v (%v)", err, tandem.ErrorInfo(err))
	}
	log.Print(answer)
}

func dial() (*grpc.ClientConn, error) {
	if len(os.Args) > 1 {
		return tandem.DialAddress(os.Args[1])
	}
	return tandem.Dial()
}
