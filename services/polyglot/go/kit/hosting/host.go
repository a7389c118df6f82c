package hosting

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"tandem/polyglot/kit/face"
	"tandem/polyglot/kit/fleet"
	"tandem/polyglot/kit/log"
	"tandem/polyglot/kit/pulse"
	"tandem/polyglot/kit/serve"
	"tandem/polyglot/kit/token"
	"tandem/polyglot/kit/trace"
	control "tandem/polyglot/stubs/tandem/control/v1"
	plans "tandem/polyglot/stubs/tandem/fleet/v1"
)

const (
	exitUsage  = 2
	exitFailed = 1
)

func collector() string { return trace.Collector(os.Getenv) }

// A host is one process that serves agents.
type host struct {
	said     *options
	program  map[string]Agent
	member   *control.Host
	token    *token.Token
	server   *serve.Server
	news     *news
	listener net.Listener
	digests  map[string]string
	failed   chan error

	lock    sync.RWMutex
	tenants []*tenant
}

// Serve runs `PLAN OPTIONS...` with the agents that the program contains: until SIGTERM or SIGINT,
// then it drains; a second signal ends it at once. Returns the process's exit status.
func Serve(arguments []string, agents ...Agent) int {
	said, plan, err := read(arguments)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitUsage
	}
	made := &host{said: said, program: map[string]Agent{}, news: newNews(), failed: make(chan error, 1), digests: map[string]string{}}
	for _, one := range agents {
		made.program[one.service.ServiceName] = one
	}
	if err := made.prepare(plan); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitUsage
	}
	log.WriteTo(os.Stderr)
	if err := made.run(); err != nil {
		log.Of("tandemkit.hosting").Error("host.failed", slog.String("cause", err.Error()))
		return exitFailed
	}
	log.Of("tandemkit.hosting").Info("host.stopped")
	return 0
}

// prepare checks everything that was told, and takes its ports, before anything is done.
func (h *host) prepare(plan *plans.PlannedHost) error {
	// What agents write is for this user alone, wherever somebody put the home.
	syscall.Umask(0o077)
	if !h.said.open {
		known, err := token.Kept(h.said.tokenFile)
		if err != nil {
			return err
		}
		h.token = known
	}
	for _, planned := range plan.GetAgents() {
		if err := h.place(planned); err != nil {
			return err
		}
	}
	return h.join()
}

// join the fleet, as far as that can be known to fail.
func (h *host) join() error {
	member, err := h.said.membership(h.names())
	if err != nil {
		return err
	}
	h.member = member
	if _, err := h.said.coreNumbers(); err != nil {
		return err
	}
	if h.member == nil || h.token == nil || h.said.credential != "" {
		return nil
	}
	_, err = h.token.Beside(token.KeyFile) // told now, if it cannot be used
	return err
}

func (h *host) place(planned *plans.PlannedAgent) error {
	agent, known := h.program[planned.GetService()]
	if !known {
		return fmt.Errorf("this program has no agent that keeps %s", planned.GetService())
	}
	settings, err := settingsOf(agent, planned)
	if err != nil {
		return err
	}
	one := &tenant{
		name: planned.GetName(), service: planned.GetService(), agent: agent, settings: settings,
		folder: h.said.state, news: h.news, wanted: serving, cause: "it is being built",
	}
	if one.name == "" {
		one.name, err = shortName(one.service)
	}
	h.tenants = append(h.tenants, one)
	return err
}

// run serves until it is told to end, and then drains.
func (h *host) run() error {
	beside, end := context.WithCancel(context.Background())
	var running sync.WaitGroup
	defer running.Wait()
	defer end()
	limits := h.confined()
	if err := h.begin(beside, &running, limits); err != nil {
		return err
	}
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM, syscall.SIGINT)
	announcer, err := h.announce(beside)
	if err != nil {
		h.server.Drain(0, func() {})
		return err
	}
	h.tellServing()
	var cause error
	select {
	case <-told:
		// Whoever asks twice means it.
		signal.Reset(syscall.SIGTERM, syscall.SIGINT)
	case cause = <-h.failed:
	}
	log.Of("tandemkit.hosting").Info("host.draining", slog.Float64("grace_s", h.said.graceS))
	if announcer != nil {
		announcer.Leave()
	}
	h.server.Drain(h.said.grace(), h.news.tell)
	for _, one := range h.everyTenant() {
		one.work.Lock()
		one.finish(serve.Draining())
		one.work.Unlock()
	}
	return cause
}

// begin everything but the membership: signs of life first, then agents, then the port.
func (h *host) begin(ctx context.Context, running *sync.WaitGroup, limits []string) error {
	tracing := trace.Tracing{Share: h.said.share}
	if endpoint := collector(); endpoint != "" {
		tracing.Exporter = trace.NewExporter(endpoint, h.tracedAs(), os.Getenv)
		running.Go(func() { tracing.Exporter.Run(ctx) })
	}
	if h.said.pulse != "" {
		beats, err := pulse.Open(h.said.pulse, h.origins())
		if err != nil {
			return err
		}
		running.Go(func() { beats.Run(ctx) })
	}
	server, err := serve.New(h.token, tracing, h.services())
	if err != nil {
		return err
	}
	h.server = server
	if err := server.Plumb(&control.HostService_ServiceDesc, &oversight{host: h}); err != nil {
		return err
	}
	for _, one := range h.tenants {
		if err := h.seat(one); err != nil {
			return err
		}
	}
	if err := h.showFace(ctx, running, limits); err != nil {
		return err
	}
	for _, one := range h.tenants {
		if err := h.settle(one); err != nil {
			return err
		}
	}
	return h.listen(running)
}

// seat gives a tenant its place in the server, where its calls are refused until it is built.
func (h *host) seat(one *tenant) error {
	seat, err := h.server.Mount(one.service, one.name, one.added)
	if err == nil {
		one.seat, one.health = seat, h.server.Health
		one.show()
	}
	return err
}

// settle begins the first life of a tenant that is planned, whose failure is the host's.
func (h *host) settle(one *tenant) error {
	err := one.begin()
	if err != nil {
		log.Of("tandemkit.hosting").Error("agent.unbuilt", slog.String("agent", one.name), slog.String("cause", err.Error()))
	}
	return err
}

// beginOrFail begins another life of an agent; where that fails, so does the host, which its
// supervisor starts again.
func (h *host) beginOrFail(one *tenant) {
	if err := one.begin(); err != nil {
		select {
		case h.failed <- err:
		default: // it fails already
		}
	}
}

func (h *host) listen(running *sync.WaitGroup) error {
	listener, err := listening(h.said.listen)
	if err != nil {
		return err
	}
	h.listener = listener
	listeners := []net.Listener{listener}
	if h.said.socket != "" {
		private, err := listening("unix:" + h.said.socket)
		if err != nil {
			return err
		}
		listeners = append(listeners, private)
	}
	for _, one := range listeners {
		running.Go(func() { _ = h.server.Serve(one) }) // it ends with the server
	}
	return nil
}

// listening on a socket that was left behind by another process takes its place.
func listening(address string) (net.Listener, error) {
	path, isSocket := strings.CutPrefix(address, "unix:")
	if !isSocket {
		return net.Listen("tcp", address)
	}
	if found, err := os.Lstat(path); err == nil && found.Mode()&os.ModeSocket != 0 {
		_ = os.Remove(path)
	}
	return net.Listen("unix", path)
}

func (h *host) showFace(ctx context.Context, running *sync.WaitGroup, limits []string) error {
	if h.said.http == "" {
		return nil
	}
	listener, err := net.Listen("tcp", h.said.http)
	if err != nil {
		return fmt.Errorf("the HTTP address cannot be listened on: %w", err)
	}
	identity := face.Identity{Machine: machineName(), Limits: limits}
	if h.member != nil {
		identity = face.Identity{Host: h.member.GetName(), Machine: h.member.GetMachine(), Version: h.member.GetVersion(), Limits: limits}
	}
	known := &face.Known{
		Identity: identity, Agents: h.shownAgents, Tallies: h.server.Tallies,
		Draining: h.server.Health.Draining, Began: time.Now(),
	}
	running.Go(func() { _ = face.Serve(ctx, listener, known, h.member.GetAddress()) }) // it ends with the host
	log.Of("tandemkit.hosting").Info("http.serving", slog.String("address", listener.Addr().String()))
	return nil
}

// announce the host, where it has a fleet.
func (h *host) announce(ctx context.Context) (*fleet.Announcer, error) {
	if h.member == nil {
		return nil, nil
	}
	if address, ok := h.listener.Addr().(*net.TCPAddr); ok {
		h.member.Port = int32(address.Port)
	}
	said := fleet.Announcement{
		Controls: strings.Split(h.said.control, ","), TimeToLive: h.said.lease(), Roster: h.roster, Token: h.token,
	}
	if err := h.credentialOf(&said); err != nil {
		return nil, err
	}
	for _, service := range h.contained() {
		contract, err := serve.Described(service)
		if err != nil {
			return nil, err
		}
		stored, err := fleet.ContractOf(contract.ParentFile())
		if err != nil {
			return nil, err
		}
		h.digests[service] = stored.Digest
		said.Contracts = append(said.Contracts, stored)
	}
	announcer := fleet.Announce(ctx, said)
	go announcer.Heed(ctx, h.server.Limit)
	go h.handOn(ctx, announcer)
	return announcer, nil
}

func (h *host) credentialOf(said *fleet.Announcement) error {
	switch {
	case h.said.credential != "":
		said.Credential = fleet.ByFile(h.said.credential)
	case h.token != nil:
		key, err := h.token.Beside(token.KeyFile)
		if err != nil {
			return err
		}
		said.Credential = fleet.ByKey(key)
	}
	return nil
}

// handOn tells control what is new.
func (h *host) handOn(ctx context.Context, announcer *fleet.Announcer) {
	for {
		changed := h.news.next()
		announcer.Changed()
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// roster is the host as it is at this moment.
func (h *host) roster() *control.Host {
	made, _ := proto.Clone(h.member).(*control.Host)
	for _, one := range h.everyTenant() {
		placement := &control.Placement{
			Service: one.service, Serving: h.server.Health.Serving(one.healthName()), ContractDigest: h.digests[one.service],
		}
		if own, err := shortName(one.service); err != nil || own != one.name {
			placement.Instance = one.name
		}
		made.Placements = append(made.Placements, placement)
	}
	return made
}

func (h *host) tellServing() {
	address := h.said.listen
	if found, ok := h.listener.Addr().(*net.TCPAddr); ok {
		listened, _, _ := net.SplitHostPort(h.said.listen)
		address = net.JoinHostPort(listened, fmt.Sprint(found.Port))
	}
	log.Of("tandemkit.hosting").Info("host.serving", slog.String("address", address), slog.Any("agents", h.names()))
}

func (h *host) everyTenant() []*tenant {
	h.lock.RLock()
	defer h.lock.RUnlock()
	return append([]*tenant(nil), h.tenants...)
}

func (h *host) tenant(name string) *tenant {
	for _, one := range h.everyTenant() {
		if one.name == name {
			return one
		}
	}
	return nil
}

func (h *host) shownAgents() []face.Agent {
	var found []face.Agent
	for _, one := range h.everyTenant() {
		found = append(found, one.shown())
	}
	return found
}

func (h *host) names() []string {
	var found []string
	for _, one := range h.everyTenant() {
		found = append(found, one.name)
	}
	return found
}

func (h *host) services() []*grpc.ServiceDesc {
	var found []*grpc.ServiceDesc
	for _, one := range h.program {
		found = append(found, one.service)
	}
	return found
}

// origins are where each agent's code stands.
func (h *host) origins() []pulse.Origin {
	var found []pulse.Origin
	for _, one := range h.tenants {
		found = append(found, pulse.Origin{Agent: one.name, Folder: "tandem/polyglot/agents/"})
	}
	return found
}

// tracedAs is the process's name among others that send spans: its agent's, or its program's.
func (h *host) tracedAs() string {
	if len(h.tenants) == 1 {
		return h.tenants[0].name
	}
	return "polyglot"
}
