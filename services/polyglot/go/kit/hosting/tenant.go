package hosting

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"tandem/polyglot/kit/face"
	"tandem/polyglot/kit/log"
	"tandem/polyglot/kit/serve"
	control "tandem/polyglot/stubs/tandem/control/v1"
)

// How an agent is, in the words of /health and of tandem.control.v1.AgentState.
const (
	serving    = "SERVING"
	notServing = "NOT_SERVING"
	draining   = "DRAINING"
	suspended  = "SUSPENDED"
	stopped    = "STOPPED"
)

const (
	// For calls in progress where somebody stops an agent.
	finishedWithin = 10 * time.Second
	lookEach       = 20 * time.Millisecond
)

// asked is who wanted something and why.
type asked struct{ by, why string }

func (a asked) String() string {
	if a.why == "" {
		return a.by
	}
	return a.by + ": " + a.why
}

// A tenant is one agent of the host, life after life.
type tenant struct {
	name, service string
	added         bool
	agent         Agent
	settings      proto.Message
	folder        string
	seat          *serve.Seat
	health        *serve.Health
	news          *news

	// Held while a life begins or ends, so that one thing is done at a time.
	work sync.Mutex
	end  func()

	lock    sync.Mutex
	built   Built
	isBuilt bool
	lives   int
	wanted  string
	asked   asked
	cause   string
}

// healthName is by which the server tells its health: of a contract only one instance is planned.
func (t *tenant) healthName() string {
	if t.added {
		return t.name
	}
	return t.service
}

// begin another life of it. Fails as its build does.
func (t *tenant) begin() error {
	t.work.Lock()
	defer t.work.Unlock()
	return t.live()
}

func (t *tenant) live() error {
	t.lock.Lock()
	t.lives++
	t.lock.Unlock()
	folder := filepath.Join(t.folder, t.name)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	life, end := context.WithCancel(context.Background())
	scope := &Scope{Name: t.name, Folder: folder, Log: log.Of(t.name), Context: life, feels: t.feels}
	built, err := t.agent.build(scope, t.settings)
	if err == nil && !t.seat.Fits(built.Servicer) {
		err = errors.New("its servicer does not implement its contract")
	}
	if err != nil {
		end()
		t.say("it could not be built: " + err.Error())
		return fmt.Errorf("%s: %w", t.name, err)
	}
	t.lock.Lock()
	t.built, t.isBuilt, t.end = built, true, end
	t.lock.Unlock()
	t.seat.Take(built.Servicer)
	t.feels(nil)
	return nil
}

// finish this life: calls in progress may finish for a while, and others are refused with `refusal`.
func (t *tenant) finish(refusal error) {
	t.lock.Lock()
	built, was, end := t.built, t.isBuilt, t.end
	t.built, t.isBuilt = Built{}, false
	t.lock.Unlock()
	t.seat.Close(refusal)
	t.show()
	for waited := time.Duration(0); was && t.seat.Calls() > 0 && waited < finishedWithin; waited += lookEach {
		time.Sleep(lookEach)
	}
	if !t.seat.Leave(refusal) {
		log.Of("tandemkit.hosting").Warn("agent.unheeding", slog.String("agent", t.name))
	}
	if !was {
		return
	}
	end()
	if built.Close != nil {
		if err := built.Close(); err != nil {
			log.Of("tandemkit.hosting").Warn("agent.unclosed", slog.String("agent", t.name), slog.String("cause", err.Error()))
		}
	}
	debug.FreeOSMemory()
}

// feels is what the agent says of itself. The log has each change.
func (t *tenant) feels(cause error) {
	said := ""
	if cause != nil {
		said = cause.Error()
	}
	if t.say(said) == said {
		return
	}
	logger := log.Of("tandemkit.hosting")
	if cause == nil {
		logger.Info("agent.serving", slog.String("agent", t.name))
	} else {
		logger.Warn("agent.unwell", slog.String("agent", t.name), slog.String("cause", said))
	}
}

// say why it does not serve, or by an empty text that it does; returns what was said before.
func (t *tenant) say(cause string) string {
	t.lock.Lock()
	was := t.cause
	t.cause = cause
	t.lock.Unlock()
	t.show()
	return was
}

func (t *tenant) show() {
	t.lock.Lock()
	serves := t.isBuilt && t.cause == "" && t.wanted == serving
	t.lock.Unlock()
	t.health.Put(t.healthName(), serves, t.added)
	t.news.tell()
}

// want has callers told at once; the life goes on until somebody ends it.
func (t *tenant) want(wanted string, who asked) {
	t.lock.Lock()
	t.wanted, t.asked = wanted, who
	t.lock.Unlock()
	if isDown(wanted) {
		t.seat.Close(t.refusal())
	}
	t.show()
}

func isDown(wanted string) bool { return wanted == suspended || wanted == stopped }

func (t *tenant) wants() string {
	t.lock.Lock()
	defer t.lock.Unlock()
	return t.wanted
}

// refusal is how its calls end while it does not answer.
func (t *tenant) refusal() error {
	t.lock.Lock()
	defer t.lock.Unlock()
	if isDown(t.wanted) {
		return serve.Suspended(lower(t.wanted), t.asked.by, t.asked.why)
	}
	return serve.Restarting()
}

// condition is how it is for its callers, and why where it does not serve.
func (t *tenant) condition() (string, string) {
	t.lock.Lock()
	defer t.lock.Unlock()
	switch {
	case t.health.Draining():
		if t.cause != "" {
			return draining, t.cause
		}
		return draining, "its host drains"
	case t.wanted != serving:
		return t.wanted, lower(t.wanted) + " by " + t.asked.String()
	case t.isBuilt && t.cause == "":
		return serving, ""
	}
	return notServing, t.cause
}

func lower(state string) string {
	return map[string]string{suspended: "suspended", stopped: "stopped", draining: "draining"}[state]
}

func (t *tenant) restarts() int {
	t.lock.Lock()
	defer t.lock.Unlock()
	return max(t.lives-1, 0)
}

func (t *tenant) shown() face.Agent {
	state, cause := t.condition()
	return face.Agent{Name: t.name, Service: t.service, State: state, Cause: cause, Added: t.added, Restarts: t.restarts()}
}

func (t *tenant) standing() *control.AgentStanding {
	state, cause := t.condition()
	number := control.AgentState_value["AGENT_STATE_"+state]
	said := &control.AgentStanding{
		Name: t.name, Service: t.service, State: control.AgentState(number), Cause: cause, Restarts: int32(t.restarts()),
		Added: t.added,
	}
	said.CallsInProgress = int32(t.seat.Calls())
	if latest := t.seat.LatestCall(); !latest.IsZero() {
		said.LastCallTime = timestamppb.New(latest)
	}
	return said
}
