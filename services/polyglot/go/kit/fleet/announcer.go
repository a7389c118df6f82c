package fleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"tandem/polyglot/kit/failure"
	"tandem/polyglot/kit/log"
	"tandem/polyglot/kit/token"
	control "tandem/polyglot/stubs/tandem/control/v1"
)

const (
	// How long a draining host waits for control to take its leave.
	leaveWithin = time.Second
	storeWithin = 5 * time.Second
	pauseMin    = 50 * time.Millisecond
	pauseMax    = 2 * time.Second
	// How often a host that is announced elsewhere looks whether a nearer control is back.
	returnMax = time.Minute
)

var (
	errLate   = errors.New("control did not confirm in time")
	errEnded  = errors.New("control ended the stream")
	errNearer = errors.New("a nearer control is back")
)

// An Announcement is what is said where.
type Announcement struct {
	Controls   []string
	TimeToLive time.Duration
	// Roster is the host as it is at the moment that it is asked.
	Roster     func() *control.Host
	Contracts  []Contract
	Token      *token.Token
	Credential Credential
}

// An Announcer holds the lease, and takes it anew for as long as it runs.
type Announcer struct {
	said     Announcement
	news     chan struct{}
	leaving  chan struct{}
	left     sync.WaitGroup
	failures int
}

// Announce begins; Leave ends it.
func Announce(ctx context.Context, said Announcement) *Announcer {
	made := &Announcer{said: said, news: make(chan struct{}, 1), leaving: make(chan struct{})}
	made.left.Go(func() { made.hold(ctx) })
	return made
}

// Changed has the roster looked at again.
func (a *Announcer) Changed() {
	select {
	case a.news <- struct{}{}:
	default: // somebody said so already
	}
}

// Leave gives the lease up, so that callers stay away before the server does. What control does not
// hear in time runs out.
func (a *Announcer) Leave() {
	close(a.leaving)
	gone := make(chan struct{})
	go func() {
		a.left.Wait()
		close(gone)
	}()
	select {
	case <-gone:
	case <-time.After(leaveWithin):
	}
}

// hold the lease at the first control, whenever one is lost at the next, and at the first again.
func (a *Announcer) hold(ctx context.Context) {
	for place := 0; ; {
		err := a.holdAt(ctx, place)
		switch {
		case a.isLeaving() || ctx.Err() != nil:
			return
		case errors.Is(err, errNearer):
			place = 0
			continue
		}
		a.failures++
		a.tell(a.said.Controls[place], err)
		place = (place + 1) % len(a.said.Controls)
		select {
		case <-a.leaving:
			return
		case <-time.After(pause(a.failures)):
		}
	}
}

// pause before the next try: doubling, bounded, and up to half of it by chance, so that the hosts of
// a control that comes back do not all come at once.
func pause(failures int) time.Duration {
	doubled := min(pauseMax, pauseMin<<min(failures, 10))
	return time.Duration(float64(doubled) * (0.5 + rand.Float64()/2))
}

func (a *Announcer) isLeaving() bool {
	select {
	case <-a.leaving:
		return true
	default:
		return false
	}
}

// answerWithin is how long a control may be silent: where there is another one, not so long that the
// lease runs out before that is told.
func (a *Announcer) answerWithin() time.Duration {
	if len(a.said.Controls) == 1 {
		return a.said.TimeToLive
	}
	return a.said.TimeToLive / 3
}

func (a *Announcer) storeWithin() time.Duration {
	if len(a.said.Controls) == 1 {
		return storeWithin
	}
	return a.answerWithin()
}

func (a *Announcer) registry(address string) (control.RegistryServiceClient, *grpc.ClientConn, error) {
	plain := grpc.WithTransportCredentials(insecure.NewCredentials())
	options := []grpc.DialOption{plain, grpc.WithNoProxy()}
	if a.said.Token != nil {
		options = append(options, grpc.WithPerRPCCredentials(bearer{a.said.Token}))
	}
	wire, err := grpc.NewClient(address, options...)
	if err != nil {
		return nil, nil, err
	}
	return control.NewRegistryServiceClient(wire), wire, nil
}

// holdAt one control, until the host leaves, or an earlier one answers again.
func (a *Announcer) holdAt(ctx context.Context, place int) error {
	registry, wire, err := a.registry(a.said.Controls[place])
	if err != nil {
		return err
	}
	defer wire.Close()
	ctx, end := context.WithCancel(ctx)
	defer end()
	if err := keep(ctx, registry, a.said.Contracts, a.storeWithin()); err != nil || a.isLeaving() {
		return err
	}
	known := a.said.Roster()
	if a.said.Credential != nil {
		shown, err := a.said.Credential(known)
		if err != nil {
			return err
		}
		ctx = metadata.AppendToOutgoingContext(ctx, credentialHeader, string(shown))
	}
	stream, err := registry.HoldLease(ctx)
	if err != nil {
		return err
	}
	lease := newLease(stream, a.answerWithin())
	opening := &control.HoldLeaseRequest_Open{Host: known, TimeToLive: durationpb.New(a.said.TimeToLive)}
	if err := lease.step(&control.HoldLeaseRequest{Step: &control.HoldLeaseRequest_Open_{Open: opening}}); err != nil {
		return err
	}
	log.Of("tandemkit.hosting").Info("host.announced", slog.String("host", known.GetName()), slog.String("control", a.said.Controls[place]))
	return a.renew(ctx, lease, known, place)
}

func (a *Announcer) renew(ctx context.Context, held *lease, known *control.Host, place int) error {
	due := time.NewTicker(a.said.TimeToLive / 3)
	defer due.Stop()
	lookAt := time.Now().Add(untilLook())
	for {
		select {
		case <-a.leaving:
			return held.step(&control.HoldLeaseRequest{Step: &control.HoldLeaseRequest_Close_{Close: &control.HoldLeaseRequest_Close{}}})
		case <-held.over:
			return held.cause
		case <-a.news:
		case <-due.C:
		}
		now := a.said.Roster()
		if err := a.say(held, known, now); err != nil {
			return err
		}
		// Only now: two hosts of one name would else take the lease from each other without a pause.
		known, a.failures = now, 0
		if place > 0 && time.Now().After(lookAt) {
			if a.nearerAnswers(ctx, place) {
				return errNearer
			}
			lookAt = time.Now().Add(untilLook())
		}
	}
}

// say renews, with what is new if anything is.
func (a *Announcer) say(held *lease, known, now *control.Host) error {
	if proto.Equal(known, now) {
		return held.step(&control.HoldLeaseRequest{Step: &control.HoldLeaseRequest_Renew_{Renew: &control.HoldLeaseRequest_Renew{}}})
	}
	change := &control.HoldLeaseRequest_Change{Host: now}
	if a.said.Credential != nil && !servesLike(known, now) {
		// Nobody vouched for what was added.
		shown, err := a.said.Credential(now)
		if err != nil {
			return err
		}
		change.Credential = shown
	}
	return held.step(&control.HoldLeaseRequest{Step: &control.HoldLeaseRequest_Change_{Change: change}})
}

func servesLike(known, now *control.Host) bool {
	served := map[string]bool{}
	for _, one := range known.GetPlacements() {
		served[one.GetService()] = true
	}
	for _, one := range now.GetPlacements() {
		if !served[one.GetService()] {
			return false
		}
	}
	return true
}

func untilLook() time.Duration {
	return time.Duration(float64(returnMax) * (0.5 + rand.Float64()/2))
}

// nearerAnswers asks while the lease is held, which is therefore not lost where nobody does.
func (a *Announcer) nearerAnswers(ctx context.Context, place int) bool {
	within := a.answerWithin() / time.Duration(place)
	for _, address := range a.said.Controls[:place] {
		registry, wire, err := a.registry(address)
		if err != nil {
			continue
		}
		err = keep(ctx, registry, a.said.Contracts, within)
		_ = wire.Close()
		if err == nil {
			return true
		}
	}
	return false
}

func (a *Announcer) tell(address string, err error) {
	level := slog.LevelInfo
	if a.failures == 1 {
		level = slog.LevelWarn
	}
	said := []slog.Attr{slog.String("control", address)}
	if found, ok := status.FromError(err); ok && err != nil {
		said = append(said, slog.String("code", failure.NameOf(found.Code())), slog.String("reason", failure.ReasonOf(found)),
			slog.String("cause", found.Message()))
	} else {
		said = append(said, slog.String("cause", fmt.Sprint(err)))
	}
	log.Of("tandemkit.hosting").LogAttrs(context.Background(), level, "host.unannounced", said...)
}

// A lease is one stream that holds it.
type lease struct {
	stream    grpc.BidiStreamingClient[control.HoldLeaseRequest, control.HoldLeaseResponse]
	within    time.Duration
	confirmed chan struct{}
	// Closed behind `cause`, when the stream is over; a control that ends says so without being asked.
	over  chan struct{}
	cause error
}

func newLease(stream grpc.BidiStreamingClient[control.HoldLeaseRequest, control.HoldLeaseResponse], within time.Duration) *lease {
	made := &lease{stream: stream, within: within, confirmed: make(chan struct{}, 1), over: make(chan struct{})}
	go made.listen()
	return made
}

func (l *lease) listen() {
	defer close(l.over)
	for {
		_, err := l.stream.Recv()
		if errors.Is(err, io.EOF) {
			err = errEnded
		}
		if err != nil {
			l.cause = err
			return
		}
		select {
		case l.confirmed <- struct{}{}:
		default: // one that nobody waited for any more
		}
	}
}

func (l *lease) step(request *control.HoldLeaseRequest) error {
	// A write to a stream that is over would say only that it is; reading says why.
	if err := l.stream.Send(request); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	late := time.NewTimer(l.within)
	defer late.Stop()
	select {
	case <-l.confirmed:
		return nil
	case <-l.over:
		return l.cause
	case <-late.C:
		return errLate
	}
}

// bearer shows the fleet's token with every call. Within a machine, or the network that joins two,
// calls go in clear.
type bearer struct{ token *token.Token }

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{token.Header: b.token.Bearer()}, nil
}

func (bearer) RequireTransportSecurity() bool { return false }
