package hosting

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"tandem/polyglot/kit/failure"
	"tandem/polyglot/kit/log"
	"tandem/polyglot/kit/serve"
	control "tandem/polyglot/stubs/tandem/control/v1"
	plans "tandem/polyglot/stubs/tandem/fleet/v1"
)

const (
	buildAgainAfter = time.Second
	causeBytesMax   = 250
)

func (o *oversight) AddAgent(_ context.Context, request *control.AddAgentRequest) (*control.AddAgentResponse, error) {
	wanted, err := o.host.added(request.GetAgent())
	if err != nil {
		return nil, err
	}
	found, err := o.host.enroll(wanted)
	if err != nil {
		return nil, err
	}
	if found != wanted {
		if found.service != wanted.service || !proto.Equal(found.settings, wanted.settings) {
			return nil, failure.Of(control.ErrorReason_ERROR_REASON_INSTANCE_DIFFERS,
				"another instance has that name on the host, or other settings; remove it first",
				failure.With("name", wanted.name), failure.With("service", found.service))
		}
		return &control.AddAgentResponse{Agent: found.standing(), WasSoAlready: true}, nil
	}
	if err := wanted.begin(); err != nil {
		o.host.dismiss(wanted)
		text := err.Error()
		return nil, failure.Of(control.ErrorReason_ERROR_REASON_AGENT_UNBUILT,
			"the instance could not be built; its cause says why", failure.RetryAfter(buildAgainAfter),
			failure.With("name", wanted.name), failure.With("cause", text[:min(len(text), causeBytesMax)]))
	}
	log.Of("tandemkit.hosting").Info("agent.added", slog.String("agent", wanted.name), slog.String("by", whoAsks(request.GetNote()).String()))
	return &control.AddAgentResponse{Agent: wanted.standing()}, nil
}

func (o *oversight) RemoveAgent(_ context.Context, request *control.RemoveAgentRequest) (*control.RemoveAgentResponse, error) {
	found, who := o.host.tenant(request.GetName()), whoAsks(request.GetNote())
	switch {
	case found == nil:
		return &control.RemoveAgentResponse{WasSoAlready: true}, nil
	case !found.added:
		return nil, failure.Of(control.ErrorReason_ERROR_REASON_AGENT_PLANNED,
			"the instance belongs to the plan of its host; stop or suspend it instead", failure.With("name", found.name))
	}
	found.say("it is removed by " + who.String())
	soon(func() {
		found.work.Lock()
		defer found.work.Unlock()
		found.finish(serve.Restarting())
		o.host.dismiss(found)
	})
	log.Of("tandemkit.hosting").Info("agent.removed", slog.String("agent", found.name), slog.String("by", who.String()))
	return &control.RemoveAgentResponse{}, nil
}

func whoAsks(note *control.ChangeNote) asked { return asked{note.GetAuthor(), note.GetReason()} }

// added is an instance as it is asked for; refused where it cannot be so.
func (h *host) added(wanted *plans.PlannedAgent) (*tenant, error) {
	agent, known := h.program[wanted.GetService()]
	if !known {
		return nil, failure.Of(control.ErrorReason_ERROR_REASON_AGENT_NOT_IN_PROGRAM,
			"the program of the host contains no agent of that contract", failure.With("service", wanted.GetService()),
			failure.With("why", "the program contains "+strings.Join(h.contained(), ", ")))
	}
	own, err := shortName(wanted.GetService())
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(wanted.GetName(), own+"-") || !instanceForm.MatchString(wanted.GetName()) {
		return nil, refusedAs("name", wanted, fmt.Sprintf("an instance that is added is called %s with a suffix after a hyphen", own))
	}
	settings, err := settingsOf(agent, wanted)
	if err != nil {
		return nil, refusedAs("settings", wanted, err.Error())
	}
	return &tenant{
		name: wanted.GetName(), service: wanted.GetService(), added: true, agent: agent, settings: settings,
		folder: h.said.state, news: h.news, wanted: serving, cause: "it is being built",
	}, nil
}

func refusedAs(field string, wanted *plans.PlannedAgent, why string) error {
	return failure.Of(control.ErrorReason_ERROR_REASON_INSTANCE_REFUSED, "the instance cannot be as it is asked for",
		failure.Field("agent."+field), failure.With("name", wanted.GetName()), failure.With("why", why))
}

// enroll an instance with a seat of its own, or find the one that has its name.
func (h *host) enroll(one *tenant) (*tenant, error) {
	h.lock.Lock()
	defer h.lock.Unlock()
	for _, found := range h.tenants {
		if found.name == one.name {
			return found, nil
		}
	}
	if err := h.seat(one); err != nil {
		return nil, err
	}
	h.tenants = append(h.tenants, one)
	return one, nil
}

// dismiss an instance that was added: nothing is left of it but its state.
func (h *host) dismiss(one *tenant) {
	h.lock.Lock()
	h.tenants = slices.DeleteFunc(h.tenants, func(other *tenant) bool { return other == one })
	h.lock.Unlock()
	h.server.Unmount(one.service, one.name)
	h.server.Health.Forget(one.name)
	h.news.tell()
}

// contained are the services that the program could serve.
func (h *host) contained() []string {
	var found []string
	for service := range h.program {
		found = append(found, service)
	}
	slices.Sort(found)
	return found
}
