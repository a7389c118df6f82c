package hosting

import (
	"context"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	"tandem/polyglot/kit/face"
	"tandem/polyglot/kit/failure"
	"tandem/polyglot/kit/serve"
	control "tandem/polyglot/stubs/tandem/control/v1"
)

const (
	// How old what is told of memory and CPU may be.
	usageEach = 5 * time.Second
	// Less than the methods' deadline, so that whoever asked hears how it stands.
	answerWithin = 20 * time.Second
)

// oversight is what the supervisor of a machine sees of the host, and asks of the agents in it.
type oversight struct {
	control.UnimplementedHostServiceServer
	host *host
}

func (o *oversight) WatchHost(_ *control.WatchHostRequest, stream grpc.ServerStreamingServer[control.WatchHostResponse]) error {
	for {
		changed := o.host.news.next()
		said := o.said()
		if err := stream.Send(said); err != nil || said.GetDraining() {
			return err
		}
		timer := time.NewTimer(usageEach)
		select {
		case <-changed:
		case <-timer.C:
		case <-stream.Context().Done():
			timer.Stop()
			return stream.Context().Err()
		}
		timer.Stop()
	}
}

func (o *oversight) said() *control.WatchHostResponse {
	usage := face.UsageNow()
	said := &control.WatchHostResponse{
		Draining: o.host.server.Health.Draining(), MemoryBytes: usage.MemoryBytes, Cpu: durationpb.New(usage.CPU),
	}
	for _, one := range o.host.everyTenant() {
		said.Agents = append(said.Agents, one.standing())
	}
	return said
}

func (o *oversight) CommandAgent(_ context.Context, request *control.CommandAgentRequest) (*control.CommandAgentResponse, error) {
	found := o.host.tenant(request.GetAgent())
	if found == nil {
		return nil, failure.Of(control.ErrorReason_ERROR_REASON_AGENT_NOT_ON_HOST,
			"the host has no agent of that name", failure.Field("agent"),
			failure.With("name", request.GetAgent()), failure.With("near", o.near(request.GetAgent())))
	}
	wasSo := o.do(request.GetVerb(), found, whoAsks(request.GetNote()))
	return &control.CommandAgentResponse{Agent: found.standing(), WasSoAlready: wasSo}, nil
}

// near are names of agents that begin as the one does that was asked for.
func (o *oversight) near(name string) string {
	var found []string
	family, _, _ := strings.Cut(name, "-")
	for _, one := range o.host.everyTenant() {
		if strings.HasPrefix(one.name, family+"-") && len(found) < 3 {
			found = append(found, one.name)
		}
	}
	return strings.Join(found, ", ")
}

// do returns whether there was nothing to do.
func (o *oversight) do(verb control.Verb, one *tenant, who asked) bool {
	wanted := one.wants()
	switch verb {
	case control.Verb_VERB_START, control.Verb_VERB_RESUME:
		return !isDown(wanted) || o.begin(one, who)
	case control.Verb_VERB_STOP:
		return wanted == stopped || o.end(one, stopped, who)
	case control.Verb_VERB_SUSPEND:
		return isDown(wanted) || o.end(one, suspended, who)
	case control.Verb_VERB_RESTART:
		if isDown(wanted) {
			return o.begin(one, who)
		}
		return o.restart(one, who)
	case control.Verb_VERB_DRAIN:
		return turned(one, serving, draining, who)
	default:
		return turned(one, draining, serving, who)
	}
}

func (o *oversight) begin(one *tenant, who asked) bool {
	one.say("it is started by " + who.String())
	one.want(serving, who)
	return soon(func() { o.host.beginOrFail(one) })
}

func (o *oversight) end(one *tenant, wanted string, who asked) bool {
	one.want(wanted, who)
	return soon(func() {
		one.work.Lock()
		defer one.work.Unlock()
		// Somebody may have wanted it back meanwhile.
		if isDown(one.wants()) {
			one.finish(one.refusal())
		}
	})
}

func (o *oversight) restart(one *tenant, who asked) bool {
	one.say("it is restarted by " + who.String())
	return soon(func() {
		one.work.Lock()
		one.finish(serve.Restarting())
		one.work.Unlock()
		o.host.beginOrFail(one)
	})
}

// turned returns whether it was not `before`, and stays as it is.
func turned(one *tenant, before, after string, who asked) bool {
	if one.wants() != before {
		return true
	}
	one.want(after, who)
	return false
}

// soon waits for the work, not for ever: what was asked for holds all the same. Returns that it was
// not so already.
func soon(work func()) bool {
	done := make(chan struct{})
	go func() {
		work()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(answerWithin):
	}
	return false
}
