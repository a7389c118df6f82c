// Makes the calls that a test asks for and counts who answered: see ../README.md.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strings"
	"sync"
	"time"
	"unicode"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	tandem "tandem.internal/client"
	contract "tandem.internal/client/tandem/utility/v1"
)

const toldEvery = 50

type calls struct {
	Address string            `json:"address"`
	Count   int               `json:"count"`
	AtOnce  int               `json:"at_once"`
	PauseMs time.Duration     `json:"pause_ms"`
	Headers map[string]string `json:"headers"`
	Refused bool              `json:"refused"`
}

type outcome struct {
	Answers     map[string]int `json:"answers"`
	Failures    map[string]int `json:"failures"`
	SlowestS    float64        `json:"slowest_s"`
	LastFailure string         `json:"last_failure"`
}

func main() {
	var asked calls
	if err := json.Unmarshal([]byte(os.Args[1]), &asked); err != nil {
		log.Fatal(err)
	}
	channel, err := dial(asked.Address)
	if err != nil {
		log.Fatal(err)
	}
	defer channel.Close()
	agent := contract.NewToolboxServiceClient(channel)
	if asked.Refused {
		say(refusal(agent))
		return
	}
	say(run(agent, asked))
}

func dial(address string) (*grpc.ClientConn, error) {
	if address != "" {
		return tandem.DialAddress(address)
	}
	return tandem.Dial()
}

func run(agent contract.ToolboxServiceClient, asked calls) outcome {
	found := outcome{Answers: map[string]int{}, Failures: map[string]int{}}
	turns := make(chan struct{}, asked.Count)
	for range asked.Count {
		turns <- struct{}{}
	}
	close(turns)
	ctx := metadata.NewOutgoingContext(context.Background(), metadata.New(asked.Headers))
	var lock sync.Mutex
	var callers sync.WaitGroup
	made := 0
	for range asked.AtOnce {
		callers.Go(func() {
			for range turns {
				who, err, tookS := once(ctx, agent)
				lock.Lock()
				if err != nil {
					found.Failures[code(err)]++
					found.LastFailure = err.Error()
				} else {
					found.Answers[who]++
				}
				found.SlowestS = max(found.SlowestS, tookS)
				if made++; made%toldEvery == 0 {
					say(map[string]int{"made": made})
				}
				lock.Unlock()
				time.Sleep(asked.PauseMs * time.Millisecond)
			}
		})
	}
	callers.Wait()
	return found
}

func once(ctx context.Context, agent contract.ToolboxServiceClient) (string, error, float64) {
	var answered peer.Peer
	started := time.Now()
	request := &contract.MeasureTextRequest{Text: "hello"}
	answer, err := agent.MeasureText(ctx, request, grpc.Peer(&answered))
	tookS := time.Since(started).Seconds()
	if err != nil {
		return "", err, tookS
	}
	if answer.GetCodePoints() != 5 {
		return "", fmt.Errorf("wrong answer: %v", answer), tookS
	}
	return answered.Addr.String(), nil, tookS
}

func refusal(agent contract.ToolboxServiceClient) map[string]any {
	quantity := &contract.Quantity{Value: 26.2, Unit: "mile"}
	request := &contract.ConvertQuantityRequest{Quantity: quantity}
	_, err := agent.ConvertQuantity(context.Background(), request)
	fields := []string{}
	for _, broken := range tandem.Detail[*errdetails.BadRequest](err).GetFieldViolations() {
		fields = append(fields, broken.GetField())
	}
	why := tandem.ErrorInfo(err)
	return map[string]any{
		"code": code(err), "reason": why.GetReason(), "domain": why.GetDomain(), "fields": fields,
	}
}

// code spells it as gRPC does: INVALID_ARGUMENT.
func code(err error) string {
	var spelt strings.Builder
	for index, letter := range status.Code(err).String() {
		if index > 0 && unicode.IsUpper(letter) {
			spelt.WriteByte('_')
		}
		spelt.WriteRune(unicode.ToUpper(letter))
	}
	return spelt.String()
}

func say(value any) {
	if err := json.NewEncoder(os.Stdout).Encode(value); err != nil {
		log.Fatal(err)
	}
}
