package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"tandem/polyglot/kit/failure"
	"tandem/polyglot/kit/log"
	"tandem/polyglot/kit/token"
	"tandem/polyglot/kit/trace"
	options "tandem/polyglot/stubs/tandem/options/v1"
	platform "tandem/polyglot/stubs/tandem/type/v1"
)

// InstanceHeader names the instance that shall answer.
const InstanceHeader = "x-tandem-instance"

// How long a stream's servicer is waited for whose call is over. One that is reading hears of it
// only when gRPC has sent the status.
const hearsWithin = 50 * time.Millisecond

// A call is one that is served.
type call struct {
	method   *Method
	tally    *Tally
	seat     *Seat
	room     *room
	wire     context.Context
	context  context.Context
	end      context.CancelCauseFunc
	late     *time.Timer
	class    options.Priority
	seated   chan error
	began    time.Time
	parent   trace.Parent
	span     *trace.Span
	peer     string
	instance string
	incident string
}

// A door is what one method's calls go through, composed once when its agent is mounted.
type door struct {
	station *station
	name    string
	method  *Method
	tally   *Tally
	token   *token.Token
	report  *report
}

func (d *door) unary(serve grpc.MethodHandler) grpc.MethodHandler {
	return func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		one, err := d.begin(ctx)
		if err != nil {
			return nil, err
		}
		defer one.room.running.Done()
		take := func(request any) error { return taken(request, decode) }
		var response any
		err = guarded(func() (err error) {
			response, err = serve(one.servicer(), one.context, take, nil)
			return err
		})
		if err := d.over(one, err); err != nil {
			return nil, err
		}
		size := 0
		if message, ok := response.(proto.Message); ok && one.isTold() {
			size = proto.Size(message)
		}
		d.report.answered(one, size)
		return response, nil
	}
}

func (d *door) stream(serve grpc.StreamHandler) grpc.StreamHandler {
	return func(_ any, wire grpc.ServerStream) error {
		one, err := d.begin(wire.Context())
		if err != nil {
			return err
		}
		over := make(chan error, 1)
		go func() {
			defer one.room.running.Done()
			over <- guarded(func() error { return serve(one.servicer(), &checked{wire, one.context}) })
		}()
		select {
		case err = <-over:
		case <-one.context.Done():
			select {
			case err = <-over:
			case <-time.After(hearsWithin):
				err = context.Cause(one.context)
			}
		}
		if err := d.over(one, err); err != nil {
			return err
		}
		d.report.answered(one, -1)
		return nil
	}
}

// begin lets the call in, or says why not.
func (d *door) begin(ctx context.Context) (*call, error) {
	told, _ := metadata.FromIncomingContext(ctx)
	one := &call{method: d.method, tally: d.tally, wire: ctx, context: ctx, began: time.Now(), peer: peerOf(ctx)}
	if err := admit(d.token, d.method, told, one.peer); err != nil {
		return nil, err
	}
	one.parent = trace.Arrived(told.Get(trace.Header))
	if named := told.Get(InstanceHeader); len(named) > 0 {
		one.instance = named[0]
	}
	d.report.begin(one)
	class, err := classOf(told, d.method)
	if err != nil {
		return nil, d.refuse(one, err)
	}
	one.class = class
	one.seat = d.station.seatOf(one.instance)
	if one.seat == nil {
		return nil, d.refuse(one, d.station.absent(one.instance))
	}
	one.seat.latest.Store(one.began.UnixNano())
	one.room = one.seat.rooms[d.name]
	if err := one.room.enter(one); err != nil {
		if ctx.Err() != nil {
			d.report.cancelled(one)
			return nil, status.FromContextError(ctx.Err()).Err()
		}
		return nil, d.refuse(one, err)
	}
	return one, nil
}

// over maps what ended the call, and tells it; nil where that was its answer.
func (d *door) over(one *call, err error) error {
	ended := context.Cause(one.context)
	one.room.leave(one)
	if err == nil {
		return nil
	}
	var refusal *failure.Refusal
	if errors.As(ended, &refusal) {
		return d.refuse(one, refusal)
	}
	if one.wire.Err() != nil && !errors.As(err, &refusal) {
		d.report.cancelled(one)
		return status.FromContextError(one.wire.Err()).Err()
	}
	return d.refuse(one, err)
}

func (d *door) refuse(one *call, err error) error {
	var refusal *failure.Refusal
	if !errors.As(err, &refusal) {
		d.report.defect(one, err)
		internal := failure.Of(platform.PlatformErrorReason_PLATFORM_ERROR_REASON_INTERNAL,
			"the agent failed; its log has the cause under this incident", failure.With("incident", one.incident))
		if !errors.As(internal, &refusal) {
			return status.Error(codes.Internal, "the agent failed")
		}
	}
	d.report.refused(one, refusal)
	return refusal
}

func (c *call) servicer() any {
	found, _ := c.seat.servicer.Load().(occupant)
	return found.servicer
}

func (c *call) isTold() bool { return c.span != nil || time.Since(c.began) >= slow }

// guarded makes a panic the call's failure, and not the process's.
func guarded(serve func() error) (err error) {
	defer func() {
		if found := recover(); found != nil {
			err = fmt.Errorf("panic: %v\n%s", found, debug.Stack())
		}
	}()
	return serve()
}

// checked is a stream whose requests each pass the rules, and whose context ends with the call.
type checked struct {
	grpc.ServerStream
	context context.Context
}

func (c *checked) Context() context.Context { return c.context }

func (c *checked) RecvMsg(request any) error { return taken(request, c.ServerStream.RecvMsg) }

// admit is the gate: whoever shows the fleet's token, and anybody for what is public.
func admit(known *token.Token, method *Method, told metadata.MD, peer string) error {
	if known == nil || method.Public {
		return nil
	}
	shown := told.Get(token.Header)
	var err error
	switch {
	case len(shown) == 0:
		err = failure.Of(platform.PlatformErrorReason_PLATFORM_ERROR_REASON_TOKEN_MISSING,
			"the call shows no token; send the header `authorization: Bearer TOKEN`, where TOKEN is "+
				"what the fleet's $TANDEM_HOME/token holds (`./tandem env` names the file)")
	case !known.Opens(shown[0]):
		err = failure.Of(platform.PlatformErrorReason_PLATFORM_ERROR_REASON_TOKEN_WRONG,
			"the call shows another token than this fleet's; read the fleet's $TANDEM_HOME/token again "+
				"(`./tandem env` names the file)")
	default:
		return nil
	}
	var refusal *failure.Refusal
	if errors.As(err, &refusal) {
		log.Of("tandemkit.rpc").Info("rpc.refused", slog.String("rpc", method.Path),
			slog.String("code", failure.NameOf(refusal.Code)), slog.String("reason", refusal.Reason), slog.String("peer", peer))
	}
	return err
}

// peerOf a call as gRPC's core writes it: `ipv4:127.0.0.1:4711`.
func peerOf(ctx context.Context) string {
	found, known := peer.FromContext(ctx)
	if !known {
		return ""
	}
	address, isTCP := found.Addr.(*net.TCPAddr)
	if !isTCP {
		return "unix:" + strings.TrimPrefix(found.Addr.String(), "@")
	}
	if address.IP.To4() != nil {
		return "ipv4:" + address.String()
	}
	return "ipv6:" + address.String()
}
